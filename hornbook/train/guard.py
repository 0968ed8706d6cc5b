"""The guard: looks at every step before it changes a weight, and leaves out what is not like the others.

`judge` is what `train_step` asks. A step whose loss or gradient is no number is always left out; what else
is, and whether the run should go back to an earlier save, is the policy of its configuration. The guard
compares by robust z-scores: medians and absolute deviations from them, over the steps it has lately let pass.
`guard_reference` says what they mean.

Everything it remembers is in `facts`, which is saved with the run, so a resumed run judges as if it had never
stopped. It knows neither files nor models: `hornbook.train.keeper` does the going back.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import DivergedError
from hornbook.train.guard_config import GuardConfig, OffConfig, RollBackConfig
from hornbook.train.step import only_finite

NORMAL = 1.4826
"""A normal distribution's standard deviation in units of its median absolute deviation."""
LEAST_LOSS_SHARE = 0.01
"""The smallest deviation of the loss that is believed, as a share of its median."""
LEAST_LOG_NORM = 0.05
"""The smallest deviation of the gradient's log length that is believed."""
TINY = 1e-12
"""What stands for nothing where a logarithm or a division needs something."""
MOST_NOT_FINITE = 10
"""Steps in a row without a finite loss after which there is nothing left to train."""


class Guard:
    """One run's guard: what it remembers of the steps, and its judgement of the next."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self.recent: deque[tuple[float, float]] = deque(
            maxlen=None if isinstance(config, OffConfig) else config.window
        )
        """Loss and log of the gradient's length of the last steps that were taken."""
        self.in_a_row = 0
        """Steps left out since the last one that was taken."""
        self.not_finite = 0
        """Steps in a row that were no numbers; unlike `in_a_row`, going back does not forget them."""
        self.slow_until = 0
        """The step until which the learning rate is lowered."""
        self.targets: list[int] = []
        """Steps of the saves that the run may go back to, the newest last."""
        self.z: dict[str, float] = {}
        """How far loss and gradient of the step that was judged last stood out; empty: from nothing."""

    def judge(self, total: float, weight: float, grad_norm: float) -> str | None:
        """Say why a step should change nothing; None: let it.

        Raises `DivergedError` when so many steps in a row were no numbers that no hope is left.
        """
        self.z = {}
        if reason := only_finite(total, weight, grad_norm):
            self.not_finite += 1
            self.in_a_row += 1
            if self.not_finite >= MOST_NOT_FINITE:
                raise DivergedError(f"the last {MOST_NOT_FINITE} steps were {reason}")
            return reason
        self.not_finite = 0
        if isinstance(self.config, OffConfig):
            self.in_a_row = 0
            return None
        loss, log_norm = total / weight, math.log(grad_norm + TINY)
        if reason := self._stands_out(loss, grad_norm, log_norm):
            if self.in_a_row < self.config.patience:
                self.in_a_row += 1
                return reason
            self.recent.clear()
        self.in_a_row = 0
        self.recent.append((loss, log_norm))
        return None

    def _stands_out(self, loss: float, grad_norm: float, log_norm: float) -> str | None:
        """In what a step is unlike the recent ones, in words."""
        assert not isinstance(self.config, OffConfig)
        if len(self.recent) < self.config.window / 2:
            return None
        losses, log_norms = np.array(self.recent).T
        usual_loss, loss_z = _compare(loss, losses, LEAST_LOSS_SHARE * abs(float(np.median(losses))))
        usual_log, norm_z = _compare(log_norm, log_norms, LEAST_LOG_NORM)
        self.z = {"loss_z": loss_z, "grad_norm_z": norm_z}
        if loss_z > self.config.loss_z:
            return f"loss {loss:.3g} where {usual_loss:.3g} is usual, {loss_z:.0f} deviations above"
        if norm_z > self.config.grad_norm_z:
            usual = math.exp(usual_log)
            return f"gradient norm {grad_norm:.3g} where {usual:.3g} is usual, {norm_z:.0f} deviations above"
        return None

    @property
    def wants_back(self) -> bool:
        """Whether steps stand out for so long that the weights must be to blame."""
        return isinstance(self.config, RollBackConfig) and self.in_a_row >= self.config.patience

    def go_back(self, facts: dict[str, Any], step: int) -> None:
        """Remember what was known at a former save, with which the run goes on after so many steps."""
        assert isinstance(self.config, RollBackConfig)
        targets, not_finite = self.targets, self.not_finite
        self.load(facts)
        self.targets, self.not_finite, self.in_a_row = targets, not_finite, 0
        self.slow_until = step + self.config.rate_steps

    def rate_share(self, step: int) -> float:
        """The share of the schedule's learning rate to take the step after so many with."""
        careful = self._careful(step)
        return 1.0 if careful is None else careful.rate_share

    def batches(self, step: int) -> int:
        """How many batches the step after so many learns from."""
        careful = self._careful(step)
        return 1 if careful is None else careful.batches

    def _careful(self, step: int) -> RollBackConfig | None:
        """The policy, for the steps after going back."""
        return self.config if isinstance(self.config, RollBackConfig) and step < self.slow_until else None

    def facts(self) -> dict[str, Any]:
        """All that it remembers, as JSON data."""
        return {
            "recent": [list(pair) for pair in self.recent],
            "in_a_row": self.in_a_row,
            "not_finite": self.not_finite,
            "slow_until": self.slow_until,
            "targets": list(self.targets),
        }

    def load(self, facts: dict[str, Any]) -> None:
        """Take back what `facts` gave; with another window, as much of it as there is room for."""
        self.recent.clear()
        self.recent.extend((loss, log_norm) for loss, log_norm in facts["recent"])
        self.in_a_row, self.not_finite = facts["in_a_row"], facts["not_finite"]
        self.slow_until, self.targets = facts["slow_until"], list(facts["targets"])


def _compare(value: float, before: NDArray[np.float64], least: float) -> tuple[float, float]:
    """The median of the values before, and how many robust deviations a value stands above it."""
    middle = float(np.median(before))
    width = NORMAL * float(np.median(np.abs(before - middle)))
    return middle, (value - middle) / max(width, least, TINY)
