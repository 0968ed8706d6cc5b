"""The one place that knows attention kernels: `choose_kernel` picks one, `attend` runs it.

`reference.attend` says what all of them mean. There are three families.

PyTorch's fused `scaled_dot_product_attention` serves every device: without a mask tensor where the mask is
plainly causal or hides nothing, and with a dense one otherwise, which a bias is part of. FlexAttention
(`flex.py`) is taken where a model is compiled for a GPU, for masks that need a tensor, caps and biases. Plain
matrix products do what no other kernel does, and are taken where they are faster too, which is on a CPU only
(benchmarks/attention.py).

What is chosen depends on nothing but the facts in a `Case`, and can be shown beforehand (`kernels.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hornbook.model.flex import NARROWEST_HEAD, Tiles, attend_by_tiles
from hornbook.model.mask import Mask

Kernel = Literal["fused, causal", "fused, open", "fused, masked", "products", "flex"]
"""The fused one by what it is told of the mask: nothing but "causal", nothing at all, or a dense tensor."""
STRIP = 256
"""How many queries products do at a time."""
ASKED_UP_TO = 2048
"""Most keys that products let a query ask, on average: as far as they were measured."""
KEPT_UP_TO = 2048
"""Most bytes of weights that they keep for a query and a head until the backward pass, on average."""
ALONE_FROM = 128
"""Least keys for which a single query takes them."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the choice of a kernel depends on."""

    device: str
    """Type of the device: cpu, cuda, mps."""
    dtype: torch.dtype
    """Type of the numbers."""
    learning: bool = False
    """Whether a gradient will be asked for."""
    compiled: bool = False
    """Whether the model is being compiled."""
    mask: Mask
    """What may be seen."""
    n_query: int
    """How many positions ask."""
    n_key: int
    """How many can be asked."""
    head_dim: int = 64
    """Width of a head."""
    capped: bool = False
    """Whether scores are bent below a cap."""
    biased: bool = False
    """Whether something is added to the scores."""
    dropping: bool = False
    """Whether some of the weights are zeroed."""

    @property
    def needs_tensor(self) -> bool:
        """Whether it takes a table to tell the fused kernel what is meant, of the mask or of a bias."""
        lengths = self.n_query, self.n_key
        return self.biased or not (self.mask.is_plain(*lengths) or self.mask.hides_nothing(*lengths))

    @property
    def n_asked(self) -> int:
        """How many keys a query asks on average where products are taken, strip by strip."""
        causal, window = self.mask.causal, self.mask.window
        n_asked = self.n_key // 2 if causal and self.n_query == self.n_key else self.n_key
        if window is None:
            return n_asked
        return min(n_asked, STRIP + (window if causal else 2 * window))


def choose_kernel(case: Case) -> Kernel:
    """Pick the kernel for a case, the same on every call."""
    if prefers_products(case):
        return "products"
    if case.capped or case.needs_tensor:
        if allows_flex(case):
            return "flex"
        return "products" if case.capped else "fused, masked"
    return "fused, causal" if case.mask.is_plain(case.n_query, case.n_key) else "fused, open"


def prefers_products(case: Case) -> bool:
    """Whether plain products are the faster kernel, as measured; it is a CPU that makes them so.

    In bfloat16 the fused kernel is the slower one there, in float32 only where products leave much out that
    it computes. It knows no dropout, which PyTorch does by products too, and not in strips.
    """
    if case.device != "cpu" or case.dtype not in (torch.bfloat16, torch.float32):
        return False
    if case.dropping:
        return True
    narrow = case.dtype == torch.bfloat16
    if case.n_query == 1:
        return narrow and case.n_key >= ALONE_FROM
    if case.n_asked > (KEPT_UP_TO // case.dtype.itemsize if case.learning else ASKED_UP_TO):
        return False
    leaves_out = case.needs_tensor and case.n_asked < case.n_key
    return narrow or (leaves_out and case.n_query >= (2 if case.learning else 4) * STRIP)


def allows_flex(case: Case) -> bool:
    """Whether FlexAttention can do it and is worth it: it needs a GPU, a compiler and more than one query."""
    ready = case.device == "cuda" and case.compiled
    return ready and case.n_query > 1 and case.head_dim >= NARROWEST_HEAD and not case.dropping


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
    tiles: Tiles | None = None,
) -> Float[Tensor, "batch heads query head_dim"]:
    """Mix the values by how well queries and keys agree: softmax(cap(scale * q k^T) + bias) v.

    `scale` None is 1 / sqrt(head_dim), and cap(s) is softcap * tanh(s / softcap). Query heads share key and
    value heads in order when there are fewer of those (Ainslie et al. 2023). `dropout` is the share of the
    weights that is zeroed. `tiles` is the mask in tiles, where a caller has it for several layers. What a
    query gets that sees no key is left open, but is finite, and so are its gradients.
    """
    case = Case(
        device=q.device.type,
        dtype=q.dtype,
        learning=q.requires_grad and torch.is_grad_enabled(),
        compiled=torch.compiler.is_dynamo_compiling(),
        mask=mask,
        n_query=q.size(-2),
        n_key=k.size(-2),
        head_dim=q.size(-1),
        capped=softcap is not None,
        biased=bias is not None,
        dropping=dropout > 0,
    )
    kernel = choose_kernel(case)
    if kernel == "flex":
        return attend_by_tiles(q, k, v, mask, scale=scale, softcap=softcap, bias=bias, tiles=tiles)
    if kernel == "products":
        return attend_by_products(q, k, v, mask, scale=scale, softcap=softcap, bias=bias, dropout=dropout)
    assert softcap is None
    return attend_fused(
        q, k, v, mask, causal=kernel == "fused, causal", scale=scale, bias=bias, dropout=dropout
    )


