"""Qwen3, dense (Qwen team 2025): as Llama, with normalised queries and keys and a head width of its own.

The later layers may see a window.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed
from hornbook.model.families.layers import read_late_windows, repeating, written_late_windows
from hornbook.model.families.llama import (
    IGNORED,
    read_attention,
    read_feed_forward,
    read_model,
    read_norm,
    rules,
    written,
)
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import RMSNormConfig


def _read(theirs: Reading) -> ModelConfig:
    norm, bias = read_norm(theirs), theirs.take("attention_bias", False)
    feed_forward, head_dim = read_feed_forward(theirs), theirs.take("head_dim", 128)
    blocks = [
        BlockConfig(
            attention=read_attention(
                theirs, head_dim=head_dim, qk_norm=norm, qkv_bias=bias, out_bias=bias, window=window
            ),
            feed_forward=feed_forward,
            norms=NormSlotsConfig(input=norm),
        )
        for window in read_late_windows(theirs)
    ]
    return read_model(theirs, *repeating(blocks))


def _write(config: ModelConfig) -> dict[str, Any]:
    attention = config.pattern[0].attention
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    needed(attention.qk_norm, RMSNormConfig, "norms of queries and keys")
    return {**written(config), "attention_bias": attention.qkv_bias, **written_late_windows(config)}


FAMILIES = with_classifier(
    Family("qwen3", "Qwen3ForCausalLM", _read, _write, rules, IGNORED), "Qwen3ForSequenceClassification"
)
