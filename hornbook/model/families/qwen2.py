"""Qwen1.5, Qwen2 and Qwen2.5 (Yang et al. 2024): as Llama, with biases on queries, keys and values alone.

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
    theirs.expect("use_mrope", False)  # Positions in pictures.
    feed_forward, norms = read_feed_forward(theirs), NormSlotsConfig(input=read_norm(theirs))
    blocks = [
        BlockConfig(
            attention=read_attention(theirs, qkv_bias=True, window=window),
            feed_forward=feed_forward,
            norms=norms,
        )
        for window in read_late_windows(theirs)
    ]
    return read_model(theirs, *repeating(blocks))


def _write(config: ModelConfig) -> dict[str, Any]:
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    return {**written(config), **written_late_windows(config)}


FAMILIES = with_classifier(
    Family("qwen2", "Qwen2ForCausalLM", _read, _write, rules, IGNORED), "Qwen2ForSequenceClassification"
)
