"""Gemma 3 (Gemma team 2025), its text model: as Gemma 2, with normalised queries and keys in place of caps.

Five layers of six see a window. Those that see everything have rotary positions of a greater base, which
alone are scaled.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed
from hornbook.model.families.gemma import HEAD_DIM, read_around, read_norm
from hornbook.model.families.gemma2 import read_feed_forward, read_head, read_scale, written_by_these_names
from hornbook.model.families.layers import FULL, SLIDING, layers_of, read_windows, repeating
from hornbook.model.families.llama import IGNORED, output_norm_rules, read_attention
from hornbook.model.families.names import rotary_of
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import RotaryConfig

FULL_THETA, SLIDING_THETA = 1_000_000.0, 10_000.0
"""The bases where nothing is said."""
LATER = {"type": "rope_type"}
"""The later name of what rotary positions have had two for."""


def _read(theirs: Reading) -> ModelConfig:
    norm, bias = read_norm(theirs), theirs.take("attention_bias", False)
    theirs.expect("attn_logit_softcapping", None)  # It has a name, and no effect.
    full, sliding = _read_positions(theirs)
    attention = read_attention(
        theirs,
        head_dim=theirs.take("head_dim", HEAD_DIM),
        position=full,
        qkv_bias=bias,
        out_bias=bias,
        scale=read_scale(theirs),
        qk_norm=norm,
    )
    feed_forward = read_feed_forward(theirs)
    period = theirs.take("sliding_window_pattern", 6)
    theirs.take("_sliding_window_pattern", None)  # The same, kept beside `layer_types`.
    window = theirs.given("sliding_window", 4096)
    blocks = [
        BlockConfig(
            attention=attention.model_copy(
                update={"window": window, "position": full if window is None else sliding}
            ),
            feed_forward=feed_forward,
            norms=NormSlotsConfig(input=norm, output=norm),
        )
        for window in read_windows(theirs, window, lambda layer: (layer + 1) % period != 0)
    ]
    return read_around(theirs, *repeating(blocks), head=read_head(theirs, None))


def _read_positions(theirs: Reading) -> tuple[RotaryConfig, RotaryConfig]:
    """The rotary positions of layers that see everything, and of those that see a window."""
    by_type = dict(theirs.take("rope_parameters", {}))
    full, sliding = dict(by_type.pop(FULL, None) or {}), dict(by_type.pop(SLIDING, None) or {})
    if by_type:
        raise theirs.refusal("rope_parameters", by_type, f"it has {FULL!r} and {SLIDING!r} alone")
    full |= theirs.take("rope_scaling", {})
    full_theta = full.pop("rope_theta", theirs.take("rope_theta", FULL_THETA))
    sliding_theta = sliding.pop("rope_theta", theirs.take("rope_local_base_freq", SLIDING_THETA))
    max_seq_len = theirs.take("max_position_embeddings")
    return (
        rotary_of(theirs, full, full_theta, max_seq_len, width=None),
        rotary_of(theirs, sliding, sliding_theta, max_seq_len, width=None),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    layers = layers_of(config)
    full = next((block for block in layers if block.attention.window is None), None)
    sliding = next((block for block in layers if block.attention.window is not None), None)
    attributes = written_by_these_names(config, full or layers[0])
    if scaling := attributes.get("rope_scaling"):
        # Here the former name of the kind is not known, and would say nothing.
        attributes["rope_scaling"] = {LATER.get(name, name): value for name, value in scaling.items()}
    if full is None:
        attributes["rope_theta"] = FULL_THETA
    if sliding is not None:
        position = needed(sliding.attention.position, RotaryConfig, "rotary positions")
        attributes["rope_local_base_freq"] = position.theta
    return attributes


FAMILIES = with_classifier(
    Family("gemma3_text", "Gemma3ForCausalLM", _read, _write, output_norm_rules, IGNORED),
    "Gemma3TextForSequenceClassification",
)
