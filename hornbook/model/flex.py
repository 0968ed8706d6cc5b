"""FlexAttention: a kernel compiled for the mask at hand, which leaves out what the mask hides in tiles.

    tiles = tiles_of(mask, n_query, n_key, device)     # once for all layers that see alike
    mixed = attend_by_tiles(q, k, v, mask, tiles=tiles)

A mask is cut into tiles of 128 by 128 positions. What is hidden whole is never computed, what is seen whole
is not asked again, and in the others `Mask.sees` is asked for each pair of positions (Dong et al. 2024). So a
window, a sparse pattern or packed documents cost what they show. Caps and biases are worked into the scores
on the way, and no table of all scores is ever written.

That holds where PyTorch compiles it, on a GPU: elsewhere the same functions mean the same and are slow, and
PyTorch does not learn through them on a CPU. `attend` decides when they are taken. They are proved equal to
the reference on a CPU, with gradients; nobody has run or timed them on a GPU yet.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from hornbook.model.mask import Mask

Tiles = BlockMask
"""What a mask hides and shows, tile by tile."""
NARROWEST_HEAD = 16
"""Least width of a head that the kernel can do."""


def tiles_of(mask: Mask, n_query: int, n_key: int, device: torch.device) -> Tiles:
    """Cut a mask into tiles; rows of a batch that see alike share them."""
    n_before = n_key - n_query
    # A lambda, since PyTorch counts the arguments, which the run-time checks of the tests hide in functions.
    return create_block_mask(
        lambda row, head, query, key: mask.sees(row, query + n_before, key),
        mask.n_rows,
        None,
        n_query,
        n_key,
        device=device,
    )


def attend_by_tiles(
    q: Float[Tensor, "batch heads query head_dim"],
    k: Float[Tensor, "batch kv_heads key head_dim"],
    v: Float[Tensor, "batch kv_heads key head_dim"],
    mask: Mask,
    *,
    scale: float | None = None,
    softcap: float | None = None,
    bias: Float[Tensor, "#batch heads query key"] | None = None,
    tiles: Tiles | None = None,
) -> Float[Tensor, "batch heads query head_dim"]:
    """What `attend` says; `tiles` None: the mask is cut here. A query that sees no key gets zeros."""
    plain = softcap is None and bias is None
    mixed: Tensor = flex_attention(
        q.to(v.dtype),
        k.to(v.dtype),
        v,
        score_mod=None if plain else lambda s, b, h, i, j: _scored(s, softcap, bias, b, h, i, j),
        block_mask=tiles_of(mask, q.size(2), k.size(2), q.device) if tiles is None else tiles,
        scale=scale,
        enable_gqa=q.size(1) != k.size(1),
    )
    return mixed


def _scored(
    score: Float[Tensor, ""],
    softcap: float | None,
    bias: Float[Tensor, "#batch heads query key"] | None,
    row: Int[Tensor, ""],
    head: Int[Tensor, ""],
    query: Int[Tensor, ""],
    key: Int[Tensor, ""],
) -> Float[Tensor, ""]:
    """A score, bent and with what is added to it."""
    if softcap is not None:
        score = softcap * torch.tanh(score / softcap)
    if bias is None:
        return score
    return score + bias[row if bias.size(0) > 1 else 0, head, query, key]
