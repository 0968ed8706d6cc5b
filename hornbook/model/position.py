"""Positions: what makes a sequence out of a set of vectors.

Learned and sinusoidal ones are vectors added to the embeddings (`embedding.py`). Rotary ones turn queries
and keys: each pair of numbers in a head is a point in a plane, turned as the position grows. Number i of the
first half is paired with number i of the second half (the half-split layout); other layouts are undone at
import. A stack computes the angles once in a pass, for any positions, and its layers turn by them. Biases
are added to the scores: ALiBi lowers them by distance, a relative bias is learned. They are the same for all
layers, so that a stack computes them once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.part_config import (
    AlibiConfig,
    BiasConfig,
    ByPartsScaling,
    DynamicNTKScaling,
    LinearScaling,
    RelativeBiasConfig,
    RotaryConfig,
    YarnScaling,
)


class Turn(NamedTuple):
    """What turns the first `width` numbers of a head, at every position."""

    cos: Float[Tensor, "*batch seq width"]
    """By what a number is multiplied."""
    sin: Float[Tensor, "*batch seq width"]
    """By what the other number of its pair is, before it is added: the sine, negative in the first half."""


class Rotary:
    """Turns pair i of a head by position * theta^(-2i / width) (Su et al. 2021, equation 34)."""

    def __init__(self, config: RotaryConfig, head_dim: int) -> None:
        self.theta = config.theta
        self.width = config.width or head_dim
        self.scaling = config.scaling
        self.gain = _gain(config.scaling)

    def __call__(self, positions: Int[Tensor, "*batch seq"]) -> Turn:
        """The turn at each position, of one row for all of a batch or of one for each."""
        angle = positions[..., None] * self.frequencies(positions)
        cos, sin = self.gain * angle.cos(), self.gain * angle.sin()
        return Turn(torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1))

    def frequencies(self, positions: Int[Tensor, "*batch seq"]) -> Float[Tensor, " pairs"]:
        """How far each pair is turned from one position to the next, in radians."""
        exponent = torch.arange(0, self.width, 2, device=positions.device) / self.width
        scaling = self.scaling
        if isinstance(scaling, DynamicNTKScaling):
            seq_len = torch.clamp(positions.max() + 1, min=scaling.trained_len)
            growth = scaling.factor * seq_len / scaling.trained_len - (scaling.factor - 1)
            return (self.theta * growth ** (self.width / (self.width - 2))) ** -exponent
        plain = self.theta**-exponent
        if isinstance(scaling, LinearScaling):
            return plain / scaling.factor
        if isinstance(scaling, ByPartsScaling):
            turns = plain * scaling.trained_len / (2 * math.pi)
            kept = (turns - scaling.low_factor) / (scaling.high_factor - scaling.low_factor)
            return _blended(plain, scaling.factor, kept.clamp(0, 1))
        if isinstance(scaling, YarnScaling):
            fast, slow = (
                self._pair_that_turns(turns, scaling.trained_len)
                for turns in (scaling.fast_turns, scaling.slow_turns)
            )
            first, last = max(math.floor(fast), 0), min(math.ceil(slow), self.width - 1)
            pair = torch.arange(self.width // 2, device=positions.device)
            kept = 1 - ((pair - first) / max(last - first, 1e-3)).clamp(0, 1)
            return _blended(plain, scaling.factor, kept)
        return plain

    def _pair_that_turns(self, turns: float, seq_len: int) -> float:
        """The number of the pair that turns so often within a sequence, a fraction."""
        return self.width * math.log(seq_len / (turns * 2 * math.pi)) / (2 * math.log(self.theta))


def turned(
    x: Float[Tensor, "batch heads seq head_dim"], turn: Turn
) -> Float[Tensor, "batch heads seq head_dim"]:
    """Queries or keys with their first numbers turned; the numbers after those stay."""
    width = turn.cos.size(-1)
    cos, sin = (factor.to(x.dtype).unsqueeze(-3) for factor in turn)
    first = x[..., :width]
    first = torch.addcmul(first * cos, first.roll(width // 2, dims=-1), sin)
    return first if width == x.size(-1) else torch.cat((first, x[..., width:]), dim=-1)


def _blended(
    plain: Float[Tensor, " pairs"], factor: float, kept: Float[Tensor, " pairs"]
) -> Float[Tensor, " pairs"]:
    """Frequencies kept by a share, and divided by a factor by the rest of it."""
    return plain * kept + plain / factor * (1 - kept)


def _gain(scaling: object) -> float:
    """What YaRN multiplies queries and keys by (Peng et al. 2023, section 3.4)."""
    if not isinstance(scaling, YarnScaling):
        return 1.0
    return scaling.gain or (0.1 * math.log(scaling.factor) + 1 if scaling.factor > 1 else 1.0)


def alibi_slopes(n_heads: int) -> list[float]:
    """How fast the scores of each head fall: a geometric series from 2^(-8/n) on (Press et al. 2022).

    Where the number of heads is no power of two, the next lower one has its series, and the heads beyond
    it have every other number of the series of twice as many.
    """
    lower = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (head + 1) / lower) for head in range(lower)]
    between = [2 ** (-4 * (head + 1) / lower) for head in range(2 * lower)]
    return slopes + between[0::2][: n_heads - lower]


class Alibi(nn.Module):
    """What ALiBi adds to the scores."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.slopes = alibi_slopes(n_heads)

    def forward(self, n_query: int, n_key: int, device: torch.device) -> Float[Tensor, "1 heads query key"]:
        """The queries are the last positions of the keys'."""
        slopes = torch.tensor(self.slopes, device=device)
        return -slopes[None, :, None, None] * distances(n_query, n_key, device).abs()


