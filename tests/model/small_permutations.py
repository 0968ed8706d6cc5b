"""Tiny models that predict in any order, of width 16 over 31 tokens."""

from __future__ import annotations

from model.small_encoders import POST_NORM, stack
from model.small_models import RMS, block

from hornbook.model.config import EmbeddingConfig, ParallelWiring
from hornbook.model.encoder_config import MaskedHeadConfig, TransformConfig
from hornbook.model.part_config import (
    AttentionConfig,
    FixedConfig,
    RelativeContentConfig,
    ValueEmbeddingConfig,
)
from hornbook.model.permutation_config import PermutationLMConfig

BY_SEGMENT = RelativeContentConfig(by_segment=True)
PUBLISHED = POST_NORM.model_copy(update={"attention": AttentionConfig(n_heads=2, position=BY_SEGMENT)})
PLAIN = EmbeddingConfig()

PERMUTATIONS: dict[str, PermutationLMConfig] = {
    "as published": PermutationLMConfig(**stack(PUBLISHED, embedding=PLAIN)),
    "grouped, near, untied": PermutationLMConfig(
        **stack(
            block(
                {
                    "n_heads": 4, "n_kv_heads": 2, "head_dim": 6, "scale": 0.7, "qk_norm": RMS,
                    "position": RelativeContentConfig(max_distance=3), "qkv_bias": True, "out_bias": True,
                }
            ),
            embedding=PLAIN,
            final_norm=RMS,
        ),
        head=MaskedHeadConfig(transform=TransformConfig(), tied=False),
    ),
    "sparse, side by side": PermutationLMConfig(
        **stack(
            block(
                {
                    "position": BY_SEGMENT,
                    "sparse": FixedConfig(block=5, n_summary=2),
                    "value_embedding": ValueEmbeddingConfig(gate_width=3),
                },
                wiring=ParallelWiring(),
            ),
            embedding=PLAIN,
        )
    ),
}  # fmt: skip
