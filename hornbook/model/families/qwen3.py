"""Qwen3, dense (Qwen team 2025): as Llama, with normalised queries and keys and a head width of its own."""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig, RMSNormConfig
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


def _read(theirs: Reading) -> ModelConfig:
    norm, bias = read_norm(theirs), theirs.take("attention_bias", False)
    theirs.expect("use_sliding_window", False)
    for name in ("sliding_window", "max_window_layers", "layer_types"):
        theirs.take(name, None)  # They say nothing while no window is used.
    block = BlockConfig(
        attention=read_attention(theirs, qk_norm=norm, qkv_bias=bias, out_bias=bias),
        feed_forward=read_feed_forward(theirs),
        norms=NormSlotsConfig(input=norm),
    )
    return read_model(theirs, block)


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    needed(block.attention.qk_norm, RMSNormConfig, "norms of queries and keys")
    return {**written(config), "attention_bias": block.attention.qkv_bias, "use_sliding_window": False}


FAMILY = Family("qwen3", "Qwen3ForCausalLM", _read, _write, rules, IGNORED)
