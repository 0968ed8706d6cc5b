"""Cutting masks into tiles once for a pass, where layers that see alike share them.

Cutting a mask takes a compiler a while, and it would do it again in every layer. So a stack asks `in_tiles`
for the contexts of its blocks before it runs them. Only a model that is being compiled has a use for tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from hornbook.model.attend import Case, choose_kernel
from hornbook.model.block import Block
from hornbook.model.context import BlockContext
from hornbook.model.flex import Tiles, tiles_of


def in_tiles(
    contexts: Sequence[BlockContext], layers: Sequence[Block], x: Float[Tensor, "batch seq d_model"]
) -> list[BlockContext]:
    """The contexts of all blocks for the input `x`, with masks in tiles where kernels are made for them."""
    own, across = Shared(x.device), Shared(x.device)
    n = x.size(1)
    asked = Case(
        device=x.device.type,
        dtype=x.dtype,
        learning=x.requires_grad,
        compiled=True,
        mask=contexts[0].mask,
        n_query=n,
        n_key=n,
    )
    tiled = []
    for block, context in zip(layers, contexts, strict=True):
        tiles = memory_tiles = None
        if context.query_mask is None:
            tiles = own.tiles(block.attention.layer.case(asked))
        if block.cross_attention is not None and context.memory is not None:
            n_key, mask = context.memory.features.size(1), context.memory.mask
            read = replace(asked, n_key=n_key, mask=mask.read_by(context.mask.documents))
            memory_tiles = across.tiles(block.cross_attention.layer.case(read))
        tiled.append(replace(context, tiles=tiles, memory_tiles=memory_tiles))
    return tiled


class Shared:
    """Tiles of masks that differ by nothing but what layers narrow them to."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.made: list[tuple[Case, Tiles]] = []

    def tiles(self, case: Case) -> Tiles | None:
        """The tiles for a case; None: its kernel takes none."""
        if choose_kernel(case) != "flex":
            return None
        for other, tiles in self.made:
            if (other.mask.window, other.mask.sparse) == (case.mask.window, case.mask.sparse):
                return tiles
        tiles = tiles_of(case.mask, case.n_query, case.n_key, self.device)
        self.made.append((case, tiles))
        return tiles
