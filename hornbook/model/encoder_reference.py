"""The encoder to read, in plain functions over named weights; `reference.py` has the attention it uses.

`encoder` is the stack as it was first published (Devlin et al. 2019): learned positions and segments, a norm
after each sum, and every token seeing every other. `masked_lm` and `classifier` are the two heads. The tests
prove them equal to `encoders.py`. Nothing here is fast, batched or general.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hornbook.model.config import StackConfig
from hornbook.model.reference import attend


def layer_norm(
    x: Float[Tensor, "*n d"], weights: Mapping[str, Tensor], name: str, eps: float = 1e-5
) -> Float[Tensor, "*n d"]:
    """Centre each vector and scale it to a variance of one, then learned gain and bias (Ba et al. 2016)."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + eps)
    return weights[f"{name}.weight"] * scaled + weights[f"{name}.bias"]


def linear(
    x: Float[Tensor, "*n d_in"], weights: Mapping[str, Tensor], name: str
) -> Float[Tensor, "*n d_out"]:
    """x W^T + b."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """x times the share of a normal distribution that lies below x (Hendrycks and Gimpel 2016)."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def encoder(
    weights: Mapping[str, Tensor],
    config: StackConfig,
    tokens: Int[Tensor, " seq"],
    segments: Int[Tensor, " seq"],
) -> Float[Tensor, "seq d_model"]:
    """One sequence through the stack: token ids in, a vector for each of them out, made from all of them.

    `weights` are those of a model with learned positions, segments, layer norms over the embeddings and after
    each sum, none at the end, and biases everywhere.
    """
    x = weights["embedding.tokens.weight"][tokens]
    x = x + weights["embedding.positions.weight"][: len(tokens)]
    x = x + weights["embedding.segments.weight"][segments]
    x = layer_norm(x, weights, "embedding.norm")
    everything = torch.ones(len(tokens), len(tokens), dtype=torch.bool)
    for layer in range(config.n_layers):
        head_dim = config.head_dim(config.pattern[layer % len(config.pattern)])
        own = {name.removeprefix(f"blocks.{layer}."): w for name, w in weights.items()}
        # What do the others say, before and after?
        q, k, v = (
            linear(x, own, f"attention.layer.{name}").unflatten(-1, (-1, head_dim)).transpose(0, 1)
            for name in "qkv"
        )
        mixed = attend(q, k, v, everything).transpose(0, 1).flatten(1)
        x = layer_norm(x + linear(mixed, own, "attention.layer.out"), own, "attention.residual_norm")
        # What follows from it?
        inner = gelu(linear(x, own, "feed_forward.layer.up"))
        x = layer_norm(x + linear(inner, own, "feed_forward.layer.down"), own, "feed_forward.residual_norm")
    return x


def masked_lm(
    weights: Mapping[str, Tensor], features: Float[Tensor, "seq d_model"]
) -> Float[Tensor, "seq vocab"]:
    """A score for every token at every position."""
    x = layer_norm(gelu(linear(features, weights, "transform.dense")), weights, "transform.norm")
    return linear(x, weights, "head")


def classifier(
    weights: Mapping[str, Tensor], features: Float[Tensor, "seq d_model"]
) -> Float[Tensor, " n_classes"]:
    """A score for every class, from the vector of the first token."""
    return linear(torch.tanh(linear(features[0], weights, "pooler.dense")), weights, "head")