class RelativeBias(nn.Module):
    """What is learned to be added to the scores, by bucket of distance and by head."""

    def __init__(self, config: RelativeBiasConfig, n_heads: int) -> None:
        super().__init__()
        self.max_distance, self.both_ways = config.max_distance, config.both_ways
        self.table = nn.Embedding(config.n_buckets, n_heads)

    def forward(self, n_query: int, n_key: int, device: torch.device) -> Float[Tensor, "1 heads query key"]:
        """The queries are the last positions of the keys'."""
        distance = distances(n_query, n_key, device)
        bucket = relative_bucket(distance, self.table.num_embeddings, self.max_distance, self.both_ways)
        return self.table(bucket).permute(2, 0, 1).unsqueeze(0)


def distances(n_query: int, n_key: int, device: torch.device) -> Int[Tensor, "query key"]:
    """How far before the query each key is; the queries are the last positions of the keys'."""
    key = torch.arange(n_key, device=device)
    return torch.arange(n_key - n_query, n_key, device=device)[:, None] - key


def relative_bucket(
    distance: Int[Tensor, "*n"], n_buckets: int, max_distance: int, both_ways: bool
) -> Int[Tensor, "*n"]:
    """The bucket of each distance: near ones have their own, further ones share (Raffel et al. 2020).

    With n buckets for a direction, distance d < n / 2 has bucket d, and others
    n / 2 + floor(n / 2 * log(d / (n / 2)) / log(max_distance / (n / 2))), at most n - 1. Keys ahead have the
    second half of the buckets, or bucket 0.
    """
    first = torch.zeros_like(distance)
    if both_ways:
        n_buckets //= 2
        first = (distance < 0).long() * n_buckets
        distance = distance.abs()
    distance = distance.clamp(min=0)
    near = n_buckets // 2
    growth = torch.log(distance.clamp(min=near) / near) / math.log(max_distance / near)
    far = (near + (growth * (n_buckets - near)).long()).clamp(max=n_buckets - 1)
    return first + torch.where(distance < near, distance, far)


def build_bias(config: BiasConfig, n_heads: int) -> Alibi | RelativeBias:
    """Return the module that computes a bias."""
    return Alibi(n_heads) if isinstance(config, AlibiConfig) else RelativeBias(config, n_heads)


def sinusoids(positions: Int[Tensor, "*batch seq"], d_model: int) -> Float[Tensor, "*batch seq d_model"]:
    """A vector for each position, sines in the first half and cosines in the second.

    The wavelengths grow from 2 pi to 10000 * 2 pi (Vaswani et al. 2017, section 3.5; there sines and cosines
    take turns).
    """
    exponent = torch.arange(0, d_model, 2, device=positions.device) / d_model
    angle = positions[..., None] * 10_000.0**-exponent
    return torch.cat((angle.sin(), angle.cos()), dim=-1)