def attend_fused(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    mask: Mask,
    *,
    causal: bool,
    scale: float | None = None,
    bias: Float[Tensor, "#batch heads query key"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads query head_dim"]:
    """The same by PyTorch's kernels, which know no cap; `causal`: that is all that the mask says."""
    n_query, n_key = q.size(-2), k.size(-2)
    dense = None if bias is None else bias.to(q.dtype)
    if not causal and not mask.hides_nothing(n_query, n_key):
        seen = mask.dense(n_query, n_key, q.device)
        dense = seen if dense is None else dense.masked_fill(~seen, _least(q.dtype))
    grouped = q.size(1) != k.size(1)
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=dense, is_causal=causal, enable_gqa=grouped, scale=scale, dropout_p=dropout
    )


def attend_by_products(
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
    """The same with every step written out, for a strip of queries after the other.

    A strip asks the keys within its reach alone, so that what lies ahead of it or before its window costs
    nothing, and the table of scores is never written out whole.
    """
    n_query, n_key = q.size(-2), k.size(-2)
    q = q * (q.size(-1) ** -0.5 if scale is None else scale)
    strips = []
    for start in range(0, n_query, STRIP):
        own = range(start, min(start + STRIP, n_query))
        places = range(n_key - n_query + own.start, n_key - n_query + own.stop)
        reach = mask.reach(places, n_key)
        added = (
            None if bias is None else bias[..., own.start : own.stop, reach.start : reach.stop].to(q.dtype)
        )
        if not mask.hides_nothing(n_query, n_key):
            seen = mask.between(places, reach, q.device)
            forbidden = torch.zeros_like(seen, dtype=q.dtype).masked_fill(~seen, _least(q.dtype))
            added = forbidden if added is None else added + forbidden
        k_near, v_near = (each[:, :, reach.start : reach.stop] for each in (k, v))
        strips.append(_mixed(q[:, :, own.start : own.stop], k_near, v_near, softcap, added, dropout))
    return strips[0] if len(strips) == 1 else torch.cat(strips, dim=2)


def _mixed(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    softcap: float | None,
    added: Float[Tensor, "batch_or_1 heads_or_1 query key"] | None,
    dropout: float,
) -> Float[Tensor, "batch heads query head_dim"]:
    """Softmax(cap(q k^T) + added) v. Query heads that share keys ask as one, so that no key is copied."""
    kv_heads, group = k.size(1), q.size(1) // k.size(1)
    together = q.unflatten(1, (kv_heads, group)).flatten(2, 3)
    scores = (together @ k.mT).unflatten(2, (group, -1)).flatten(1, 2)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if added is not None:
        scores = scores + added
    weights = torch.softmax(scores, dim=-1)
    if dropout:
        weights = functional.dropout(weights, dropout)
    together = weights.unflatten(1, (kv_heads, group)).flatten(2, 3)
    return (together @ v).unflatten(2, (group, -1)).flatten(1, 2)


def _least(dtype: torch.dtype) -> float:
    """What forbids a score. Not minus infinity: a query that sees nothing would turn into NaN, and so would
    every gradient.
    """
    return torch.finfo(dtype).min / 2
