"""Gemma 2 (Gemma team 2024): as Gemma, with norms at both ends of each branch, caps, and every other layer
seeing a window.

Gemma 3 has its names; it uses what stands here.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import CannotHold, Family, needed
from hornbook.model.families.gemma import HEAD_DIM, read_activation, read_around, read_norm
from hornbook.model.families.layers import read_windows, repeating, written_windows
from hornbook.model.families.llama import IGNORED, output_norm_rules, read_attention, written
from hornbook.model.families.names import ACTIVATIONS
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import FeedForwardConfig, UnitOffsetRMSNormConfig


def read_scale(theirs: Reading) -> float:
    """What scores are multiplied by."""
    width: float = theirs.take("query_pre_attn_scalar", 256)
    return width**-0.5


def read_feed_forward(theirs: Reading) -> FeedForwardConfig:
    """The gated feed-forward by the names of this family."""
    activation = read_activation(theirs, "hidden_activation", "hidden_act", ACTIVATIONS)
    return FeedForwardConfig(d_ff=theirs.take("intermediate_size"), activation=activation, gated=True)


def read_head(theirs: Reading, softcap: float | None) -> HeadConfig:
    """The head by the names of this family; `softcap` where nothing is said."""
    return HeadConfig(
        tied=theirs.take("tie_word_embeddings", True),
        softcap=theirs.given("final_logit_softcapping", softcap),
    )


def _read(theirs: Reading) -> ModelConfig:
    norm, bias = read_norm(theirs), theirs.take("attention_bias", False)
    attention = read_attention(
        theirs,
        head_dim=theirs.take("head_dim", HEAD_DIM),
        qkv_bias=bias,
        out_bias=bias,
        scale=read_scale(theirs),
        softcap=theirs.given("attn_logit_softcapping", 50.0),
    )
    feed_forward = read_feed_forward(theirs)
    windows = read_windows(theirs, theirs.given("sliding_window", 4096), lambda layer: layer % 2 == 0)
    blocks = [
        BlockConfig(
            attention=attention.model_copy(update={"window": window}),
            feed_forward=feed_forward,
            norms=NormSlotsConfig(input=norm, output=norm),
        )
        for window in windows
    ]
    return read_around(theirs, *repeating(blocks), head=read_head(theirs, 30.0))


def written_by_these_names(config: ModelConfig, block: BlockConfig) -> dict[str, Any]:
    """The attributes of one block, all of whose others differ in windows and positions alone."""
    needed(config.final_norm, UnitOffsetRMSNormConfig, "RMS norms with gains around one")
    needed(block.norms.output, UnitOffsetRMSNormConfig, "such norms at both ends of a branch")
    attributes = {**written(config, block), **written_windows(config)}
    if attributes["sliding_window"] is None:
        del attributes["sliding_window"]  # Without a number it makes no model, even where no layer uses it.
    scale = block.attention.scale or config.head_dim(block) ** -0.5
    width = round(scale**-2)
    if width == 0 or width**-0.5 != scale:
        raise CannotHold(f"it scales scores by one over the root of a whole number, not by {scale}")
    return {
        **{name: value for name, value in attributes.items() if name != "hidden_act"},
        "hidden_activation": attributes["hidden_act"],
        "attention_bias": block.attention.qkv_bias,
        "query_pre_attn_scalar": width,
        "attn_logit_softcapping": block.attention.softcap,
        "final_logit_softcapping": config.head.softcap,
    }


def _write(config: ModelConfig) -> dict[str, Any]:
    return written_by_these_names(config, config.pattern[0])


FAMILIES = with_classifier(
    Family("gemma2", "Gemma2ForCausalLM", _read, _write, output_norm_rules, IGNORED),
    "Gemma2ForSequenceClassification",
)
