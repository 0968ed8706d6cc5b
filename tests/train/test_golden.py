"""The golden curve: a change that moves it is a change of training, and must say so."""

from __future__ import annotations

import pytest
from train.golden_curve import STEPS, curve, read_golden


def test_the_curve_is_the_golden_one() -> None:
    """Within 1e-4, which other processors' rounding stays inside of and a changed rule does not."""
    golden = read_golden()
    assert len(golden) == STEPS
    assert curve() == pytest.approx(golden, rel=1e-4), "see tests/train/golden_curve.py"
