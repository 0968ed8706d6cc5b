"""The key-value cache: what attention has already computed, kept while text is generated.

The cache is an argument of the forward pass and never part of a module, so one model can serve many
generations at once. A layer that sees everything keeps everything (`LayerCache`); one that sees a window
keeps little more than that (`SlidingCache`); what a decoder reads of an encoder is projected once
(`CrossCache`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from hornbook.base.errors import ConfigError

Heads = Float[Tensor, "batch kv_heads seq head_dim"]
Held = Float[Tensor, "batch kv_heads key head_dim"]


class LayerCache:
    """Keys and values of one layer, in buffers of a fixed length that fill from the left."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> None:
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def put(self, k: Heads, v: Heads) -> tuple[Held, Held]:
        """Store the next positions and return all keys and values so far."""
        start, stop = self.length, self.length + k.size(2)
        self.keys[:, :, start:stop] = k
        self.values[:, :, start:stop] = v
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class SlidingCache:
    """Keys and values of the positions that a window still reaches, in buffers that slide on.

    A ring would hold the window and not a position more, and its keys out of order. Here they stay in order:
    the buffer is a quarter longer than the window, and when it is full, what the next query still sees moves
    to its front, so that a position is moved four times in its life.
    """

    def __init__(
        self, shape: tuple[int, int, int, int], window: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        batch, heads, _, width = shape
        self.reach = window - 1
        """How many positions before itself a query sees."""
        shape = (batch, heads, sliding_length(window), width)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = self._stop = 0

    def put(self, k: Heads, v: Heads) -> tuple[Held, Held]:
        """Store the next positions; return the keys and values that any of them sees, in order."""
        n_new = k.size(2)
        n_before = min(self.length, self.reach)
        self.length += n_new
        if self._stop + n_new > self.keys.size(2):
            self._move(n_before)
        if self._stop + n_new > self.keys.size(2):
            # More than fits at once, such as a prompt: it is seen whole, and its end is kept.
            whole = [
                torch.cat((held[:, :, : self._stop], new), dim=2)
                for held, new in ((self.keys, k), (self.values, v))
            ]
            self._stop = min(self.reach, whole[0].size(2))
            for held, each in zip((self.keys, self.values), whole, strict=True):
                held[:, :, : self._stop] = each[:, :, each.size(2) - self._stop :]
            return whole[0], whole[1]
        start, stop = self._stop - n_before, self._stop + n_new
        self.keys[:, :, self._stop : stop] = k
        self.values[:, :, self._stop : stop] = v
        self._stop = stop
        return self.keys[:, :, start:stop], self.values[:, :, start:stop]

    def _move(self, n_kept: int) -> None:
        """Bring the last positions to the front of the buffers."""
        for held in (self.keys, self.values):
            held[:, :, :n_kept] = held[:, :, self._stop - n_kept : self._stop].clone()
        self._stop = n_kept


def sliding_length(window: int) -> int:
    """How many positions a cache for a window has room for."""
    return window + max(window // 4, 16)


@dataclass
class CrossCache:
    """Keys and values of what a decoder reads of an encoder, computed at the first step."""

    held: tuple[Held, Held] | None = None
    """None: nothing yet."""
    source: Float[Tensor, "batch source d_model"] | None = None
    """What they were computed from."""

    def check(self, features: Float[Tensor, "batch source d_model"]) -> None:
        """Refuse to go on with another source than the first one."""
        if self.source is not None and self.source is not features:
            raise ConfigError("this cache was begun with another source; make a new one with make_cache")


@dataclass
class BlockCache:
    """What one block keeps."""

    own: LayerCache | SlidingCache
    """Of the text itself."""
    cross: CrossCache = field(default_factory=CrossCache)
    """Of an encoder, where the block reads one."""


class KVCache:
    """The caches of all blocks, for one generation."""

    def __init__(self, blocks: list[BlockCache], capacity: int) -> None:
        self.blocks = blocks
        self.capacity = capacity
        """How many positions fit."""

    @property
    def length(self) -> int:
        """How many positions have been read."""
        return self.blocks[0].own.length

    @property
    def n_bytes(self) -> int:
        """Memory of the buffers."""
        return sum(each.own.keys.nbytes + each.own.values.nbytes for each in self.blocks)
