"""The key-value cache: what attention has already computed, kept while text is generated.

The cache is an argument of the forward pass and never part of a module, so one model can serve many
generations at once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class LayerCache:
    """Keys and values of one layer, in buffers of a fixed length that fill from the left."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> None:
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def put(
        self,
        k: Float[Tensor, "batch kv_heads seq head_dim"],
        v: Float[Tensor, "batch kv_heads seq head_dim"],
    ) -> tuple[Float[Tensor, "batch kv_heads key head_dim"], Float[Tensor, "batch kv_heads key head_dim"]]:
        """Store the next positions and return all keys and values so far."""
        start, stop = self.length, self.length + k.size(2)
        self.keys[:, :, start:stop] = k
        self.values[:, :, start:stop] = v
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class KVCache:
    """The layer caches of one generation."""

    def __init__(self, layers: list[LayerCache]) -> None:
        self.layers = layers

    @property
    def length(self) -> int:
        """How many positions are held."""
        return self.layers[0].length

    @property
    def capacity(self) -> int:
        """How many positions fit."""
        return self.layers[0].keys.size(2)
