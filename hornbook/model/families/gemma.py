"""Gemma (Gemma team 2024): as Llama, with gains around one, scaled embeddings and a tied head.

The families after it share its names; they use what stands here.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, EmbeddingConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.llama import IGNORED, read_attention, read_model, rules, written
from hornbook.model.families.names import ACTIVATIONS
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import Activation, FeedForwardConfig, UnitOffsetRMSNormConfig

GELU_IS_TANH: dict[str, Activation] = {**ACTIVATIONS, "gelu": "gelu_tanh"}
"""The first configurations said `gelu`, and meant the approximation that the weights were trained with.

So transformers reads them, save for 4.57, the last of its version 4, which takes the word as it stands.
"""

HEAD_DIM = 256
"""The width of a head where nothing is said, whatever the width of the model."""


def read_activation(
    theirs: Reading, name: str, other_name: str, meanings: dict[str, Activation]
) -> Activation:
    """The activation by one of two names; the other one, which is not read there, must not contradict."""
    activation: Activation = theirs.choice(name, meanings, "gelu_pytorch_tanh")
    theirs.expect(other_name, None, *(each for each, meaning in meanings.items() if meaning == activation))
    return activation


def read_norm(theirs: Reading) -> UnitOffsetRMSNormConfig:
    """The norm that these families have everywhere."""
    return UnitOffsetRMSNormConfig(eps=theirs.take("rms_norm_eps", 1e-6))


def read_around(theirs: Reading, *pattern: BlockConfig, **more: Any) -> ModelConfig:
    """The model around the blocks, and what is said of how it is used."""
    theirs.expect("use_bidirectional_attention", None, False)
    theirs.take("cache_implementation", None)  # How keys are kept, not what they are.
    scale = theirs.take("hidden_size") ** 0.5
    return read_model(
        theirs,
        *pattern,
        tied=True,
        final_norm=read_norm(theirs),
        embedding=EmbeddingConfig(scale=scale),
        **more,
    )


def _read(theirs: Reading) -> ModelConfig:
    bias = theirs.take("attention_bias", False)
    block = BlockConfig(
        attention=read_attention(
            theirs, head_dim=theirs.take("head_dim", HEAD_DIM), qkv_bias=bias, out_bias=bias
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("intermediate_size"),
            activation=read_activation(theirs, "hidden_act", "hidden_activation", GELU_IS_TANH),
            gated=True,
        ),
        norms=NormSlotsConfig(input=read_norm(theirs)),
    )
    return read_around(theirs, block)


def _write(config: ModelConfig) -> dict[str, Any]:
    needed(config.final_norm, UnitOffsetRMSNormConfig, "RMS norms with gains around one")
    return {**written(config), "attention_bias": only_block(config).attention.qkv_bias}


FAMILIES = with_classifier(
    Family("gemma", "GemmaForCausalLM", _read, _write, rules, IGNORED), "GemmaForSequenceClassification"
)
