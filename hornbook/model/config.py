"""What a transformer is, as data: every choice is a small frozen class with only its own numbers.

A `ModelConfig` fully describes a decoder: `n_layers` blocks, layer i taking `pattern[i % len(pattern)]`.
A choice between kinds of one part (which norm, which positions) is a union tagged by `kind`; a part
that is absent is `None`. Impossible combinations are refused here, before any work.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from hornbook.base.config import Config

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Activation = Literal["relu", "relu_squared", "gelu", "gelu_tanh", "silu"]


class LayerNormConfig(Config):
    """Layer normalisation (Ba et al. 2016): centred and scaled, then gain and bias."""

    kind: Literal["layer_norm"] = "layer_norm"
    eps: PositiveFloat = 1e-5
    """Added to the variance."""
    bias: bool = True
    """Whether a bias is learned beside the gain."""


class RMSNormConfig(Config):
    """Root-mean-square normalisation (Zhang and Sennrich 2019): scaled, then gain."""

    kind: Literal["rms_norm"] = "rms_norm"
    eps: PositiveFloat = 1e-6
    """Added to the mean square."""


NormConfig = Annotated[LayerNormConfig | RMSNormConfig, Field(discriminator="kind")]


class LearnedPositionConfig(Config):
    """One learned vector for each position up to `max_seq_len`, added to the embeddings."""

    kind: Literal["learned"] = "learned"


class RotaryConfig(Config):
    """Rotary positions (Su et al. 2021): queries and keys turned by an angle that grows with position."""

    kind: Literal["rotary"] = "rotary"
    theta: PositiveFloat = 10_000.0
    """Base of the geometric series of wavelengths."""


class AttentionConfig(Config):
    """Multi-head attention; fewer key and value heads than query heads make it grouped-query."""

    n_heads: PositiveInt
    """Query heads."""
    n_kv_heads: PositiveInt | None = None
    """Key and value heads, a divisor of `n_heads`; None: as many as query heads."""
    head_dim: PositiveInt | None = None
    """Width of one head; None: d_model / n_heads."""
    position: RotaryConfig | None = None
    """Positions used inside attention; None: none."""
    qk_norm: NormConfig | None = None
    """Norm over the head width of queries and keys, before positions; None: none."""
    qkv_bias: bool = False
    """Whether the query, key and value projections have a bias."""
    out_bias: bool = False
    """Whether the output projection has a bias."""
    window: PositiveInt | None = None
    """How many positions back a query sees, itself included; None: all."""

    @pydantic.model_validator(mode="after")
    def _heads_fit(self) -> AttentionConfig:
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads {self.n_kv_heads} does not divide n_heads {self.n_heads}")
        if self.position is not None and self.head_dim is not None and self.head_dim % 2:
            raise ValueError(f"rotary positions turn pairs of numbers: head_dim {self.head_dim} is odd")
        return self


class FeedForwardConfig(Config):
    """Two projections around an activation; gated, a third one multiplies it (Shazeer 2020)."""

    d_ff: PositiveInt
    """Inner width."""
    activation: Activation = "silu"
    """The function between the projections."""
    gated: bool = False
    """Whether the activation gates a second up-projection (SwiGLU and kin)."""
    bias: bool = False
    """Whether the projections have a bias."""


class NormSlotsConfig(Config):
    """Where a residual branch is normalised; a slot that is None does nothing."""

    input: NormConfig | None = None
    """Before the layer (pre-norm)."""
    output: NormConfig | None = None
    """After the layer, inside the branch."""
    residual: NormConfig | None = None
    """After the sum (post-norm)."""


class BlockConfig(Config):
    """Attention, then feed-forward, each a residual branch."""

    attention: AttentionConfig
    """The attention part."""
    feed_forward: FeedForwardConfig
    """The feed-forward part."""
    norms: NormSlotsConfig = NormSlotsConfig(input=RMSNormConfig())
    """Norm slots of both branches."""
    dropout: Share = 0.0
    """Share of each branch's output that is zeroed in training."""


class EmbeddingConfig(Config):
    """How token ids become vectors."""

    position: LearnedPositionConfig | None = None
    """Positions added to the embeddings; None: none."""
    norm: NormConfig | None = None
    """Norm over the embeddings; None: none."""
    dropout: Share = 0.0
    """Share of the embeddings that is zeroed in training."""


class HeadConfig(Config):
    """How the last vectors become logits."""

    tied: bool = False
    """Whether the output matrix is the embedding matrix."""
    bias: bool = False
    """Whether the logits have a bias."""


class ScaledNormalInit(Config):
    """GPT-2's start (Radford et al. 2019): normal weights, those that end a branch shrunk by depth."""

    kind: Literal["scaled_normal"] = "scaled_normal"
    std: PositiveFloat = 0.02
    """Standard deviation; branch outputs get std / sqrt(2 n_layers)."""


class ZeroOutputInit(Config):
    """Each branch and the head start at zero, so that the model starts as its own embedding.

    The other matrices are uniform with standard deviation gain / sqrt(fan in). Zero-initialised branch
    ends are due to Goyal et al. 2017 and Zhang et al. 2019 (Fixup). A tied head starts as the embedding.
    """

    kind: Literal["zero_output"] = "zero_output"
    gain: PositiveFloat = 0.5
    """Standard deviation of a matrix times the square root of its input width."""
    embedding_std: PositiveFloat = 0.02
    """Standard deviation of the embeddings."""


InitConfig = Annotated[ScaledNormalInit | ZeroOutputInit, Field(discriminator="kind")]


class ModelConfig(Config):
    """A decoder-only transformer, whole."""

    vocab_size: PositiveInt
    """Number of token ids."""
    d_model: PositiveInt
    """Width of the residual stream."""
    n_layers: PositiveInt
    """Number of blocks."""
    max_seq_len: PositiveInt
    """Most tokens the model takes at once."""
    pattern: Annotated[tuple[BlockConfig, ...], Field(min_length=1)]
    """Kinds of block, repeated over the layers."""
    embedding: EmbeddingConfig = EmbeddingConfig()
    """The input side."""
    final_norm: NormConfig | None = RMSNormConfig()
    """Norm before the head; None: none."""
    head: HeadConfig = HeadConfig()
    """The output side."""
    init: InitConfig = ScaledNormalInit()
    """How the weights start."""

    @pydantic.model_validator(mode="after")
    def _widths_fit(self) -> ModelConfig:
        for block in self.pattern:
            attention = block.attention
            if attention.head_dim is None and self.d_model % attention.n_heads:
                raise ValueError(
                    f"n_heads {attention.n_heads} does not divide d_model {self.d_model}; "
                    "choose a divisor or set head_dim"
                )
            if attention.position is not None and self.head_dim(block) % 2:
                raise ValueError(f"rotary positions need an even head width, not {self.head_dim(block)}")
        return self

    def head_dim(self, block: BlockConfig) -> int:
        """The width of one head in a block, whether given or derived."""
        return block.attention.head_dim or self.d_model // block.attention.n_heads
