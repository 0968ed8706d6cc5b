"""The scale of the loss, without which small gradients are nothing in float16.

A float16 ends at 65,504, and below 6e-8 it is zero. The loss is multiplied before the backward pass, and the
gradients are divided after it (Micikevicius et al. 2018, section 3.2); a power of two rounds nothing. Where a
gradient overflows, the step is left out and the scale halved; after a long time without, it is doubled again.
In other precisions the scale is 1 and stays so. It is put away and taken back with what the optimizers
remember.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST = 2.0**8
"""Smaller than is usual: the loss is a sum over tokens, not their mean. Set by hand."""
LAST = 2.0**-24
"""Below it the gradient is not too large, it is no number at all."""
PATIENCE = 2000
"""Steps without overflow until the scale is doubled, as in PyTorch's GradScaler."""


class LossScale:
    """How many times its size the loss is taken for the backward pass."""

    def __init__(self, precision: torch.dtype) -> None:
        self.is_needed = precision == torch.float16
        self.value = FIRST if self.is_needed else 1.0
        self.good_steps = 0

    @property
    def can_halve(self) -> bool:
        """Whether a gradient that is not finite may be the scale's fault."""
        return self.is_needed and self.value > LAST

    def overflowed(self) -> str:
        """Halve the scale; return why the step is left out, in words."""
        self.value, self.good_steps = self.value / 2, 0
        return f"a gradient was too large for float16; the loss scale is {self.value:g} now"

    def held(self) -> None:
        """Take note of a step without overflow."""
        self.good_steps += 1
        if self.is_needed and self.good_steps >= PATIENCE:
            self.value, self.good_steps = self.value * 2, 0

    def state(self) -> dict[str, Tensor]:
        """What `load` takes back; nothing where no scale is needed. No weight has such names."""
        if not self.is_needed:
            return {}
        return {"/loss_scale": torch.tensor(self.value), "/good_steps": torch.tensor(self.good_steps)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        if self.is_needed:
            self.value, self.good_steps = state["/loss_scale"].item(), int(state["/good_steps"])
