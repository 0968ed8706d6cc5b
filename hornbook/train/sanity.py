"""What is normal for any run, whatever its recipe and its text: checks that need no other run beside it.

    checks = Checks(vocab_size=4096, by_frequency=6.9, steps=400, steps_per_epoch=120.0)
    checks.first(loss)        # the first step's loss, before anything is learned
    checks.hear(line)         # every line of metrics; mostly there is nothing to say

Two numbers frame every loss. A model that knows nothing pays ln(vocabulary) for a token. One that knows how
often each token occurs, and nothing of their order, pays what `cost_of_frequencies` says. How far below that
a recipe comes, these checks cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, isfinite, log
from typing import Any, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor

from hornbook.data.batch import IGNORED, Batch
from hornbook.data.loader import Loader

Line = dict[str, Any]
Judge = Callable[[Line], list[Line]]
"""Hears every line of metrics in order; returns the facts of the events that it makes of it."""

NEAR_NOTHING = (0.8, 1.3)
"""Shares of ln(vocabulary) between which a first loss is taken as that of a model which knows nothing."""
RISEN = 1.02
"""Share of its lowest value above which a held-out loss has risen."""
TOO_GOOD = 0.05
"""Share of what frequencies alone cost below which no model comes on ordinary text that is new to it."""
ORDERLESS = 0.98
"""Share of what frequencies cost above which nothing more than frequencies is known."""
MOST_BATCHES, ENOUGH_TARGETS = 64, 200_000
"""Of training text, to count how often tokens occur."""
STILL_FALLING = 0.99
"""Share of its last value below which a held-out loss is still falling."""


class Checks:
    """The checks of one run; what it remembers follows from the lines alone."""

    def __init__(self, *, vocab_size: int, by_frequency: float, steps: int, steps_per_epoch: float) -> None:
        self.vocab_size, self.by_frequency, self.steps = vocab_size, by_frequency, steps
        self.steps_per_epoch = steps_per_epoch
        self.train: Line = {}
        self.measured: list[tuple[int, float, float]] = []
        """Step, held-out loss and training loss of each measurement."""
        self.skipped = 0
        self.said: set[str] = set()

    def first(self, loss: float) -> list[Line]:
        """Judge the loss of the first step of a run that began from nothing."""
        nothing = log(self.vocab_size)
        low, high = (share * nothing for share in NEAR_NOTHING)
        if low <= loss <= high or not isfinite(loss):
            return []
        why = (
            "the weights begin too large (model.init), or the ids are those of another tokenizer"
            if loss > high
            else "the weights know something already, or the model sees what it is asked for"
        )
        knowing = f"knowing nothing costs ln({self.vocab_size:,}) = {nothing:.2f}"
        return [_event(f"the first loss is {loss:.2f} nats, and {knowing}: {why}")]

    def hear(self, line: Line) -> list[Line]:
        """Take note of a line; at a measurement on held-out text, say what stands out."""
        if line["kind"] == "train":
            self.train = line
        elif line["kind"] == "event" and line.get("what") == "skip":
            self.skipped += 1
        elif line["kind"] == "validation" and is_number(line["loss"]):
            return self._measured(line["step"], line["loss"])
        return []

    def _measured(self, step: int, loss: float) -> list[Line]:
        before = self.measured[-1] if self.measured else None
        train = self.train.get("loss")
        self.measured.append((step, loss, train if is_number(train) else inf))
        found = [self._stands_still(step, loss, before), self._by_heart(step, loss), self._too_good(loss)]
        if step == self.steps:
            found.append(self._knows_no_order(loss, before))
        self.skipped = 0
        return [_event(text) for text in found if text]

    def _stands_still(self, step: int, loss: float, before: tuple[int, float, float] | None) -> str:
        """The same to the last bit: no weight has changed."""
        if before is None or loss != before[1]:
            return ""
        if self.skipped >= step - before[0]:
            why = "the guard left out every step"
        elif (rate := self.train.get("learning_rate")) is not None and rate < 1e-8:
            why = f"the learning rate is {rate:g}, so look at train.optimizer and train.schedule"
        else:
            why = "the weights are frozen, or no gradient reaches them"
        return f"nothing was learned since step {before[0]:,}: the held-out loss is {loss:.4f} still; {why}"

    def _by_heart(self, step: int, loss: float) -> str:
        """Held-out text grows harder while the training text grows easier."""
        best_step, best, train_then = min(self.measured, key=lambda point: point[1])
        train_now = self.measured[-1][2]
        if loss <= RISEN * best or not train_now < train_then < inf or not self._once("by heart"):
            return ""
        return (
            f"learning by heart: held-out loss was lowest at step {best_step:,} ({best:.2f}) and is "
            f"{loss:.2f} now, while training loss fell from {train_then:.2f} to {train_now:.2f}; "
            f"the run has been {step / self.steps_per_epoch:.1f} times through its text: give it more text, "
            "fewer steps or dropout"
        )

    def _too_good(self, loss: float) -> str:
        if not loss < TOO_GOOD * self.by_frequency or not self._once("too good"):
            return ""
        return (
            f"too good to be true: {loss:.3f} nats a token of held-out text, where guessing by frequency "
            f"costs {self.by_frequency:.2f}; likely, in order: the model sees what it is asked for (a mask "
            "or targets that are not shifted), held-out text stands in the training text too, the text "
            "repeats itself"
        )

    def _knows_no_order(self, loss: float, before: tuple[int, float, float] | None) -> str:
        if not loss >= ORDERLESS * self.by_frequency:
            return ""
        falling = before is None or loss < STILL_FALLING * before[1]
        causes = ["too few steps (it still falls)"] if falling else []
        causes += [
            "a learning rate that is too small or too large",
            "targets that do not belong to their tokens",
        ]
        return (
            f"{loss:.2f} nats a token is no better than guessing by how often each token occurs "
            f"({self.by_frequency:.2f}): nothing of their order was learned; likely, in order: "
            + ", ".join(causes)
        )

    def _once(self, name: str) -> bool:
        """Whether this is said for the first time."""
        is_new = name not in self.said
        self.said.add(name)
        return is_new


def cost_of_frequencies(held_out: Iterable[Batch], loader: Loader, vocab_size: int) -> float:
    """What a target of some batches costs, in nats, if it is guessed by how often it occurs.

    The frequencies are those of the first batches of training, and of what is asked itself: none is 0.
    Where nothing is asked it is NaN, and no loss is held against it.
    """
    asked, seen = _counts(held_out, vocab_size), torch.zeros(vocab_size, dtype=torch.float64)
    for step in range(MOST_BATCHES):
        seen += _counts([loader.batch(step)], vocab_size)
        if seen.sum() >= ENOUGH_TARGETS:
            break
    known = asked > 0
    shares = ((asked + seen) / (asked + seen).sum())[known]
    return float(-(asked[known] * shares.log()).sum() / asked.sum())


def _counts(batches: Iterable[Batch], vocab_size: int) -> Float[Tensor, " vocab"]:
    """How often each token is asked for."""
    counts = torch.zeros(vocab_size, dtype=torch.float64)
    for batch in batches:
        for part in batch.split(len(batch.tokens)):
            targets = part.targets[part.targets != IGNORED]
            counts += torch.bincount(targets, minlength=vocab_size)
    return counts


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether a loss is a number; a file has null where it was none."""
    return value is not None and isfinite(value)


def _event(text: str) -> Line:
    return {"what": "check", "text": text}
