"""From givens to a size and a number of tokens: nothing better is in the budget, nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError
from hornbook.plan.budget import Givens, Rung, choose_rung
from hornbook.plan.scaling import Law

LAW = Law(E=1.8, A=480.0, B=2000.0, alpha=0.35, beta=0.37)
RUNGS = [Rung(size=n, parameters=n, flops_per_token=6.0 * n) for n in (10**5, 10**6, 10**7, 10**8)]
RATE = 1e11


@given(seconds=st.floats(1.0, 1e7))
def test_a_budget_goes_to_the_rung_with_the_least_loss(seconds: float) -> None:
    aim = choose_rung(Givens(seconds=seconds), RUNGS, rate=RATE, law=LAW)
    assert aim.flops <= RATE * seconds
    for rung in RUNGS:
        tokens = RATE * seconds / rung.flops_per_token
        if tokens >= 1e5:
            assert LAW.loss(aim.rung.parameters, aim.tokens) <= LAW.loss(rung.parameters, int(tokens))


def test_a_size_gets_the_tokens_that_suit_it() -> None:
    aim = choose_rung(Givens(parameters=10**7), RUNGS[2:3], rate=RATE, law=LAW)
    assert aim.tokens == int(LAW.tokens_for(10**7))


def test_tokens_get_the_size_that_suits_them() -> None:
    aim = choose_rung(Givens(tokens=int(LAW.tokens_for(10**7))), RUNGS, rate=RATE, law=LAW)
    assert aim.rung.parameters == 10**7


def test_tokens_and_a_budget_give_the_largest_model_that_can_read_them() -> None:
    aim = choose_rung(Givens(tokens=10**6, flops=7e13), RUNGS, rate=RATE, law=LAW)
    assert (aim.rung.parameters, aim.tokens) == (10**7, 10**6)


def test_size_and_tokens_are_as_asked() -> None:
    aim = choose_rung(Givens(parameters=10**6, tokens=123_456), RUNGS[1:2], rate=RATE, law=LAW)
    assert (aim.rung.parameters, aim.tokens) == (10**6, 123_456)


@pytest.mark.parametrize(
    ("givens", "sentence"),
    [
        (
            Givens(),
            "say what you have: --hours 8, --params 30M, --tokens 600M or --flops 1e16, or two of them",
        ),
        (
            Givens(seconds=1.0, flops=1.0),
            "--hours and --flops both say how much to compute; give one of them",
        ),
        (
            Givens(seconds=1.0, parameters=1, tokens=1),
            "--hours, --params and --tokens are too many, since two of them settle the third; leave one away",
        ),
    ],
)
def test_what_settles_nothing_or_too_much_is_refused(givens: Givens, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        givens.check()
    assert str(caught.value) == sentence


def test_too_small_a_budget_is_told_what_it_would_take() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_rung(Givens(flops=1e9), RUNGS, rate=RATE, law=LAW)
    assert str(caught.value) == (
        "1e+09 operations are too few: 100k tokens with the smallest model take 6e+10 operations, 0.00017 "
        "hours at this speed; give more"
    )
