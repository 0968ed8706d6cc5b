"""Rotary positions: each pair of numbers in a head is a point in a plane, turned as the position grows.

Number i of the first half is paired with number i of the second half (the half-split layout); other
layouts are undone at import. The angles are computed where they are used, so the module holds no state
and works for any position.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.config import RotaryConfig


class Rotary(nn.Module):
    """Turns pair i of a head by position * theta^(-2i / head_dim) (Su et al. 2021, equation 34)."""

    def __init__(self, config: RotaryConfig, head_dim: int) -> None:
        super().__init__()
        self.theta = config.theta
        self.head_dim = head_dim

    def forward(
        self, x: Float[Tensor, "batch heads seq head_dim"], positions: Int[Tensor, " seq"]
    ) -> Float[Tensor, "batch heads seq head_dim"]:
        exponent = torch.arange(0, self.head_dim, 2, device=x.device) / self.head_dim
        angle = positions[:, None] * self.theta**-exponent
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
