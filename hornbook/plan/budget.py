"""From what a person has to what to train: givens, a ladder of sizes, a speed, a law.

    givens = Givens(seconds=8 * 3600)
    givens.check()
    aim = choose_rung(givens, rungs, rate=1e11, law=known.law)
    aim.rung, aim.tokens

Time and operations are one budget, by the speed. A budget alone is split between size and tokens as the law
has it; with a size or a number of tokens given, the other follows. The ladder is handed in: this room knows
no recipes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hornbook.base.amounts import short_amount
from hornbook.base.errors import ConfigError
from hornbook.plan.scaling import Law

FEWEST_TOKENS = 100_000
"""Tokens below which no law says anything."""


@dataclass(frozen=True)
class Rung:
    """One size of model and what it costs."""

    size: int
    """What the recipe's dial is turned to."""
    parameters: int
    """Matrix parameters, the head's among them."""
    flops_per_token: float
    """Operations to learn from a token."""


@dataclass(frozen=True)
class Aim:
    """A model and how much it shall read."""

    rung: Rung
    tokens: int

    @property
    def flops(self) -> float:
        """Operations of the whole training."""
        return self.rung.flops_per_token * self.tokens


@dataclass(frozen=True)
class Givens:
    """What the person has, or wants; None: whatever follows from the rest."""

    seconds: float | None = None
    flops: float | None = None
    parameters: int | None = None
    tokens: int | None = None

    def check(self) -> None:
        """Refuse what settles nothing, and what settles one thing twice."""
        if self.seconds is not None and self.flops is not None:
            raise ConfigError("--hours and --flops both say how much to compute; give one of them")
        given = [
            option
            for option, value in (
                ("--hours", self.seconds),
                ("--flops", self.flops),
                ("--params", self.parameters),
                ("--tokens", self.tokens),
            )
            if value is not None
        ]
        if not given:
            raise ConfigError(
                "say what you have: --hours 8, --params 30M, --tokens 600M or --flops 1e16, or two of them"
            )
        if len(given) > 2:
            raise ConfigError(
                f"{', '.join(given[:-1])} and {given[-1]} are too many, since two of them settle the third; "
                "leave one away"
            )

    def budget(self, rate: float) -> float | None:
        """The operations there are, at so many a second; None: as many as it takes."""
        return self.flops if self.seconds is None else self.seconds * rate


def choose_rung(givens: Givens, rungs: Sequence[Rung], *, rate: float, law: Law) -> Aim:
    """The rung and the tokens that the law expects the least loss of.

    Where a size is given there is one rung. Raises `ConfigError` where nothing fits the budget.
    """
    budget = givens.budget(rate)
    if budget is None:
        aims = [_aim_at(rung, givens, law) for rung in rungs]
        if givens.tokens is None:
            return aims[0]
        # So many tokens are the optimum of one size.
        return min(aims, key=lambda aim: abs(math.log(law.tokens_for(aim.rung.parameters) / aim.tokens)))
    aims = [
        Aim(rung, givens.tokens or int(budget / rung.flops_per_token))
        for rung in rungs
        if budget / rung.flops_per_token >= (givens.tokens or FEWEST_TOKENS)
    ]
    if not aims:
        raise ConfigError(_too_little(givens, rungs[0], budget, rate))
    return min(aims, key=lambda aim: law.loss(aim.rung.parameters, aim.tokens))


def _aim_at(rung: Rung, givens: Givens, law: Law) -> Aim:
    """A rung with the tokens that are given, or with as many as suit it."""
    tokens = givens.tokens or int(law.tokens_for(rung.parameters))
    return Aim(rung, max(tokens, FEWEST_TOKENS))


def _too_little(givens: Givens, smallest: Rung, budget: float, rate: float) -> str:
    """Why a budget is too small for any rung."""
    wanted = givens.tokens or FEWEST_TOKENS
    flops = wanted * smallest.flops_per_token
    model = f"{short_amount(smallest.parameters)} weights" if givens.parameters else "the smallest model"
    needed = f"{flops:.2g} operations, {flops / rate / 3600:.2g} hours at this speed"
    return (
        f"{budget:.2g} operations are too few: {short_amount(wanted)} tokens with {model} take {needed}; "
        "give more"
        + (", or fewer tokens" if givens.tokens else ", or fewer --params" if givens.parameters else "")
    )
