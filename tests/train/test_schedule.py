"""Schedules: the reference's curve, and sensible values at every corner of their numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hornbook.train import reference
from hornbook.train.config import (
    ConstantConfig,
    CosineConfig,
    InverseSquareRootConfig,
    LinearConfig,
    ScheduleConfig,
    WarmupStableDecayConfig,
)
from hornbook.train.schedule import learning_rate_share

SHARES = st.floats(0.0, 1.0)


@st.composite
def warm_stable_decays(draw: st.DrawFn) -> WarmupStableDecayConfig:
    warmup = draw(SHARES)
    decay = draw(st.floats(0.0, 1.0).map(lambda share: share * (1.0 - warmup)))
    return WarmupStableDecayConfig(warmup_share=warmup, decay_share=decay)


SCHEDULES = st.one_of(
    st.builds(ConstantConfig, warmup_share=SHARES),
    st.builds(CosineConfig, warmup_share=SHARES, final_share=SHARES),
    st.builds(LinearConfig, warmup_share=SHARES, final_share=SHARES),
    st.builds(InverseSquareRootConfig, warmup_share=SHARES),
    warm_stable_decays(),
)


def curve(config: ScheduleConfig, steps: int) -> list[float]:
    return [learning_rate_share(config, step, steps) for step in range(steps)]


@given(config=warm_stable_decays().filter(lambda c: c.decay_share > 1e-6), steps=st.integers(1, 60))
def test_the_curve_is_the_reference(config: WarmupStableDecayConfig, steps: int) -> None:
    wanted = [
        reference.learning_rate_share(step, steps, config.warmup_share, config.decay_share)
        for step in range(steps)
    ]
    assert curve(config, steps) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(config=SCHEDULES, steps=st.integers(1, 60))
def test_every_step_learns_and_none_beyond_the_peak(config: ScheduleConfig, steps: int) -> None:
    """Never 0, which would waste a step (a cosine to 0 comes near it at its end), never above 1."""
    shares = curve(config, steps)
    assert all(0 <= share <= 1 + 1e-12 for share in shares)
    assert all(share > 0 for share in shares)


@given(config=SCHEDULES, steps=st.integers(1, 60))
def test_the_rate_goes_up_once_and_down_once(config: ScheduleConfig, steps: int) -> None:
    shares = curve(config, steps)
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert all(a >= b - 1e-12 for a, b in zip(shares[top:], shares[top + 1 :], strict=False))


@given(config=SCHEDULES)
def test_a_run_of_one_step_uses_the_whole_rate_or_its_warm_up(config: ScheduleConfig) -> None:
    assert curve(config, 1) == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    "config",
    [
        ConstantConfig(warmup_share=1.0),
        CosineConfig(warmup_share=1.0),
        LinearConfig(warmup_share=1.0),
        InverseSquareRootConfig(warmup_share=1.0),
        WarmupStableDecayConfig(warmup_share=1.0, decay_share=0.0),
    ],
    ids=lambda config: config.kind,
)
def test_a_run_that_only_warms_up_ends_at_the_peak(config: ScheduleConfig) -> None:
    assert curve(config, 4) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "config",
    [ConstantConfig(warmup_share=0.0), WarmupStableDecayConfig(warmup_share=0.0, decay_share=0.0)],
    ids=lambda config: config.kind,
)
def test_without_warm_up_and_decay_all_is_the_peak(config: ScheduleConfig) -> None:
    assert curve(config, 4) == [1.0] * 4


def test_decay_alone_is_a_line_that_would_reach_zero_after_the_end() -> None:
    config = WarmupStableDecayConfig(warmup_share=0.0, decay_share=1.0)
    assert curve(config, 4) == [1.0, 0.75, 0.5, 0.25]


def test_a_trapeze() -> None:
    config = WarmupStableDecayConfig(warmup_share=0.2, decay_share=0.5)
    assert curve(config, 10) == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_a_cosine_goes_from_the_peak_to_its_final_share() -> None:
    config = CosineConfig(warmup_share=0.0, final_share=0.1)
    shares = curve(config, 1000)
    assert shares[0] == pytest.approx(1.0)
    assert shares[500] == pytest.approx(0.55)
    assert shares[-1] == pytest.approx(0.1, abs=1e-4)
    wanted = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 1000)) / 2 for step in range(1000)]
    assert shares == pytest.approx(wanted)


def test_a_line_goes_from_the_peak_to_its_final_share() -> None:
    config = LinearConfig(warmup_share=0.0, final_share=0.5)
    assert curve(config, 4) == [1.0, 0.875, 0.75, 0.625]
    assert curve(LinearConfig(warmup_share=0.2), 10) == pytest.approx(
        [0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )


def test_an_inverse_square_root_halves_at_four_times_the_warm_up() -> None:
    """1 / sqrt(step) from the end of the warm-up on, as in Vaswani et al. 2017, whatever the run's length."""
    config = InverseSquareRootConfig(warmup_share=0.1)
    shares = curve(config, 100)
    assert shares[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert (shares[9], shares[39]) == (1.0, pytest.approx(0.5))
    assert shares[10:] == pytest.approx([math.sqrt(10 / step) for step in range(11, 101)])
    assert curve(InverseSquareRootConfig(warmup_share=0.0), 3) == pytest.approx([1, 2**-0.5, 3**-0.5])


def test_shares_that_exceed_the_run_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"warmup_share 0\.6 and decay_share 0\.5 exceed the whole run"):
        WarmupStableDecayConfig(warmup_share=0.6, decay_share=0.5)
