"""The golden curves: a change that moves one is a change of training, and must say so."""

from __future__ import annotations

import pytest
from train.every_objective import CASES
from train.golden_curve import STEPS, curve, read_golden


@pytest.mark.parametrize("name", CASES)
def test_the_curve_is_the_golden_one(name: str) -> None:
    """Within 1e-4, which other processors' rounding stays inside of and a changed rule does not."""
    golden = read_golden(name)
    assert len(golden) == STEPS
    assert golden[-1] < golden[0] - 0.5, "it learned"
    assert curve(name) == pytest.approx(golden, rel=1e-4), "see tests/train/golden_curve.py"
