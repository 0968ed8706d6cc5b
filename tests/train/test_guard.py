"""The guard: it judges as its readable twin, forgets nothing over a save, and hinders no calm run."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import DivergedError
from hornbook.train.guard import MOST_NOT_FINITE, Guard
from hornbook.train.guard_config import OffConfig, RollBackConfig, SkipConfig
from hornbook.train.guard_reference import left_out, robust_z

WEIGHT = 64.0
ROUGH = st.one_of(
    st.floats(2.0, 2.3), st.floats(2.0, 2.3), st.floats(0.0, 1e6), st.sampled_from([math.nan, math.inf, 0.0])
)
"""A loss or a gradient's length: as a rule within a band, now and then anything."""
MEASURED = st.lists(st.tuples(ROUGH, ROUGH), max_size=60)
CONFIGS = st.builds(
    SkipConfig,
    loss_z=st.sampled_from([2.0, 10.0]),
    grad_norm_z=st.sampled_from([2.0, 10.0]),
    window=st.integers(8, 20),
    patience=st.integers(1, 4),
)


def judged(guard: Guard, measured: list[tuple[float, float]]) -> list[bool]:
    """Which steps a guard leaves out, until it gives up."""
    said = []
    for loss, norm in measured:
        try:
            said.append(guard.judge(loss * WEIGHT, WEIGHT, norm) is not None)
        except DivergedError:
            break
    return said


def steady(n: int) -> list[tuple[float, float]]:
    """Steps of a calm run: the loss scatters by a tenth, the gradient's length too."""
    return [(3.0 + 0.1 * math.sin(7 * i), 1.0 + 0.1 * math.sin(5 * i)) for i in range(n)]


@given(config=CONFIGS, measured=MEASURED)
def test_it_judges_as_the_guard_to_read(config: SkipConfig, measured: list[tuple[float, float]]) -> None:
    # Divided as the guard divides: a sum and its weight may round to another mean than was drawn.
    losses = [loss * WEIGHT / WEIGHT for loss, _ in measured]
    rule = config.model_dump(exclude={"kind"})
    wanted = left_out(losses, [norm for _, norm in measured], **rule)
    found = judged(Guard(config), measured)
    assert found == wanted[: len(found)]


@given(config=CONFIGS, measured=MEASURED, place=st.integers(0, 60))
def test_a_saved_guard_judges_on_as_if_nothing_had_been(
    config: SkipConfig, measured: list[tuple[float, float]], place: int
) -> None:
    straight, first, second = Guard(config), Guard(config), Guard(config)
    wanted = judged(straight, measured)
    found = judged(first, measured[:place])
    second.load(json.loads(json.dumps(first.facts())))
    assert second.facts() == first.facts()
    if len(found) == len(measured[:place]):
        assert found + judged(second, measured[place:]) == wanted
        assert second.facts() == straight.facts()


def test_a_robust_z_is_one_of_a_normal_distribution() -> None:
    """Of its quantiles, the 84th percent lies one deviation above; and wild values change little."""
    from statistics import NormalDist

    normal = NormalDist(5.0, 2.0)
    before = [normal.inv_cdf((i + 0.5) / 1000) for i in range(1000)]
    assert robust_z(7.0, before, 0.0) == pytest.approx(1.0, abs=0.01)
    assert robust_z(7.0, [*before, *[1e9] * 50], 0.0) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("config", [OffConfig(), SkipConfig(), RollBackConfig()])
def test_what_is_no_number_is_left_out_under_any_policy(loss: float, config: Any) -> None:
    guard = Guard(config)
    assert guard.judge(loss, WEIGHT, 1.0) == f"not finite: loss {loss:.3g}, gradient norm 1"
    assert guard.judge(1.0, WEIGHT, math.nan) is not None
    assert guard.judge(0.0, 0.0, 1.0) == "the batch has nothing to predict"
    assert guard.judge(1.0, WEIGHT, 1.0) is None


def test_after_ten_steps_that_are_no_numbers_the_run_ends() -> None:
    guard = Guard(OffConfig())
    for _ in range(MOST_NOT_FINITE - 1):
        assert guard.judge(math.nan, WEIGHT, math.nan)
    guard.judge(1.0, WEIGHT, 1.0)  # one that is a number, and the count begins anew
    for _ in range(MOST_NOT_FINITE - 1):
        assert guard.judge(math.nan, WEIGHT, math.nan)
    with pytest.raises(DivergedError) as caught:
        guard.judge(math.nan, WEIGHT, math.nan)
    assert str(caught.value) == "the last 10 steps were not finite: loss nan, gradient norm nan"


@pytest.mark.parametrize(
    ("loss", "norm", "said"),
    [
        (9.0, 1.0, "loss 9 where 3.01 is usual, {loss_z:.0f} deviations above"),
        (3.0, 400.0, "gradient norm 400 where 0.996 is usual, {grad_norm_z:.0f} deviations above"),
    ],
)
def test_a_step_that_stands_out_is_named(loss: float, norm: float, said: str) -> None:
    guard = Guard(SkipConfig())
    assert not any(judged(guard, steady(64)))
    reason = guard.judge(loss * WEIGHT, WEIGHT, norm)
    assert reason == said.format(**guard.z)


def test_a_step_below_the_others_is_welcome() -> None:
    guard = Guard(SkipConfig())
    judged(guard, steady(64))
    assert guard.judge(0.01 * WEIGHT, WEIGHT, 0.001) is None


def test_nothing_is_judged_before_there_is_something_to_compare_with() -> None:
    guard = Guard(SkipConfig(window=64))
    judged(guard, steady(31))
    assert guard.judge(100 * WEIGHT, WEIGHT, 100.0) is None and guard.z == {}


def test_what_lasts_is_the_new_measure() -> None:
    """Another kind of text from here on: three steps are lost, and no more."""
    guard = Guard(SkipConfig(patience=3))
    harder = [(loss + 3.0, norm) for loss, norm in steady(200)]
    assert judged(guard, steady(64) + harder) == [False] * 64 + [True] * 3 + [False] * 197


def test_going_back_remembers_what_was_known_then_and_slows_down() -> None:
    guard = Guard(RollBackConfig(rate_share=0.25, rate_steps=10, batches=3))
    judged(guard, steady(40))
    guard.targets = [20, 40]
    then = guard.facts()
    judged(guard, steady(10))
    assert not guard.wants_back
    assert judged(guard, [(9.0, 1.0)] * 3) == [True] * 3
    assert guard.wants_back
    guard.targets.pop()
    guard.go_back(then, step=53)
    assert not guard.wants_back and guard.targets == [20]
    assert guard.facts()["recent"] == then["recent"]
    assert [guard.rate_share(step) for step in (53, 62, 63)] == [0.25, 0.25, 1.0]
    assert [guard.batches(step) for step in (53, 62, 63)] == [3, 3, 1]


def test_going_back_does_not_hide_that_nothing_is_a_number() -> None:
    """Or a run whose every step is spoilt would go back for ever."""
    guard = Guard(RollBackConfig())
    then = guard.facts()
    with pytest.raises(DivergedError):
        for step in range(MOST_NOT_FINITE):
            guard.judge(math.nan, WEIGHT, math.nan)
            if guard.wants_back:
                guard.go_back(then, step)
