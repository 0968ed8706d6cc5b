"""Tiny encoders for tests, of width 16 over 31 tokens, with weights that hide nothing."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from model.small_models import LAYER, RMS, block

from hornbook.model.config import BlockConfig, EmbeddingConfig, NormSlotsConfig, StackConfig
from hornbook.model.encoder_config import (
    ClassifierConfig,
    MaskedHeadConfig,
    MaskedLMConfig,
    PoolerConfig,
    TransformConfig,
)
from hornbook.model.part_config import (
    AlibiConfig,
    FeedForwardConfig,
    LearnedPositionConfig,
    RelativeBiasConfig,
    RelativeContentConfig,
    StridedConfig,
)

Model = TypeVar("Model", bound=torch.nn.Module)

POST_NORM = block(
    {"position": None, "qkv_bias": True, "out_bias": True},
    feed_forward=FeedForwardConfig(d_ff=24, activation="gelu", bias=True),
    norms=NormSlotsConfig(residual=LAYER),
)
SEGMENTED = EmbeddingConfig(position=LearnedPositionConfig(), n_segments=2, norm=LAYER)


def stack(*pattern: BlockConfig, **fields: Any) -> dict[str, Any]:
    """The fields of a stack of two layers, context 12: as first published, changed by what is given."""
    defaults: dict[str, Any] = {
        "vocab_size": 31,
        "d_model": 16,
        "n_layers": max(2, len(pattern)),
        "max_seq_len": 12,
        "pattern": pattern or (POST_NORM,),
        "embedding": SEGMENTED,
        "final_norm": None,
    }
    return defaults | fields


ROTARY = stack(block({"n_heads": 4, "n_kv_heads": 2}), embedding=EmbeddingConfig(), final_norm=RMS)

MASKED: dict[str, MaskedLMConfig] = {
    "as published": MaskedLMConfig(**stack()),
    "rotary": MaskedLMConfig(**ROTARY),
    "untied, no transform": MaskedLMConfig(
        **stack(), head=MaskedHeadConfig(transform=None, tied=False, bias=False)
    ),
    "distance": MaskedLMConfig(
        **stack(block({"position": AlibiConfig(), "n_heads": 4}), embedding=EmbeddingConfig()),
        head=MaskedHeadConfig(transform=TransformConfig(activation="relu", norm=RMS, bias=False)),
    ),
    "relative bias": MaskedLMConfig(
        **stack(
            block({"position": RelativeBiasConfig(n_buckets=8, max_distance=7, both_ways=True)}),
            embedding=EmbeddingConfig(),
        )
    ),
    "by distance": MaskedLMConfig(
        **stack(block({"position": RelativeContentConfig()}), embedding=EmbeddingConfig())
    ),
    "sparse": MaskedLMConfig(
        **stack(block({"sparse": StridedConfig(stride=3)}), embedding=EmbeddingConfig())
    ),
}

CLASSIFIERS: dict[str, ClassifierConfig] = {
    "as published": ClassifierConfig(**stack(), n_classes=3, pooler=PoolerConfig(dropout=0.1), dropout=0.1),
    "rotary, mean": ClassifierConfig(**ROTARY, n_classes=2, pooling="mean"),
    "last": ClassifierConfig(**stack(), n_classes=1, pooling="last"),
    "causal, last": ClassifierConfig(
        **ROTARY, n_classes=3, class_names=("no", "yes", "who knows"), causal=True, pooling="last", bias=False
    ),
}

ENCODERS: dict[str, StackConfig] = {
    **{f"masked, {name}": config for name, config in MASKED.items()},
    **{f"classes, {name}": config for name, config in CLASSIFIERS.items()},
}


def scrambled(model: Model, seed: int = 0) -> Model:
    """The model with every parameter drawn: matrices wide enough that tokens differ, gains around one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            start = torch.zeros_like(parameter) if name.endswith("bias") else torch.ones_like(parameter)
            parameter.copy_(0.4 * noise if parameter.ndim > 1 else start + 0.2 * noise)
    return model.eval()
