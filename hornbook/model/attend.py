"""The one place that knows attention kernels: `attend` picks one, `reference.attend` says what it means.

Two kernels today. PyTorch's scaled_dot_product_attention serves every device, without a mask tensor where
the mask is plainly causal or lets everything be seen, and with a dense one otherwise, which a bias is part
of. Plain matrix products do what no fused kernel does, scores that are bent below a cap; and where a CPU
learns in bfloat16 they are taken for short sequences, since the fused kernel's backward pass is the slower
one there (benchmarks/attention.py).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from hornbook.model.mask import Mask

PRODUCTS_UP_TO = 1024
"""Longest sequence for which the table of all scores is written out: it grows with the square."""


def attend(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    mask: Mask,
    *,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Float[Tensor, "#batch heads query key"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads query head_dim"]:
    """Mix the values by how well queries and keys agree: softmax(cap(scale * q k^T) + bias) v.

    `scale` None is 1 / sqrt(head_dim), and cap(s) is softcap * tanh(s / softcap). Query heads share key and
    value heads in order when there are fewer of those (Ainslie et al. 2023). `dropout` is the share of the
    weights that is zeroed.
    """
    n_query, n_key = q.size(-2), k.size(-2)
    if softcap is not None or prefers_products(q, n_key):
        seen = mask.dense(n_query, n_key, q.device)
        return attend_by_products(q, k, v, seen, scale=scale, softcap=softcap, bias=bias, dropout=dropout)
    plain = mask.is_plain(n_query, n_key) and bias is None
    dense = None if bias is None else bias.to(q.dtype)
    if not plain and not mask.hides_nothing(n_query, n_key):
        seen = mask.dense(n_query, n_key, q.device)
        dense = seen if dense is None else dense.masked_fill(~seen, _least(q.dtype))
    grouped = q.size(1) != k.size(1)
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=dense, is_causal=plain, enable_gqa=grouped, scale=scale, dropout_p=dropout
    )


def prefers_products(q: Float[Tensor, "batch heads query head_dim"], n_key: int) -> bool:
    """Whether plain products are the faster kernel: a CPU that learns in bfloat16 from short sequences."""
    learns = q.requires_grad and torch.is_grad_enabled()
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and learns and n_key <= PRODUCTS_UP_TO


def attend_by_products(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    seen: Bool[Tensor, "batch_or_1 1 query key"],
    *,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Float[Tensor, "#batch heads query key"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads query head_dim"]:
    """The same with every step written out."""
    group = q.size(1) // k.size(1)
    if group > 1:
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    forbidden = torch.zeros_like(seen, dtype=q.dtype).masked_fill(~seen, _least(q.dtype))
    scores = (q * (q.size(-1) ** -0.5 if scale is None else scale)) @ k.mT
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    weights = torch.softmax(scores + forbidden, dim=-1)
    return functional.dropout(weights, dropout) @ v if dropout else weights @ v


def _least(dtype: torch.dtype) -> float:
    """What forbids a score. Not minus infinity: a query that sees nothing would turn into NaN, and so would
    every gradient.
    """
    return torch.finfo(dtype).min / 2
