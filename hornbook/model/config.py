"""What a transformer is, as data, built of the parts in `part_config.py`.

A `ModelConfig` fully describes a decoder: `n_layers` blocks, layer i taking `pattern[i % len(pattern)]`.
What it shares with encoders (`encoder_config.py`) is a `StackConfig`. Impossible combinations are refused
here, before any work.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from hornbook.base.config import Config
from hornbook.model.part_config import (
    AttentionConfig,
    BiasConfig,
    EmbeddedPositionConfig,
    NormConfig,
    PositionwiseConfig,
    RelativeContentConfig,
    RMSNormConfig,
    RotaryConfig,
    Share,
    SinusoidalPositionConfig,
)


class NormSlotsConfig(Config):
    """Where a residual branch is normalised; a slot that is None does nothing."""

    input: NormConfig | None = None
    """Before the layer (pre-norm)."""
    output: NormConfig | None = None
    """After the layer, inside the branch."""
    residual: NormConfig | None = None
    """After the sum (post-norm)."""


class SequentialWiring(Config):
    """Attention, then feed-forward, which sees what attention added."""

    kind: Literal["sequential"] = "sequential"


class ParallelWiring(Config):
    """Attention and feed-forward see the same input, and both are added to it (Wang and Komatsuzaki 2021)."""

    kind: Literal["parallel"] = "parallel"
    norm: NormConfig | None = None
    """One norm before both; None: each has its own input norm, if any."""


Wiring = Annotated[SequentialWiring | ParallelWiring, Field(discriminator="kind")]


class StreamMixConfig(Config):
    """A block reads a * stream + b * embeddings, with a and b learned (Jordan et al. 2024, speed runs)."""

    stream: float = 1.0
    """Where a starts."""
    embeddings: float = 0.0
    """Where b starts."""


class BlockConfig(Config):
    """Attention and feed-forward, each a residual branch."""

    attention: AttentionConfig
    """The attention part."""
    cross_attention: AttentionConfig | None = None
    """Attention to an encoder's output, between the two; None: none."""
    feed_forward: PositionwiseConfig
    """The feed-forward part, or a mixture of them."""
    norms: NormSlotsConfig = NormSlotsConfig(input=RMSNormConfig())
    """Norm slots of both branches."""
    wiring: Wiring = SequentialWiring()
    """How the branches stand to one another."""
    stream_mix: StreamMixConfig | None = None
    """What the block reads of the stream and of the embeddings; None: the stream as it is."""
    dropout: Share = 0.0
    """Share of each branch's output that is zeroed in training."""

    @pydantic.model_validator(mode="after")
    def _slots_fit(self) -> BlockConfig:
        if isinstance(self.wiring, ParallelWiring) and self.norms.residual is not None:
            raise ValueError(
                "branches in parallel make one sum, which has no norm: norms.residual must be null"
            )
        if isinstance(self.wiring, ParallelWiring) and self.cross_attention is not None:
            raise ValueError("cross attention stands between the branches: wiring must be sequential")
        across = self.cross_attention
        if across is not None and (across.position or across.window or across.sparse):
            raise ValueError(
                "cross attention sees all of the other text, whose positions are not its own: "
                "its position, window and sparse must be null"
            )
        if across is not None and across.value_embedding is not None:
            raise ValueError(
                "cross attention knows no tokens, only vectors: its value_embedding must be null"
            )
        return self


class EmbeddingConfig(Config):
    """How token ids become vectors."""

    scale: PositiveFloat | None = None
    """What the vectors of tokens are multiplied by; None: 1."""
    position: EmbeddedPositionConfig | None = None
    """Positions added to the embeddings; None: none."""
    n_segments: PositiveInt | None = None
    """Kinds of token, such as first and second text, each with a learned vector that is added; None: none."""
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
    scale: PositiveFloat | None = None
    """What the logits are multiplied by; None: 1."""
    softcap: PositiveFloat | None = None
    """Logits are bent to stay below this, softcap * tanh(logit / softcap); None: not."""


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


