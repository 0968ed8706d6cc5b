"""The scaling law: known constants come back, one bad run bends nothing, twin and brute force agree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import TextError
from hornbook.base.student import student_reach
from hornbook.plan import scaling_reference
from hornbook.plan.law_file import CHINCHILLA, nearest_law, shipped_law
from hornbook.plan.scaling import (
    Law,
    bootstrap,
    degrees_of_freedom,
    fit,
    interval,
    typical_error,
)

TRUE = Law(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
"""The constants of Hoffmann et al. 2022."""


@dataclass(frozen=True)
class Run:
    parameters: float
    tokens: float
    loss: float


def ladder(noise: float = 0.0, seed: int = 0) -> list[Run]:
    """Four sizes at four lengths, each loss off by a share that is drawn."""
    draw = np.random.default_rng(seed)
    return [
        Run(n, d, TRUE.loss(n, d) * math.exp(noise * draw.normal()))
        for n in (1e6, 1e7, 1e8, 1e9)
        for d in (1e8, 1e9, 1e10, 1e11)
    ]


def numbers(law: Law) -> tuple[float, ...]:
    return law.E, law.A, law.B, law.alpha, law.beta


def test_the_constants_come_back() -> None:
    assert numbers(fit(ladder())) == pytest.approx(numbers(TRUE), rel=0.02)


def test_one_run_that_went_wrong_hardly_bends_the_law() -> None:
    runs = ladder()
    runs[5] = Run(runs[5].parameters, runs[5].tokens, 1.5 * runs[5].loss)
    law = fit(runs)
    assert law.loss(1e10, 1e12) == pytest.approx(TRUE.loss(1e10, 1e12), rel=0.005)


@pytest.mark.slow
def test_fast_and_readable_find_the_same_law() -> None:
    runs = ladder(noise=0.003)
    found = fit(runs)
    twin = scaling_reference.fit([(run.parameters, run.tokens, run.loss) for run in runs])
    assert numbers(found) == pytest.approx(twin, rel=1e-3)
    assert found.loss(3e8, 2e10) == pytest.approx(scaling_reference.loss(twin, 3e8, 2e10), rel=1e-5)


@given(
    E=st.floats(0.0, 3.0),
    A=st.floats(1.0, 1e3),
    B=st.floats(1.0, 1e4),
    alpha=st.floats(0.2, 0.8),
    beta=st.floats(0.2, 0.8),
    power=st.floats(12.0, 24.0),
)
def test_no_split_of_a_budget_is_better_than_the_optimum(
    E: float, A: float, B: float, alpha: float, beta: float, power: float
) -> None:
    law = Law(E=E, A=A, B=B, alpha=alpha, beta=beta)
    parameters, tokens = law.optimum(10**power)
    assert 6 * parameters * tokens == pytest.approx(10**power)
    assert law.tokens_for(parameters) == pytest.approx(tokens)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert law.loss(factor * parameters, tokens / factor) >= law.loss(parameters, tokens)


def test_the_optimum_is_that_of_a_search() -> None:
    searched = scaling_reference.optimum(numbers(TRUE), 1e20)
    assert TRUE.optimum(1e20) == pytest.approx(searched, rel=0.01)


@pytest.mark.slow
def test_the_truth_lies_between_the_bounds() -> None:
    inside = 0
    for seed in range(6):
        runs = ladder(noise=0.005, seed=seed)
        law = fit(runs)
        others = bootstrap(runs, law, count=20)
        low, high = interval(law, others, typical_error(runs, law), degrees_of_freedom(runs), 1e10, 1e12)
        inside += low <= TRUE.loss(1e10, 1e12) <= high
    assert inside >= 4


def test_the_bounds_are_students_of_the_runs_beyond_the_five_numbers() -> None:
    runs = ladder()[:8]
    low, high = interval(TRUE, [TRUE], 0.01, degrees_of_freedom(runs), 1e8, 1e10)
    assert high - low == pytest.approx(2 * student_reach(0.1, 3) * 0.01 * TRUE.loss(1e8, 1e10))


def test_the_same_runs_give_the_same_bounds() -> None:
    runs = ladder(noise=0.005)
    law = fit(runs)
    assert bootstrap(runs, law, count=3) == bootstrap(runs, law, count=3)


def test_runs_that_tell_no_law_are_refused() -> None:
    with pytest.raises(TextError, match="wants 6 runs or more; 3 are given"):
        fit(ladder()[:3])
    with pytest.raises(TextError, match="all runs have one size, 1,000,000; a law wants several"):
        fit([Run(1e6, 10.0**i, 3.0 + 1 / i) for i in range(6, 12)])
    with pytest.raises(TextError, match="all runs have one number of tokens, 1,000,000"):
        fit([Run(10.0**i, 1e6, 3.0 + 1 / i) for i in range(6, 12)])


def test_the_shipped_law_is_that_of_its_runs() -> None:
    known = shipped_law()
    assert known.file is not None
    assert numbers(fit(known.file.runs)) == pytest.approx(numbers(known.law), rel=1e-3)


def test_the_shipped_law_reproduces_its_runs_within_its_bounds() -> None:
    known = shipped_law()
    assert known.file is not None
    inside = 0
    for run in known.file.runs:
        expected = known.expect(run.parameters, run.tokens)
        assert expected.low <= expected.loss <= expected.high
        inside += expected.low <= run.loss <= expected.high
        assert known.reach(parameters=run.parameters, tokens=run.tokens) == 1
    assert inside >= 0.8 * len(known.file.runs)


def test_the_nearest_law_decides() -> None:
    laws = (shipped_law(), CHINCHILLA)
    assert nearest_law(laws, flops=1e14) is laws[0]
    assert nearest_law(laws, flops=1e20) is CHINCHILLA
    assert CHINCHILLA.reach(parameters=7e6, tokens=1e12) == 10
