"""The residual branch: each norm slot stands where the formula has it, and an empty one does nothing."""

from __future__ import annotations

import itertools

import pytest
import torch
from model.small_models import LAYER, RMS
from torch import nn

from hornbook.model.block import Residual
from hornbook.model.config import NormSlotsConfig
from hornbook.model.part_config import LayerNormConfig, RMSNormConfig

SLOTS: list[LayerNormConfig | RMSNormConfig | None] = [None, RMS, LAYER]


@pytest.mark.parametrize("slots", list(itertools.product(SLOTS, repeat=3)))
def test_norms_stand_in_their_slots(slots: tuple[LayerNormConfig | RMSNormConfig | None, ...]) -> None:
    names = ("input", "output", "residual")
    norms = NormSlotsConfig(**dict(zip(names, slots, strict=True)))
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 6), torch.randn(2, 3, 6)
    branch = Residual(layer, norms, d_model=6, dropout=0.0)
    gains = {name: torch.rand(6) + 0.5 for name in names}
    with torch.no_grad():
        for name, slot in zip(names, slots, strict=True):
            if slot is not None:
                getattr(branch, f"{name}_norm").weight.copy_(gains[name])

    def norm(
        slot: LayerNormConfig | RMSNormConfig | None, y: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        if slot is None:
            return y
        centred = y - y.mean(-1, keepdim=True) if slot is LAYER else y
        return gain * centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + slot.eps)

    inner = layer(norm(slots[0], x, gains["input"]))
    wanted = norm(slots[2], x + norm(slots[1], inner, gains["output"]), gains["residual"])
    torch.testing.assert_close(branch(x), wanted, atol=1e-5, rtol=1e-5)
