"""The transformer to read: plain functions over named weights, as the papers write it.

`attend` is attention as loops over heads and queries, `decoder` a whole decoder-only model of the kind
the quickstart trains: RMSNorm, rotary positions, normalised queries and keys, gated feed-forward. The
tests prove both equal to the fast parts of this room: same weights, same numbers. Nothing here is fast,
batched or general.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hornbook.model.config import ModelConfig
from hornbook.model.part_config import RotaryConfig


def attend(
    q: Float[Tensor, "heads query head_dim"],
    k: Float[Tensor, "kv_heads key head_dim"],
    v: Float[Tensor, "kv_heads key head_dim"],
    seen: Bool[Tensor, "query key"],
    *,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Float[Tensor, "heads query key"] | None = None,
) -> Float[Tensor, "heads query head_dim"]:
    """Each query asks every key it may see how well they agree, and takes that share of its value.

    Scaled dot-product attention (Vaswani et al. 2017, equation 1). Several query heads may share one
    key and value head: head h uses number h // (heads / kv_heads) (Ainslie et al. 2023). A score may be
    scaled otherwise than by 1 / sqrt(head_dim), bent to stay below a cap, and have something added.
    """
    n_heads, n_query, head_dim = q.shape
    group = n_heads // k.size(0)
    scale = 1 / math.sqrt(head_dim) if scale is None else scale
    mixed = torch.zeros_like(q)
    for h in range(n_heads):
        for i in range(n_query):
            scores = torch.stack([scale * (q[h, i] @ key) for key in k[h // group]])
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            if bias is not None:
                scores = scores + bias[h, i]
            scores[~seen[i]] = -math.inf
            shares = softmax(scores)
            for share, value in zip(shares, v[h // group], strict=True):
                mixed[h, i] += share * value
    return mixed


def softmax(x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Numbers to shares that sum to one; subtracting the largest first keeps exp in range."""
    powers = torch.exp(x - x.max())
    return powers / powers.sum()


def rms_norm(x: Float[Tensor, "*n d"], gain: Float[Tensor, " d"], eps: float) -> Float[Tensor, "*n d"]:
    """Scale each vector to a mean square of one, then by a learned gain (Zhang and Sennrich 2019)."""
    return gain * x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps)


def rotate(x: Float[Tensor, "heads seq head_dim"], theta: float) -> Float[Tensor, "heads seq head_dim"]:
    """Turn pair i of a head at position t by the angle t / theta^(2i / head_dim) (Su et al. 2021).

    The dot product of a turned query and a turned key then depends on how far apart they are only.
    """
    turned = torch.empty_like(x)
    half = x.size(-1) // 2
    for t in range(x.size(1)):
        for i in range(half):
            angle = t / theta ** (2 * i / x.size(-1))
            a, b = x[:, t, i], x[:, t, i + half]
            turned[:, t, i] = a * math.cos(angle) - b * math.sin(angle)
            turned[:, t, i + half] = b * math.cos(angle) + a * math.sin(angle)
    return turned


def silu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """x * sigmoid(x): passes large numbers, silences negative ones (Elfwing et al. 2017)."""
    return x / (1 + torch.exp(-x))


def decoder(
    weights: Mapping[str, Tensor], config: ModelConfig, tokens: Int[Tensor, " seq"]
) -> Float[Tensor, "seq vocab"]:
    """The whole model on one sequence: token ids in, a score for every possible next token out.

    `weights` are those of a `CausalLM` whose blocks have pre-norm, rotary positions, query-key norm and a
    silu-gated feed-forward without biases.
    """
    eps = 1e-6
    seen = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
    x = weights["embedding.tokens.weight"][tokens]
    for layer in range(config.n_layers):
        block = config.pattern[layer % len(config.pattern)]
        own = {name.removeprefix(f"blocks.{layer}."): w for name, w in weights.items()}
        # What has been said before that matters here?
        y = rms_norm(x, own["attention.input_norm.weight"], eps)
        heads = [
            (y @ own[f"attention.layer.{name}.weight"].T)
            .unflatten(-1, (-1, config.head_dim(block)))
            .transpose(0, 1)
            for name in "qkv"
        ]
        assert isinstance(block.attention.position, RotaryConfig)
        theta = block.attention.position.theta
        q = rotate(rms_norm(heads[0], own["attention.layer.q_norm.weight"], eps), theta)
        k = rotate(rms_norm(heads[1], own["attention.layer.k_norm.weight"], eps), theta)
        mixed = attend(q, k, heads[2], seen).transpose(0, 1).flatten(1)
        x = x + mixed @ own["attention.layer.out.weight"].T
        # What follows from it?
        y = rms_norm(x, own["feed_forward.input_norm.weight"], eps)
        gate = silu(y @ own["feed_forward.layer.gate.weight"].T)
        x = x + (gate * (y @ own["feed_forward.layer.up.weight"].T)) @ own["feed_forward.layer.down.weight"].T
    return rms_norm(x, weights["final_norm.weight"], eps) @ weights["head.weight"].T
