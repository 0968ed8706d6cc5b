"""Whether two groups of measurements differ by more than chance: Welch's test.

    found = welch([1.31, 1.33, 1.30], [1.27, 1.28, 1.26])
    found.difference, found.low, found.high, found.p

The variances of the two groups may differ, and their sizes (Welch 1947). What is taken for granted is that
the measurements of a group scatter about normally around its mean and do not depend on each other, as results
of different seeds do. Tests hold the formulas to SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from hornbook.base.student import student_reach, student_tails

CONFIDENCE = 0.95
"""How often such an interval holds the true difference."""


@dataclass(frozen=True)
class Welch:
    """What the test says of two groups."""

    difference: float
    """Mean of the second less that of the first."""
    low: float
    """The lower end of the difference's interval,"""
    high: float
    """and the upper one."""
    p: float
    """How often groups of one kind differ at least so much."""
    degrees: float
    """Degrees of freedom of Student's distribution, after Satterthwaite."""


def welch(first: Sequence[float], second: Sequence[float]) -> Welch:
    """Compare the means of two groups of at least two measurements each."""
    assert len(first) > 1 and len(second) > 1, "one measurement has no scatter"
    parts = [variance(group) / len(group) for group in (first, second)]
    difference, error = fmean(second) - fmean(first), math.sqrt(sum(parts))
    if error == 0.0:
        return Welch(difference, difference, difference, float(difference == 0.0), math.inf)
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(group) - 1) for part, group in zip(parts, (first, second), strict=True)
    )
    reach = error * student_reach(1 - CONFIDENCE, degrees)
    p = student_tails(difference / error, degrees)
    return Welch(difference, difference - reach, difference + reach, p, degrees)
