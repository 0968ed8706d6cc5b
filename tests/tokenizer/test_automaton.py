"""The automata: two characters at once tell what they tell one after the other, from every state."""

from __future__ import annotations

import pytest

from hornbook.tokenizer.automaton import (
    AFTER_LINE,
    BEFORE,
    BEFORE_SECOND,
    LINE,
    LINE_FIRST,
    N_KINDS,
    N_PAIRS,
    NEXT,
    ONE_EARLIER,
    RULES,
    SELDOM,
    TWO_EARLIER,
    automaton,
)
from hornbook.tokenizer.split import AT_ONCE

every_pattern = pytest.mark.parametrize("name", RULES)

FLAG_ENDS = {AFTER_LINE: "after the line", TWO_EARLIER: -2, ONE_EARLIER: -1, BEFORE: 0}


def ends_of(step: int, at: int) -> list[int | str]:
    """Where words end by a single step."""
    return [at + end if isinstance(end, int) else end for flag, end in FLAG_ENDS.items() if step & flag]


def pairs_of(name: str) -> list[tuple[int, int, int]]:
    """A step, the one after it, and the double step, for each state and two kinds of characters."""
    _, steps, double_steps = (array.tolist() for array in automaton(name))
    found = []
    for place, double in enumerate(double_steps):
        state, kinds = divmod(place, N_PAIRS)
        first = steps[state * N_KINDS + kinds // N_KINDS]
        found.append((first, steps[(first & NEXT) * N_KINDS + kinds % N_KINDS], double))
    return found


@every_pattern
def test_a_double_step_is_two_steps(name: str) -> None:
    for first, second, double in pairs_of(name):
        assert double & NEXT == (second & NEXT) * N_PAIRS
        assert [bool(double & LINE_FIRST), bool(double & LINE)] == [bool(first & LINE), bool(second & LINE)]
        seldom = bool((first | second) & (AFTER_LINE | TWO_EARLIER))
        assert bool(double & SELDOM) == seldom
        if not seldom:
            ends = {ONE_EARLIER: -1, BEFORE: 0, BEFORE_SECOND: 1}
            found = [end for flag, end in ends.items() if double & flag]
            assert found == ends_of(first, 0) + ends_of(second, 1)


@every_pattern
def test_two_steps_and_a_word_have_room(name: str) -> None:
    n_ends = [len(ends_of(first, 0) + ends_of(second, 1)) for first, second, _ in pairs_of(name)]
    assert max(n_ends) + 1 <= AT_ONCE
