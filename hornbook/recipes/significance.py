"""Whether two groups of measurements differ by more than chance: Welch's test, and the formulas it needs.

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

CONFIDENCE = 0.95
"""How often such an interval holds the true difference."""
N_FRACTIONS = 200
"""Terms of the continued fraction: more than enough for groups of any size that is ever trained."""


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


def student_tails(t: float, degrees: float) -> float:
    """How often Student's variable is at least as far from zero as t, on either side (DLMF 8.17)."""
    whole = degrees + t * t
    return beta_share(degrees / whole, t * t / whole, degrees / 2, 0.5)


def student_reach(p: float, degrees: float) -> float:
    """The distance from zero at which the tails hold a share p; found by halving."""
    low, high = 0.0, 1.0
    while student_tails(high, degrees) > p:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tails(middle, degrees) > p else (low, middle)
    return (low + high) / 2


def beta_share(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22).

    `rest` is 1 - x, given apart because near one x has not the digits to tell it.
    """
    if x > (a + 1) / (a + b + 2):  # There the fraction of the other side is the one that is soon exact.
        return 1 - beta_share(rest, x, b, a)
    if x <= 0.0:
        return 0.0
    fraction = 1.0
    for n in range(N_FRACTIONS, 0, -1):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) / ((a + n - 1) * (a + n))
        else:
            term = m * (b - m) / ((a + n - 1) * (a + n))
        fraction = 1 + term * x / fraction
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(log_front) / (a * fraction)
