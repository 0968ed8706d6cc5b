"""The parts of a transformer, as data: norms, positions, attention, feed-forward, mixtures of experts.

Every choice is a small frozen class with only its own numbers. A choice between kinds of one part (which
norm, which positions) is a union tagged by `kind`; a part that is absent is `None`. Impossible combinations
are refused here, before any work. What is built of these parts is in `config.py` and `encoder_config.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Discriminator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Tag

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


class UnitOffsetRMSNormConfig(Config):
    """The same with a gain of one plus what is learned, so that decay draws it to one."""

    kind: Literal["unit_offset_rms_norm"] = "unit_offset_rms_norm"
    eps: PositiveFloat = 1e-6
    """Added to the mean square."""


NormConfig = Annotated[LayerNormConfig | RMSNormConfig | UnitOffsetRMSNormConfig, Field(discriminator="kind")]


class LearnedPositionConfig(Config):
    """One learned vector for each position up to `max_seq_len`, added to the embeddings."""

    kind: Literal["learned"] = "learned"


class SinusoidalPositionConfig(Config):
    """A fixed vector of sines for each position, added to the embeddings (Vaswani et al. 2017)."""

    kind: Literal["sinusoidal"] = "sinusoidal"


EmbeddedPositionConfig = Annotated[
    LearnedPositionConfig | SinusoidalPositionConfig, Field(discriminator="kind")
]


class LinearScaling(Config):
    """Positions are divided by a factor, so that more of them fit the trained range (Chen et al. 2023)."""

    kind: Literal["linear"] = "linear"
    factor: PositiveFloat
    """What positions are divided by."""


class DynamicNTKScaling(Config):
    """Beyond the trained range the base grows with the length (emozilla 2023, in Peng et al. 2023).

    Keys that a cache holds keep the angles they were stored with.
    """

    kind: Literal["dynamic_ntk"] = "dynamic_ntk"
    factor: PositiveFloat
    """How fast the base grows."""
    trained_len: PositiveInt
    """The longest sequence of the training without scaling, in tokens."""


class ByPartsScaling(Config):
    """Long wavelengths grow by a factor, short ones stay, those between are blended (Dubey et al. 2024)."""

    kind: Literal["by_parts"] = "by_parts"
    factor: PositiveFloat
    """What the frequencies of long wavelengths are divided by."""
    low_factor: PositiveFloat
    """Wavelengths above trained_len / low_factor are long."""
    high_factor: PositiveFloat
    """Wavelengths below trained_len / high_factor are short."""
    trained_len: PositiveInt
    """The longest sequence of the training without scaling, in tokens."""


class YarnScaling(Config):
    """The same by how often a pair turns within the trained range, and sharper scores (Peng et al. 2023)."""

    kind: Literal["yarn"] = "yarn"
    factor: PositiveFloat
    """What the frequencies of pairs that turn seldom are divided by."""
    trained_len: PositiveInt
    """The longest sequence of the training without scaling, in tokens."""
    fast_turns: PositiveFloat = 32.0
    """Pairs that turn more often within `trained_len` keep their frequency."""
    slow_turns: PositiveFloat = 1.0
    """Pairs that turn less often are divided by the whole factor."""
    gain: PositiveFloat | None = None
    """What queries and keys are multiplied by; None: 0.1 ln(factor) + 1."""


RotaryScaling = Annotated[
    LinearScaling | DynamicNTKScaling | ByPartsScaling | YarnScaling, Field(discriminator="kind")
]


class RotaryConfig(Config):
    """Rotary positions (Su et al. 2021): queries and keys turned by an angle that grows with position."""

    kind: Literal["rotary"] = "rotary"
    theta: PositiveFloat = 10_000.0
    """Base of the geometric series of wavelengths."""
    width: PositiveInt | None = None
    """How many numbers of a head are turned, the first ones; None: all."""
    scaling: RotaryScaling | None = None
    """How longer sequences than those of the training are reached; None: not."""

    @pydantic.model_validator(mode="after")
    def _in_pairs(self) -> RotaryConfig:
        if self.width is not None and self.width % 2:
            raise ValueError(f"rotary positions turn pairs of numbers: width {self.width} is odd")
        return self


class AlibiConfig(Config):
    """Scores fall with distance, in each head at its own fixed rate (Press et al. 2022)."""

    kind: Literal["alibi"] = "alibi"


class RelativeBiasConfig(Config):
    """A learned number for each head and distance is added to the scores (Raffel et al. 2020, section 2.1).

    Near distances have a number each; further ones share, in buckets that grow in geometric series. All
    layers of a stack share one table.
    """

    kind: Literal["relative_bias"] = "relative_bias"
    n_buckets: Annotated[int, Field(ge=4, multiple_of=2)] = 32
    """Numbers for each head; half of them for the near distances."""
    max_distance: PositiveInt = 128
    """From this distance on all share the last bucket."""
    both_ways: bool = False
    """Whether half of the buckets are for keys ahead of the query; otherwise those count as distance zero."""

    @pydantic.model_validator(mode="after")
    def _buckets_grow(self) -> RelativeBiasConfig:
        near = self.n_buckets // (4 if self.both_ways else 2)
        if self.max_distance <= near:
            raise ValueError(
                f"the first {near} distances have a bucket each, so max_distance must be more: not "
                f"{self.max_distance}"
            )
        return self


BiasConfig = AlibiConfig | RelativeBiasConfig
"""Positions that are added to the scores."""


class RelativeContentConfig(Config):
    """Scores have a term for what is asked and how far away a key is (Dai et al. 2019, section 3.3).

    Each distance is a vector of sines, which each layer projects as it projects keys. What its queries ask in
    any case, of keys and of distances, is learned beside.
    """

    kind: Literal["relative_content"] = "relative_content"
    max_distance: PositiveInt | None = None
    """From this distance on, before and after the query, all are the same; None: no two are."""
    by_segment: bool = False
    """Whether scores have a term for keys of the same segment too, and one for others (Yang et al. 2019)."""


PositionConfig = Annotated[
    RotaryConfig | AlibiConfig | RelativeBiasConfig | RelativeContentConfig, Field(discriminator="kind")
]


class StridedConfig(Config):
    """A query sees the positions just before it, and every stride-th one further back.

    Key j is seen from query i where i - j < stride or stride divides i - j (Child et al. 2019, section 4.3:
    the union of its two sets, which every head sees; the paper's "merged head"). Where a mask is not causal,
    distances count in both directions.
    """

    kind: Literal["strided"] = "strided"
    stride: PositiveInt
    """How many positions back are all seen, itself included, and how far apart the others are."""


class FixedConfig(Config):
    """A query sees its own block, and the last positions of every block, which can sum their block up.

    Key j is seen from query i where both are in one block or j is among the last `n_summary` positions of its
    block (Child et al. 2019, section 4.3: the union of its two sets, in every head). Under a causal mask
    these are the blocks before. Blocks are counted from the start of the row, whatever documents it holds.
    """

    kind: Literal["fixed"] = "fixed"
    block: PositiveInt
    """Positions in a block (the paper's stride)."""
    n_summary: PositiveInt
    """How many positions at the end of a block all later ones see (the paper's c)."""

    @pydantic.model_validator(mode="after")
    def _fits_a_block(self) -> FixedConfig:
        if self.n_summary > self.block:
            raise ValueError(f"n_summary {self.n_summary} is more than a block of {self.block} holds")
        return self


class BlockLocalConfig(Config):
    """A query sees its own block and the one before it, and the first positions of all.

    Key j is seen from query i where their blocks are the same or next to one another, or where one of the two
    is among the first `n_global` positions: the window and the global tokens of Beltagy et al. 2020 and
    Zaheer et al. 2020, in whole blocks. Where a mask is not causal, the block after is seen too, and the
    first positions see everything. Blocks are counted from the start of the row, whatever documents it holds.
    """

    kind: Literal["block_local"] = "block_local"
    block: PositiveInt
    """Positions in a block."""
    n_global: NonNegativeInt = 0
    """How many positions at the start of the row all others see."""


SparseConfig = Annotated[StridedConfig | FixedConfig | BlockLocalConfig, Field(discriminator="kind")]


class ValueEmbeddingConfig(Config):
    """A second table of the vocabulary, of which a token's row is added to its values.

    Each key and value head weighs it by 2 sigmoid(w x), where x are the first numbers of the layer's input,
    and w starts at zero: so the weight starts at one (Jordan et al. 2024, speed runs; values carried past
    layers are due to Zhou et al. 2024).
    """

    gate_width: PositiveInt = 32
    """How many numbers of the input the weights are made of."""


class AttentionConfig(Config):
    """Multi-head attention; fewer key and value heads than query heads make it grouped-query."""

    n_heads: PositiveInt
    """Query heads."""
    n_kv_heads: PositiveInt | None = None
    """Key and value heads, a divisor of `n_heads`; None: as many as query heads."""
    head_dim: PositiveInt | None = None
    """Width of one head; None: d_model / n_heads."""
    position: PositionConfig | None = None
    """Positions used inside attention; None: none."""
    scale: PositiveFloat | None = None
    """What scores are multiplied by; None: 1 / sqrt(head_dim)."""
    softcap: PositiveFloat | None = None
    """Scores are bent to stay below this, softcap * tanh(score / softcap); None: not."""
    qk_norm: NormConfig | None = None
    """Norm over the head width of queries and keys, before positions; None: none."""
    qk_norm_over: Literal["head", "all heads"] = "head"
    """Whether that norm is over each head or over all heads together."""
    qkv_bias: bool = False
    """Whether the query, key and value projections have a bias."""
    out_bias: bool = False
    """Whether the output projection has a bias."""
    window: PositiveInt | None = None
    """How many positions back a query sees, itself included, and ahead where it may look there; None: all."""
    value_embedding: ValueEmbeddingConfig | None = None
    """What a token's values get beside their projection; None: nothing."""
    sparse: SparseConfig | None = None
    """Which of the positions a query sees, by a fixed pattern; None: all that the mask lets it see."""
    dropout: Share = 0.0
    """Share of the attention weights that is zeroed in training."""

    @pydantic.model_validator(mode="after")
    def _heads_fit(self) -> AttentionConfig:
        if self.n_kv_heads is not None and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads {self.n_kv_heads} does not divide n_heads {self.n_heads}")
        turns_all = isinstance(self.position, RotaryConfig) and self.position.width is None
        if turns_all and self.head_dim is not None and self.head_dim % 2:
            raise ValueError(f"rotary positions turn pairs of numbers: head_dim {self.head_dim} is odd")
        if isinstance(self.position, RelativeContentConfig) and self.softcap is not None:
            raise ValueError("scores that are asked by distance have no cap: softcap must be null")
        return self


class FeedForwardConfig(Config):
    """Two projections around an activation; gated, a third one multiplies it (Shazeer 2020)."""

    kind: Literal["dense"] = "dense"
    d_ff: PositiveInt
    """Inner width."""
    activation: Activation = "silu"
    """The function between the projections."""
    gated: bool = False
    """Whether the activation gates a second up-projection (SwiGLU and kin)."""
    bias: bool = False
    """Whether the projections have a bias."""
    dropout: Share = 0.0
    """Share of the numbers between the projections that is zeroed in training."""


class SharedExpertConfig(Config):
    """An expert that every token goes through, beside those that are chosen for it (Dai et al. 2024)."""

    expert: FeedForwardConfig
    """The expert."""
    gate: Literal["open", "sigmoid"] = "open"
    """Whether its output is added as it is, or times a learned sigmoid of the token."""


class MixtureConfig(Config):
    """Many feed-forward parts, of which a router chooses a few for each token (Shazeer et al. 2017)."""

    kind: Literal["mixture"] = "mixture"
    expert: FeedForwardConfig
    """One expert; all have the same numbers."""
    n_experts: PositiveInt
    """Experts to choose from."""
    n_chosen: PositiveInt
    """Experts that a token goes through, those of the greatest probability."""
    normalise: bool = True
    """Whether the chosen probabilities are made to sum to one before they weigh the outputs."""
    shared: SharedExpertConfig | None = None
    """An expert for every token; None: none."""
    balance: NonNegativeFloat = 0.01
    """Weight of the loss that keeps the experts evenly used, beside a loss in nats per prediction."""

    @pydantic.model_validator(mode="after")
    def _enough_to_choose(self) -> MixtureConfig:
        if self.n_chosen > self.n_experts:
            raise ValueError(f"n_chosen {self.n_chosen} is more than n_experts {self.n_experts}")
        return self


def kind_or(default: str) -> Discriminator:
    """Tell the members of a union by `kind`, where there was one kind once and it was not written down."""

    def kind(value: Any) -> str:
        said = value.get("kind", default) if isinstance(value, Mapping) else getattr(value, "kind", default)
        return str(said)

    return Discriminator(kind)


PositionwiseConfig = Annotated[
    Annotated[FeedForwardConfig, Tag("dense")] | Annotated[MixtureConfig, Tag("mixture")],
    kind_or("dense"),
]
"""What works on each position for itself."""
