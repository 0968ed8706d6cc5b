"""The dial: from minutes to a model's size and its number of steps, by rules that are shown.

A budget of time buys a number of operations on this machine. A large model spends them on few tokens, a small
one on many; in between lies the size that learns most. `choose` takes the largest size that still sees
enough text, and tells why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hornbook.base.errors import ConfigError

TOKENS_PER_PARAMETER = 0.35
"""Fewest training tokens for each matrix parameter. Far below the 20 of Hoffmann et al. 2022, because for
minutes of compute the number of optimizer steps is what is short. Set by hand after a few runs of minutes; a
fitted law is to replace it."""
FEWEST_STEPS = 100
"""A size that gets fewer steps than this is too large for the time. Set by hand."""
MOST_EPOCHS = 8
"""Going through the same text more often teaches little: the gain of repeating fades after about four times
and is nearly gone at sixteen (Muennighoff et al. 2023)."""


@dataclass(frozen=True)
class Candidate:
    """One size of model and what a step of it costs."""

    size: int
    parameters: int
    """Matrix parameters."""
    flops_per_step: float
    tokens_per_step: int


@dataclass(frozen=True)
class Choice:
    """One derived number and why it is so."""

    name: str
    value: str
    because: str


@dataclass(frozen=True)
class Plan:
    """What to train."""

    size: int
    steps: int
    choices: tuple[Choice, ...]


def choose(
    candidates: Sequence[Candidate], *, flops_per_second: float, seconds: float, corpus_tokens: int
) -> Plan:
    """Pick size and steps for a budget of training seconds; `candidates` go from small to large."""
    if not 0 < seconds < math.inf:
        raise ConfigError(
            f"{seconds / 60:g} minutes is no time to train for; give --minutes a number above 0, such as 4.5"
        )
    fitting = [c for c in candidates if _learns_enough(c, flops_per_second, seconds, corpus_tokens)]
    chosen = fitting[-1] if fitting else candidates[0]
    affordable = max(1, steps_in(chosen, flops_per_second, seconds))
    useful = max(1, MOST_EPOCHS * corpus_tokens // chosen.tokens_per_step)
    steps = min(affordable, useful)
    speed = f"{flops_per_second / 1e9:,.0f} GFLOP/s"
    why = "as asked" if len(candidates) == 1 else _why_this_size(chosen, bool(fitting))
    return Plan(
        chosen.size,
        steps,
        (
            Choice("speed", speed, "measured on this machine, on real training steps"),
            Choice("size", str(chosen.size), why),
            Choice("batch", f"{chosen.tokens_per_step:,} tokens", "in each step, the same for every size"),
            Choice("steps", f"{steps:,}", _why_so_many_steps(chosen, seconds, steps == affordable)),
            _tokens(chosen, steps, corpus_tokens),
        ),
    )


def steps_in(candidate: Candidate, flops_per_second: float, seconds: float) -> int:
    """How many steps of a candidate fit into the time."""
    return int(seconds * flops_per_second / candidate.flops_per_step)


def _learns_enough(candidate: Candidate, rate: float, seconds: float, corpus_tokens: int) -> bool:
    """Whether a candidate gets steps and text enough in the time to be worth its size."""
    steps = steps_in(candidate, rate, seconds)
    tokens = min(steps * candidate.tokens_per_step, MOST_EPOCHS * corpus_tokens)
    return steps >= FEWEST_STEPS and tokens >= TOKENS_PER_PARAMETER * candidate.parameters


def _why_this_size(chosen: Candidate, is_fitting: bool) -> str:
    if not is_fitting:
        return "the smallest: there is too little time or text for more"
    return (
        f"the largest that sees {TOKENS_PER_PARAMETER:g} tokens for each of its "
        f"{chosen.parameters / 1e6:.1f} million matrix weights in the time"
    )


def _why_so_many_steps(chosen: Candidate, seconds: float, fills_the_time: bool) -> str:
    if not fills_the_time:
        return f"{MOST_EPOCHS} times through the text; more would only memorise it"
    return f"{seconds:.0f} s at this speed, {chosen.flops_per_step / 1e9:,.0f} GFLOP a step"


def _tokens(chosen: Candidate, steps: int, corpus_tokens: int) -> Choice:
    tokens = steps * chosen.tokens_per_step
    return Choice("tokens", f"{tokens:,}", f"{tokens / corpus_tokens:.1f} times through the text")
