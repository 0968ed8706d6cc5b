"""Tiny models for tests: every way of wiring that the core knows, with weights that hide nothing.

Fresh weights are a poor test: gains of one and biases of zero leave an omitted factor unseen. `scrambled`
draws every parameter, gains and biases too.
"""

from __future__ import annotations

from typing import Any

import torch

from hornbook.model.config import (
    BlockConfig,
    EmbeddingConfig,
    HeadConfig,
    ModelConfig,
    NormSlotsConfig,
    ParallelWiring,
    StreamMixConfig,
)
from hornbook.model.models import CausalLM
from hornbook.model.part_config import (
    AlibiConfig,
    AttentionConfig,
    BlockLocalConfig,
    FeedForwardConfig,
    FixedConfig,
    LayerNormConfig,
    LearnedPositionConfig,
    MixtureConfig,
    RelativeBiasConfig,
    RelativeContentConfig,
    RMSNormConfig,
    RotaryConfig,
    SharedExpertConfig,
    SinusoidalPositionConfig,
    StridedConfig,
    UnitOffsetRMSNormConfig,
    ValueEmbeddingConfig,
    YarnScaling,
)

RMS = RMSNormConfig()
LAYER = LayerNormConfig()
UNIT = UnitOffsetRMSNormConfig()


def block(attention: dict[str, Any] | None = None, **fields: Any) -> BlockConfig:
    """A block of width 16: two rotary heads and a gated feed-forward, changed by what is given."""
    numbers = {"n_heads": 2, "position": RotaryConfig()} | (attention or {})
    defaults: dict[str, Any] = {"feed_forward": FeedForwardConfig(d_ff=24, gated=True)}
    return BlockConfig(attention=AttentionConfig(**numbers), **defaults | fields)


def model_config(*pattern: BlockConfig, **fields: Any) -> ModelConfig:
    """Two layers (or one round of the pattern) of width 16 over 31 tokens, context 12."""
    defaults: dict[str, Any] = {
        "vocab_size": 31,
        "d_model": 16,
        "n_layers": max(2, len(pattern)),
        "max_seq_len": 12,
        "pattern": pattern or (block(),),
    }
    return ModelConfig(**defaults | fields)


GPT2_LIKE = block(
    {"position": None, "qkv_bias": True, "out_bias": True},
    feed_forward=FeedForwardConfig(d_ff=24, activation="gelu_tanh", bias=True),
    norms=NormSlotsConfig(input=LAYER),
)

EXPERT = FeedForwardConfig(d_ff=12, gated=True)

CONFIGS: dict[str, ModelConfig] = {
    "rotary": model_config(),
    "grouped": model_config(block({"n_heads": 4, "n_kv_heads": 2, "qk_norm": RMS})),
    "one shared head": model_config(block({"n_heads": 4, "n_kv_heads": 1, "head_dim": 6})),
    "windowed": model_config(block({"window": 3})),
    "local and global": model_config(
        block({"window": 4, "n_kv_heads": 1}), block({"position": RotaryConfig(theta=500.0)}), n_layers=3
    ),
    "learned positions": model_config(
        GPT2_LIKE,
        embedding=EmbeddingConfig(position=LearnedPositionConfig()),
        final_norm=LAYER,
        head=HeadConfig(tied=True),
    ),
    "all norm slots": model_config(
        block(norms=NormSlotsConfig(input=RMS, output=LAYER, residual=LayerNormConfig(bias=False))),
        embedding=EmbeddingConfig(norm=RMS),
        head=HeadConfig(bias=True),
    ),
    "no positions": model_config(block({"position": None})),
    "distance": model_config(block({"position": AlibiConfig(), "n_heads": 4})),
    "relative bias": model_config(
        block({"position": RelativeBiasConfig(n_buckets=6, max_distance=7), "n_heads": 4})
    ),
    "sinusoids": model_config(
        block({"position": None}),
        embedding=EmbeddingConfig(position=SinusoidalPositionConfig(), scale=4.0),
        head=HeadConfig(scale=0.5, softcap=3.0),
    ),
    "bent scores": model_config(
        block({"scale": 0.7, "softcap": 2.0, "qk_norm": UNIT}, norms=NormSlotsConfig(input=UNIT, output=UNIT))
    ),
    "partly turned": model_config(
        block({"position": RotaryConfig(width=4, scaling=YarnScaling(factor=4.0, trained_len=8))})
    ),
    "by distance": model_config(
        block({"position": RelativeContentConfig(max_distance=5), "n_heads": 4, "n_kv_heads": 2}),
        block({"position": RelativeContentConfig(), "window": 4, "scale": 0.3}),
    ),
    "side by side": model_config(block(wiring=ParallelWiring())),
    "side by side, one norm": model_config(
        block(wiring=ParallelWiring(norm=LAYER), norms=NormSlotsConfig(output=RMS))
    ),
    "all heads normalised": model_config(
        block({"n_heads": 4, "n_kv_heads": 2, "qk_norm": RMS, "qk_norm_over": "all heads"})
    ),
    "strided": model_config(block({"sparse": StridedConfig(stride=3)})),
    "fixed, windowed": model_config(block({"sparse": FixedConfig(block=4, n_summary=2), "window": 7})),
    "block-local": model_config(
        block({"sparse": BlockLocalConfig(block=2, n_global=1), "position": AlibiConfig()}), block()
    ),
    "shortcuts": model_config(
        block(
            {"n_heads": 4, "n_kv_heads": 2, "value_embedding": ValueEmbeddingConfig(gate_width=6)},
            stream_mix=StreamMixConfig(embeddings=0.5),
        ),
        block(stream_mix=StreamMixConfig(stream=0.5, embeddings=1.0)),
    ),
    "experts": model_config(block(feed_forward=MixtureConfig(expert=EXPERT, n_experts=4, n_chosen=2))),
    "experts, one shared": model_config(
        block(
            feed_forward=MixtureConfig(
                expert=FeedForwardConfig(d_ff=12, activation="gelu", bias=True),
                n_experts=3,
                n_chosen=1,
                normalise=False,
                shared=SharedExpertConfig(expert=EXPERT, gate="sigmoid"),
            )
        ),
        block(),
    ),
}


def scrambled(config: ModelConfig, seed: int = 0) -> CausalLM:
    """A model with every parameter drawn: matrices wide enough that tokens differ, gains around one."""
    model = CausalLM(config, seed=0).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.4 * noise if parameter.ndim > 1 else parameter + 0.2 * noise)
    return model


def some_tokens(batch: int, seq: int, vocab_size: int = 31, seed: int = 0) -> torch.Tensor:
    """Token ids of a shape, the same for the same seed."""
    return torch.randint(vocab_size, (batch, seq), generator=torch.Generator().manual_seed(seed))
