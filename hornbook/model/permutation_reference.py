"""The two streams to read, in plain functions over named weights (Yang et al. 2019).

`attend` is attention to contents, distances and segments as a loop over queries and keys, `permutation_lm`
the model that predicts each token of a text from those before it in some order. The tests prove it equal to
`permutation.py`, and with it `relative_attention.py`. Nothing here is fast, batched or general.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hornbook.model.encoder_reference import gelu, layer_norm, linear
from hornbook.model.permutation_config import PermutationLMConfig
from hornbook.model.reference import softmax


def sines(distance: int, d_model: int) -> Float[Tensor, " d_model"]:
    """The vector of a distance: sines of ever longer waves, then their cosines (Vaswani et al. 2017, 3.5)."""
    angles = torch.tensor([distance / 10_000 ** (2 * i / d_model) for i in range(d_model // 2)])
    return torch.cat((angles.sin(), angles.cos()))


def attend(
    queries: Float[Tensor, "seq d_model"],
    contents: Float[Tensor, "seq d_model"],
    own: Mapping[str, Tensor],
    n_heads: int,
    segments: Int[Tensor, " seq"],
    seen: Bool[Tensor, "seq seq"],
) -> Float[Tensor, "seq d_model"]:
    """Each query asks the contents that it may see, and takes a share of each.

    The score of content j for query i is (q_i + u) k_j + (q_i + v) r_(i-j) + (q_i + s) e_ij, over the square
    root of the head's width (Dai et al. 2019, section 3.3; Yang et al. 2019, section 2.5). A query that sees
    nothing takes nothing. `own` are the weights of one layer's attention.
    """
    q, k, v = queries @ own["q.weight"].T, contents @ own["k.weight"].T, contents @ own["v.weight"].T
    taken = torch.zeros_like(q)
    for head in torch.arange(q.size(1)).chunk(n_heads):
        u, v_asked, s = (own[f"{name}bias"][head] for name in ("content_", "distance_", "segments."))
        same, other = own["segments.table.weight"][:, head]
        for i in range(len(q)):
            keys = [j for j in range(len(k)) if seen[i, j]]
            if not keys:
                continue
            scores = []
            for j in keys:
                r = own["distance.weight"][head] @ sines(i - j, queries.size(1))
                e = same if segments[i] == segments[j] else other
                scores.append(
                    (q[i, head] + u) @ k[j, head] + (q[i, head] + v_asked) @ r + (q[i, head] + s) @ e
                )
            shares = softmax(torch.stack(scores) / math.sqrt(len(head)))
            for share, j in zip(shares, keys, strict=True):
                taken[i, head] += share * v[j, head]
    return taken @ own["out.weight"].T


def permutation_lm(
    weights: Mapping[str, Tensor],
    config: PermutationLMConfig,
    tokens: Int[Tensor, " seq"],
    segments: Int[Tensor, " seq"],
    order: Int[Tensor, " seq"],
) -> tuple[Float[Tensor, "seq vocab"], Float[Tensor, "seq vocab"]]:
    """One sequence through both streams: the scores of every token, from the query and the content stream.

    A position sees the contents whose place in the order is before its own; in the content stream its own
    too. So a vector of the query stream, g, knows of its token no more than where it stands, and the token is
    predicted from it (Yang et al. 2019, section 2.3). `weights` are those of a model whose blocks are all of
    one kind, with a norm after each sum, biases in the feed-forward alone, and no norm at the end.
    """
    before, up_to = order < order[:, None], order <= order[:, None]
    h = weights["embedding.tokens.weight"][tokens]
    g = weights["query.weight"].expand_as(h)
    n_heads = config.pattern[0].attention.n_heads
    for layer in range(config.n_layers):
        own = {name.removeprefix(f"blocks.{layer}."): w for name, w in weights.items()}
        parts = {name.removeprefix("attention.layer."): w for name, w in own.items()}
        # What do the others say? Both streams ask the contents as they were before this layer.
        asked = attend(g, h, parts, n_heads, segments, before)
        mixed = attend(h, h, parts, n_heads, segments, up_to)
        # What follows from it?
        g, h = think(g + asked, own), think(h + mixed, own)
    return linear(g, weights, "head"), linear(h, weights, "head")


def think(x: Float[Tensor, "seq d_model"], own: Mapping[str, Tensor]) -> Float[Tensor, "seq d_model"]:
    """The norm after attention, and the feed-forward with its norm; both streams have the same weights."""
    x = layer_norm(x, own, "attention.residual_norm")
    inner = gelu(linear(x, own, "feed_forward.layer.up"))
    return layer_norm(x + linear(inner, own, "feed_forward.layer.down"), own, "feed_forward.residual_norm")