class MaximalUpdateInit(Config):
    """Matrices start so that what leaves them is as large at every width (Yang et al. 2022, table 8: muP).

    A matrix has standard deviation std * sqrt(base_d_model / fan in); those that end a branch are shrunk by
    depth as in `scaled_normal`, an untied head starts at zero, tables do not depend on the width. This is how
    such a model starts and no more: so that one learning rate serves every width, its logits want
    `head.scale` = base_d_model / d_model, its scores an attention `scale` in proportion to 1 / head_dim, and
    AdamW a learning rate of matrices in proportion to 1 / d_model.
    """

    kind: Literal["maximal_update"] = "maximal_update"
    base_d_model: PositiveInt
    """The width at which this is `scaled_normal`, the head aside."""
    std: PositiveFloat = 0.02
    """Standard deviation of tables, and of matrices at the base width."""


InitConfig = Annotated[ScaledNormalInit | ZeroOutputInit | MaximalUpdateInit, Field(discriminator="kind")]


class StackConfig(Config):
    """Embedding, blocks and final norm: all of a transformer but its head."""

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
    init: InitConfig = ScaledNormalInit()
    """How the weights start."""

    @pydantic.model_validator(mode="after")
    def _widths_fit(self) -> StackConfig:
        for block in self.pattern:
            for each in (block.attention, block.cross_attention):
                if each is not None and each.head_dim is None and self.d_model % each.n_heads:
                    raise ValueError(
                        f"n_heads {each.n_heads} does not divide d_model {self.d_model}; "
                        "choose a divisor or set head_dim"
                    )
            position, head_dim = block.attention.position, self.head_dim(block)
            if isinstance(position, RotaryConfig):
                if position.width is None and head_dim % 2:
                    raise ValueError(f"rotary positions need an even head width, not {head_dim}")
                if position.width is not None and position.width > head_dim:
                    raise ValueError(f"rotary width {position.width} is more than head_dim {head_dim}")
            extra = block.attention.value_embedding
            if extra is not None and extra.gate_width > self.d_model:
                raise ValueError(f"gate_width {extra.gate_width} is more than d_model {self.d_model}")
        by_sines = any(
            isinstance(position, SinusoidalPositionConfig | RelativeContentConfig)
            for position in (self.embedding.position, *(block.attention.position for block in self.pattern))
        )
        if by_sines and self.d_model % 2:
            raise ValueError(f"sinusoidal positions come in pairs: d_model {self.d_model} is odd")
        return self

    @pydantic.model_validator(mode="after")
    def _segments_count_once(self) -> StackConfig:
        if self.compares_segments and self.embedding.n_segments is not None:
            raise ValueError(
                "segments are compared in attention (by_segment) or added to the embeddings (n_segments), "
                "not both: embedding.n_segments must be null"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _one_bias(self) -> StackConfig:
        biased = [
            block.attention for block in self.pattern if isinstance(block.attention.position, BiasConfig)
        ]
        if any((each.position, each.n_heads) != (biased[0].position, biased[0].n_heads) for each in biased):
            raise ValueError(
                "all layers of a stack share one bias of positions: those that have one must have the same, "
                "and as many heads"
            )
        return self

    def head_dim(self, block: BlockConfig) -> int:
        """The width of one head in a block, whether given or derived."""
        return self.width_of_heads(block.attention)

    def width_of_heads(self, attention: AttentionConfig) -> int:
        """The same of one of its attention parts."""
        return attention.head_dim or self.d_model // attention.n_heads

    @property
    def compares_segments(self) -> bool:
        """Whether the scores of some layer depend on which tokens are of one segment."""
        positions = (block.attention.position for block in self.pattern)
        return any(isinstance(each, RelativeContentConfig) and each.by_segment for each in positions)

    @property
    def biased(self) -> AttentionConfig | None:
        """The attention that a bias of positions is for, that of the first layer which has one."""
        found = (block.attention for block in self.pattern)
        return next((each for each in found if isinstance(each.position, BiasConfig)), None)


class DecoderConfig(StackConfig):
    """A stack whose vectors become logits of the token that comes next; alone, or beside an encoder."""

    head: HeadConfig = HeadConfig()
    """The output side."""


class ModelConfig(DecoderConfig):
    """A decoder-only transformer, whole."""

    kind: Literal["causal_lm"] = "causal_lm"

    @pydantic.model_validator(mode="after")
    def _stands_alone(self) -> ModelConfig:
        if any(block.cross_attention is not None for block in self.pattern):
            raise ValueError(
                "cross attention reads an encoder, and a decoder alone has none: cross_attention must be null"
            )
        return self
