"""Student's distribution: how far values scatter whose spread is only estimated, and from few of them.

    student_reach(0.05, degrees=4)      # 2.78 deviations to either side hold all but a twentieth
    student_tails(2.78, degrees=4)      # 0.05

`degrees` of freedom are the values that the spread was estimated from, less the numbers that were estimated
besides. Tests hold the formulas to SciPy's.
"""

from __future__ import annotations

import math

N_FRACTIONS = 200
"""Terms of the continued fraction: more than enough for as many values as are ever measured."""


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
