"""FlexAttention: a kernel compiled for the mask at hand, which leaves out what the mask hides in tiles.

    tiles = tiles_of(mask, n_query, n_key, device)     # once for all layers that see alike
    mixed = attend_by_tiles(q, k, v, mask, tiles=tiles)

A mask is cut into tiles of 128 by 128 positions. What is hidden whole is never computed, what is seen whole is
not asked again, and in the others `Mask.sees` is asked for each pair of positions (Dong et al. 2024). So a
window, a sparse pattern or packed documents cost what they show. Caps and biases are worked into the scores on
the way, and no table of all scores is ever written.

That holds where PyTorch compiles it, on a GPU: elsewhere the same functions mean the same and are slow, and a
CPU cannot learn through them. `attend` decides when they are taken. It has been proved equal to the reference
on a CPU; it has not been run on a GPU yet.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

import torch

from hornbook.model.mask import Mask

Tiles = BlockMask
"""What a mask hides and shows, tile by tile."""
NARROWEST_HEAD = 16
"""Least width of a head that the kernel can do."""


def tiles_of(mask: Mask, n_query: int, n_key: int, device: torch.device) -> Tiles:
    """Cut a mask into tiles; rows of a batch that see alike share them."""
    n_before = n_key - n_query

    def sees(
        row: Int[Tensor, ""], head: Int[Tensor, ""], query: Int[Tensor, ""], key: Int[Tensor, ""]
    ) -> Bool[Tensor, ""]:
        return mask.sees(row, query + n_before, key)

    return create_block_mask(sees, mask.n_rows, None, n_query, n_key, device=device)


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

    def scored(
        score: Float[Tensor, ""],
        row: Int[Tensor, ""],
        head: Int[Tensor, ""],
        query: Int[Tensor, ""],
        key: Int[Tensor, ""],
    ) -> Float[Tensor, ""]:
        if softcap is not None:
            score = softcap * torch.tanh(score / softcap)
        if bias is not None:
            score = score + (bias[0, head, query, key] if bias.size(0) == 1 else bias[row, head, query, key])
        return score

    if tiles is None:
        tiles = tiles_of(mask, q.size(2), k.size(2), q.device)
    mixed: Tensor = flex_attention(
        q,
        k,
        v,
        score_mod=None if softcap is None and bias is None else scored,
        block_mask=tiles,
        scale=scale,
        enable_gqa=q.size(1) != k.size(1),
    )
    return mixed
