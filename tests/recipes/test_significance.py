"""Welch's test and Student's distribution, beside SciPy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from hornbook.base.student import beta_share, student_reach, student_tails
from hornbook.recipes.significance import welch

GROUPS = [
    ([1.31, 1.33, 1.30], [1.27, 1.28, 1.26]),
    ([1.0, 1.1], [1.0, 1.3]),
    ([1.5, 1.5001, 1.4999, 1.5002], [1.5, 1.7]),
    ([2.0, 2.0, 2.1], [1.0, 1.5]),
    ([float(i % 7) for i in range(300)], [float(i % 5) for i in range(40)]),
]


@pytest.mark.parametrize(("first", "second"), GROUPS)
def test_welch_is_that_of_scipy(first: list[float], second: list[float]) -> None:
    found, wanted = welch(first, second), stats.ttest_ind(second, first, equal_var=False)
    interval = wanted.confidence_interval(0.95)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert found.degrees == pytest.approx(wanted.df, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.difference == pytest.approx(sum(second) / len(second) - sum(first) / len(first))


@given(t=st.floats(-1e3, 1e3), degrees=st.floats(1.0, 1e4))
def test_tails_are_those_of_scipy(t: float, degrees: float) -> None:
    assert student_tails(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-8, abs=1e-290)


@given(p=st.floats(1e-6, 0.999), degrees=st.floats(1.0, 1e3))
def test_reach_is_where_the_tails_are_p(p: float, degrees: float) -> None:
    assert student_reach(p, degrees) == pytest.approx(stats.t.isf(p / 2, degrees), rel=1e-7)


@given(x=st.floats(0.0, 0.999), a=st.floats(0.5, 200.0), b=st.floats(0.5, 200.0))
def test_beta_is_that_of_scipy(x: float, a: float, b: float) -> None:
    assert beta_share(x, 1 - x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


def test_groups_without_any_scatter() -> None:
    same, apart = welch([1.5, 1.5], [1.5, 1.5]), welch([1.5, 1.5], [1.25, 1.25])
    assert (same.p, same.low, same.high) == (1.0, 0.0, 0.0)
    assert (apart.p, apart.low, apart.high, apart.degrees) == (0.0, -0.25, -0.25, math.inf)
