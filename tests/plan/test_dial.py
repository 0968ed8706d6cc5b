"""The dial: more time never gives less, no plan exceeds the time or the text, and the reasons are true."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError
from hornbook.plan.dial import (
    FEWEST_STEPS,
    MOST_EPOCHS,
    TOKENS_PER_PARAMETER,
    Candidate,
    Plan,
    choose,
    steps_in,
)

SMALL = Candidate(size=2, parameters=1_000_000, flops_per_step=1e9, tokens_per_step=4096)
LARGE = Candidate(size=4, parameters=8_000_000, flops_per_step=8e9, tokens_per_step=4096)
PLENTY = 10**12
"""Tokens of a corpus that is never the limit."""


@st.composite
def ladders(draw: st.DrawFn) -> list[Candidate]:
    """Candidates from small to large, each larger in everything."""
    parameters, flops, found = 100_000, 1e8, []
    for size in range(1, draw(st.integers(1, 5)) + 1):
        parameters *= draw(st.integers(2, 5))
        flops *= draw(st.integers(2, 5))
        found.append(Candidate(size, parameters, flops, 4096))
    return found


def plan_for(
    candidates: list[Candidate], seconds: float, rate: float = 1e9, corpus_tokens: int = PLENTY
) -> Plan:
    return choose(candidates, flops_per_second=rate, seconds=seconds, corpus_tokens=corpus_tokens)


def reasons(plan: Plan) -> dict[str, tuple[str, str]]:
    return {choice.name: (choice.value, choice.because) for choice in plan.choices}


BUDGETS = {
    "candidates": ladders(),
    "seconds": st.floats(0.01, 1e6),
    "rate": st.floats(1e6, 1e15),
    "corpus_tokens": st.integers(1, 10**10),
}


@given(**BUDGETS, more=st.floats(1.0, 100.0))
def test_more_time_never_gives_a_smaller_model(
    candidates: list[Candidate], seconds: float, rate: float, corpus_tokens: int, more: float
) -> None:
    little = plan_for(candidates, seconds, rate, corpus_tokens)
    much = plan_for(candidates, seconds * more, rate, corpus_tokens)
    assert much.size >= little.size


@given(**BUDGETS, more=st.integers(1, 100))
def test_more_text_never_gives_a_smaller_model(
    candidates: list[Candidate], seconds: float, rate: float, corpus_tokens: int, more: int
) -> None:
    little = plan_for(candidates, seconds, rate, corpus_tokens)
    assert plan_for(candidates, seconds, rate, corpus_tokens * more).size >= little.size


@given(**BUDGETS)
def test_a_plan_keeps_to_the_time_and_to_the_text(
    candidates: list[Candidate], seconds: float, rate: float, corpus_tokens: int
) -> None:
    """But for one step, without which there is no run."""
    plan = plan_for(candidates, seconds, rate, corpus_tokens)
    (chosen,) = [candidate for candidate in candidates if candidate.size == plan.size]
    assert plan.steps >= 1
    if plan.steps > 1:
        assert plan.steps * chosen.flops_per_step <= rate * seconds * (1 + 1e-9)
        assert plan.steps * chosen.tokens_per_step <= MOST_EPOCHS * corpus_tokens


@given(**BUDGETS)
def test_the_size_is_the_largest_that_learns_enough(
    candidates: list[Candidate], seconds: float, rate: float, corpus_tokens: int
) -> None:
    plan = plan_for(candidates, seconds, rate, corpus_tokens)
    enough = []
    for candidate in candidates:
        steps = int(seconds * rate / candidate.flops_per_step)
        tokens = min(steps * candidate.tokens_per_step, MOST_EPOCHS * corpus_tokens)
        if steps >= FEWEST_STEPS and tokens >= TOKENS_PER_PARAMETER * candidate.parameters:
            enough.append(candidate.size)
    assert plan.size == max(enough, default=candidates[0].size)


def test_a_step_more_makes_the_difference() -> None:
    """8 million weights want 2.8 million tokens: 684 steps of 4096, which take 5472 seconds at this speed."""
    assert plan_for([SMALL, LARGE], 5471.9).size == 2
    assert plan_for([SMALL, LARGE], 5472.0).size == 4


def test_a_short_text_is_read_eight_times_and_no_more() -> None:
    plan = plan_for([SMALL], 1000.0, corpus_tokens=40_960)
    assert plan.steps == 80
    assert reasons(plan)["steps"] == ("80", "8 times through the text; more would only memorise it")
    assert reasons(plan)["tokens"] == ("327,680", "8.0 times through the text")


def test_the_reasons_of_an_ample_plan() -> None:
    found = reasons(plan_for([SMALL, LARGE], 6000.0, corpus_tokens=2_048_000))
    assert list(found) == ["speed", "size", "batch", "steps", "tokens"]
    assert found["batch"][0] == "4,096 tokens"
    assert found["speed"] == ("1 GFLOP/s", "measured on this machine, on real training steps")
    assert found["size"] == (
        "4",
        "the largest that sees 0.35 tokens for each of its 8.0 million matrix weights in the time",
    )
    assert found["steps"] == ("750", "6000 s at this speed, 8 GFLOP a step")
    assert found["tokens"] == ("3,072,000", "1.5 times through the text")


def test_the_smallest_is_not_praised_as_the_largest() -> None:
    plan = plan_for([SMALL, LARGE], 1.0)
    assert plan.size == 2
    assert reasons(plan)["size"] == ("2", "the smallest: there is too little time or text for more")


def test_a_size_that_was_asked_for_is_said_to_be() -> None:
    assert reasons(plan_for([LARGE], 1.0))["size"] == ("4", "as asked")


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf"])
def test_no_time_is_refused(minutes: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_for([SMALL], 60 * float(minutes))
    assert str(caught.value) == (
        f"{minutes} minutes is no time to train for; give --minutes a number above 0, such as 4.5"
    )


def test_steps_in() -> None:
    assert steps_in(SMALL, flops_per_second=1e9, seconds=3.9) == 3
