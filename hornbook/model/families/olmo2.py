"""OLMo 2 (OLMo team 2024): as Llama, with norms at the end of each branch and none at its start.

Queries and keys are normalised over all heads together.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.llama import (
    IGNORED,
    output_norm_rules,
    read_attention,
    read_feed_forward,
    read_model,
    read_norm,
    written,
)
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import RMSNormConfig


def _read(theirs: Reading) -> ModelConfig:
    norm, bias = read_norm(theirs, eps=1e-5), theirs.take("attention_bias", False)
    block = BlockConfig(
        attention=read_attention(
            theirs, qk_norm=norm, qk_norm_over="all heads", qkv_bias=bias, out_bias=bias
        ),
        feed_forward=read_feed_forward(theirs),
        norms=NormSlotsConfig(output=norm),
    )
    return read_model(theirs, block, final_norm=norm)


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    needed(block.norms.output, RMSNormConfig, "RMS norms at the end of each branch")
    needed(block.attention.qk_norm, RMSNormConfig, "norms of queries and keys")
    return {**written(config), "attention_bias": block.attention.qkv_bias}


FAMILIES = with_classifier(
    Family("olmo2", "Olmo2ForCausalLM", _read, _write, output_norm_rules, IGNORED),
    "Olmo2ForSequenceClassification",
)
