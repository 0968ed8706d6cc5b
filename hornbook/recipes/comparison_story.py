"""What a comparison of runs says, in sentences: for its page, and for the terminal.

A sentence claims no more than the numbers show: where seeds are too few, or the runs were asked for different
things, it says so and stops.
"""

from __future__ import annotations

from collections.abc import Sequence

from hornbook.recipes.comparison import (
    UNITS,
    Entrant,
    Group,
    Verdict,
    has_other_tokenizers,
    verdicts,
)

LIKELY = 0.05
"""From this p up a difference is left to chance."""


def conclusions(groups: Sequence[Group], runs: Sequence[Entrant]) -> list[str]:
    """What there is to say of all groups."""
    if len(groups) == 1:
        return ["All runs are of one configuration: what differs between them is chance."]
    found = verdicts(groups)
    said = [_sentence(verdict) for verdict in found]
    if has_other_tokenizers(runs) and any(verdict.difference is not None for verdict in found):
        said.insert(
            0,
            "Where tokenizers differ, runs are compared in bits per byte, which no tokenizer changes.",
        )
    if sum(verdict.test is not None for verdict in found) > 1:
        said.append(
            "Each p is for its own pair: of twenty such comparisons between likes, one comes out below "
            f"{LIKELY} by chance."
        )
    return said


def _sentence(verdict: Verdict) -> str:
    """What a comparison says, in words."""
    a, b = verdict.first.letter, verdict.second.letter
    if verdict.difference is None:
        return f"{a} and {b} cannot be compared: {verdict.reason}."
    way = "less" if verdict.difference < 0 else "more"
    amount = f"{b} needs {abs(verdict.difference):.4f} {UNITS[verdict.unit]} {way} than {a}"
    if verdict.test is None:
        return f"{amount}. Whether that is more than chance is not known: {verdict.reason}"
    test = verdict.test
    judged = "more than chance explains" if test.p < LIKELY else "no more than chance explains"
    return (
        f"{amount} on average, {judged} (95% interval of the difference {test.low:+.4f} to {test.high:+.4f}; "
        f"Welch's t-test, p {_p(test.p)}, {len(verdict.first.runs)} and {len(verdict.second.runs)} seeds)."
    )


def _p(p: float) -> str:
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"
