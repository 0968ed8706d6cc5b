"""Mistral (Jiang et al. 2023): as Llama, where every layer may see no more than a window."""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
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
    block = BlockConfig(
        attention=read_attention(theirs, window=theirs.given("sliding_window", 4096)),
        feed_forward=read_feed_forward(theirs),
        norms=NormSlotsConfig(input=read_norm(theirs)),
    )
    return read_model(theirs, block)


def _write(config: ModelConfig) -> dict[str, Any]:
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    return {**written(config), "sliding_window": only_block(config).attention.window}


FAMILIES = with_classifier(
    Family("mistral", "MistralForCausalLM", _read, _write, rules, IGNORED), "MistralForSequenceClassification"
)
