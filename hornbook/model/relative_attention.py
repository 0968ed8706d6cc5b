"""Attention that asks how far away a key is, as it asks what a key says (Dai et al. 2019, section 3.3).

The score of key j for query i is

    (q_i + u) k_j + (q_i + v) r_(i-j) + (q_i + s) e_ij

where r_(i-j) is the projection of a vector of sines for the distance, and u, v and s are learned: what is
asked in any case. The last term stands where segments are compared: e_ij is one learned vector where i and j
are of one segment, and another where they are not (Yang et al. 2019, section 2.5).

A second stream of queries can read the same keys, for a model that predicts the tokens in any order
(`permutation.py`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.attend import attend
from hornbook.model.attention import Attention, Heads, Keys
from hornbook.model.cache import BlockCache
from hornbook.model.context import BlockContext
from hornbook.model.part_config import AttentionConfig, RelativeContentConfig
from hornbook.model.position import sinusoids


class RelativeAttention(Attention):
    """Attention to contents and to distances."""

    def __init__(self, config: AttentionConfig, d_model: int, head_dim: int, vocab_size: int) -> None:
        super().__init__(config, d_model, head_dim, vocab_size)
        assert isinstance(config.position, RelativeContentConfig)
        width = self.q.out_features
        self.max_distance = config.position.max_distance
        self.content_bias = nn.Parameter(torch.zeros(width))
        self.distance = nn.Linear(d_model, width, bias=False)
        self.distance_bias = nn.Parameter(torch.zeros(width))
        self.segments = SegmentScores(width, head_dim) if config.position.by_segment else None

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: BlockCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """With a second stream, `x` has its vectors after those of the text; both read the text's keys."""
        if context.query_mask is None:
            return super().forward(x, context, cache)
        content, query = x.chunk(2, dim=1)
        k, v = self._keys(content), self._values(content, context)
        mask, query_mask = self._sight(context.mask), self._sight(context.query_mask)
        mixed = self._mix(self._queries(content), k, v, replace(context, mask=mask))
        asked = self._mix(self._queries(query), k, v, replace(context, mask=query_mask))
        # The first in the order sees nothing, and must not get the mean of what is hidden from it.
        sees_nothing = ~query_mask.dense(k.size(2), k.size(2), k.device).any(-1, keepdim=True)
        both = torch.cat((mixed, asked.masked_fill(sees_nothing, 0.0)), dim=2)
        return self.out(both.transpose(1, 2).flatten(2))

    def _mixed(self, q: Heads, k: Keys, v: Keys, context: BlockContext) -> Float[Tensor, "batch seq d_model"]:
        return self.out(self._mix(q, k, v, context).transpose(1, 2).flatten(2))

    def _mix(self, q: Heads, k: Keys, v: Keys, context: BlockContext) -> Heads:
        """What each head takes of the values."""
        scale = self.head_dim**-0.5 if self.scale is None else self.scale
        scores = self._distance_scores(q, k.size(2))
        if self.segments is not None and context.segments is not None:
            if context.segments.size(1) != k.size(2):
                raise ConfigError(
                    "a cache keeps no segments: leave them out, or compute the whole text at once"
                )
            scores = scores + self.segments(q, context.segments)
        dropout = self.dropout if self.training else 0.0
        asked = q + by_head(self.content_bias, q)
        return attend(
            asked,
            k,
            v,
            context.mask,
            scale=scale,
            bias=scale * scores,
            dropout=dropout,
            tiles=context.tiles,
        )

    def _distance_scores(self, q: Heads, n_key: int) -> Float[Tensor, "batch heads seq key"]:
        """(q + v) r, for queries that are the last of the keys."""
        distances = torch.arange(n_key, -q.size(2), -1, device=q.device)
        if self.max_distance is not None:
            distances = distances.clamp(-self.max_distance, self.max_distance)
        vectors = sinusoids(distances, self.distance.in_features).to(self.distance.weight.dtype)
        r = self.distance(vectors).unflatten(-1, (-1, self.head_dim)).transpose(0, 1)
        return by_distance((q + by_head(self.distance_bias, q)) @ r.mT, n_key)


class SegmentScores(nn.Module):
    """(q + s) e, where e is one vector for keys of the query's segment and another for the rest."""

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.bias = nn.Parameter(torch.zeros(width))
        self.table = nn.Embedding(2, width)

    def forward(self, q: Heads, segments: Int[Tensor, "batch key"]) -> Float[Tensor, "batch heads seq key"]:
        """The queries are the last of the keys."""
        e = self.table.weight.to(q.dtype).unflatten(-1, (-1, self.head_dim)).transpose(0, 1)
        same, other = ((q + by_head(self.bias, q)) @ e.mT).split(1, dim=-1)
        own = segments[:, segments.size(1) - q.size(2) :]
        return torch.where(own[:, None, :, None] == segments[:, None, None, :], same, other)


def by_head(vector: Float[Tensor, " width"], q: Heads) -> Float[Tensor, "heads 1 head_dim"]:
    """A learned vector as it is added to queries."""
    return vector.to(q.dtype).unflatten(0, (-1, 1, q.size(-1)))


def by_distance(
    scores: Float[Tensor, "batch heads seq span"], n_key: int
) -> Float[Tensor, "batch heads seq key"]:
    """The score of each query and key, from those of each query and distance.

    Column p is for the distance n_key - p, and query i is at key n_key - seq + i. So key j of query i is in
    column seq - i + j, which is one less from query to query: as it stands where rows are cut one short.
    """
    n_query, span = scores.shape[-2:]
    return scores.flatten(-2)[..., n_query:].unflatten(-1, (n_query, span - 1))[..., :n_key]
