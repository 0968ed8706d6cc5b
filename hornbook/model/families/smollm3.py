"""SmolLM3 (Hugging Face 2025): as Llama, where some layers have no positions, every fourth as a rule.

The layers without may see a window.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import CannotHold, Family, needed
from hornbook.model.families.layers import layers_of, read_windows, repeating, written_windows
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
from hornbook.model.part_config import RMSNormConfig, RotaryConfig


def _read(theirs: Reading) -> ModelConfig:
    turned = _read_turned(theirs)
    window = theirs.take("sliding_window", None) if theirs.take("use_sliding_window", False) else None
    windows = read_windows(theirs, window, lambda layer: window is not None and not turned[layer])
    theirs.take("sliding_window", None)  # It says nothing while no window is used.
    theirs.take("max_window_layers", None)  # Nobody reads it; `layer_types` says it all.
    bias = theirs.take("attention_bias", False)
    attention = read_attention(theirs, 2_000_000.0, qkv_bias=bias, out_bias=bias)
    feed_forward = read_feed_forward(theirs, theirs.take("mlp_bias", False))
    norms = NormSlotsConfig(input=read_norm(theirs))
    blocks = [
        BlockConfig(
            attention=attention.model_copy(
                update={"window": window, "position": attention.position if is_turned else None}
            ),
            feed_forward=feed_forward,
            norms=norms,
        )
        for window, is_turned in zip(windows, turned, strict=True)
    ]
    return read_model(theirs, *repeating(blocks), tied=True)


def _read_turned(theirs: Reading) -> list[int]:
    """For each layer, 1 where it has rotary positions, and 0 where it has none."""
    n_layers, interval = theirs.take("num_hidden_layers"), theirs.take("no_rope_layer_interval", 4)
    rule = [int((layer + 1) % interval != 0) for layer in range(n_layers)]
    turned: list[int] = theirs.take("no_rope_layers", rule)
    if len(turned) < n_layers:
        raise theirs.refusal("no_rope_layers", turned, f"{n_layers} are expected")
    return turned[:n_layers]


def _write(config: ModelConfig) -> dict[str, Any]:
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    layers = layers_of(config)
    with_positions = next((block for block in layers if block.attention.position is not None), None)
    if with_positions is None:
        raise CannotHold("it has rotary positions in some layers")
    windows = written_windows(config)
    return {
        **written(config, with_positions),
        **windows,
        "use_sliding_window": windows["sliding_window"] is not None,
        "no_rope_layers": [int(isinstance(block.attention.position, RotaryConfig)) for block in layers],
        "attention_bias": with_positions.attention.qkv_bias,
        "mlp_bias": getattr(with_positions.feed_forward, "bias", False),
    }


FAMILIES = with_classifier(
    Family("smollm3", "SmolLM3ForCausalLM", _read, _write, rules, IGNORED), "SmolLM3ForSequenceClassification"
)
