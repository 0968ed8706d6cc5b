"""What can go wrong in a run, done on purpose: each harm spoils one step of a `Fit` that has not begun.

    fit = Fit(...)
    HARMS["a flipped exponent bit"](fit, 200)       # the harm, and the step it is done at, counted from 0
    fit.run()

Tests and benchmarks/stability.py use them; a run without a guard beside it shows what each of them costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from hornbook.data.batch import Batch
from hornbook.train.fit import Fit

STEPS_POISONED = 2


def poisoned(fit: Fit, step: int) -> None:
    """Batches of random ids, two in a row: text that is none, as of a damaged shard."""
    inner = fit.loader.batch
    vocab_size = fit.tokenizer.vocab_size

    def batch(number: int) -> Batch:
        one = inner(number)
        if not step <= number < step + STEPS_POISONED:
            return one
        ids = torch.randint(vocab_size, one.tokens.shape, generator=torch.Generator().manual_seed(number))
        return replace(one, tokens=ids, targets=ids.roll(1))

    fit.loader.batch = batch  # type: ignore[method-assign]


def absurd_rate(fit: Fit, step: int) -> None:
    """One update with a thousand times the learning rate."""
    inner, state = fit.state.optimizer.step, fit.state

    def update(share: float) -> None:
        inner(share * (1000 if state.step == step else 1))

    fit.state.optimizer.step = update  # type: ignore[method-assign]


def flipped_bit(fit: Fit, step: int) -> None:
    """The highest bit of the exponent of one weight turned over, as by a fault of the memory."""

    def flip() -> None:
        _matrix(fit).view(torch.int32).flatten()[0] ^= 1 << 30

    _before(fit, step, flip)


def not_a_number(fit: Fit, step: int) -> None:
    """A batch whose loss is not a number."""
    inner, state = fit.objective, fit.state

    def objective(model: torch.nn.Module, batch: Batch) -> object:
        loss = inner(model, batch)
        return (
            loss._replace(total=loss.total * float("nan")) if model.training and state.step == step else loss
        )

    fit.objective = objective  # type: ignore[assignment]


def broken_weight(fit: Fit, step: int) -> None:
    """One weight that is not a number: from then on, nothing is."""

    def spoil() -> None:
        _matrix(fit).flatten()[0] = float("nan")

    _before(fit, step, spoil)


def _matrix(fit: Fit) -> torch.Tensor:
    """The numbers of the largest matrix inside the blocks."""
    blocks = [one for name, one in fit.state.model.named_parameters() if name.startswith("blocks.")]
    return max(blocks, key=lambda one: one.numel()).data


def _before(fit: Fit, step: int, act: Callable[[], None]) -> None:
    """Do something once, before a step."""
    inner = fit.loader.batch

    def batch(number: int) -> Batch:
        if number == step:
            act()
        return inner(number)

    fit.loader.batch = batch  # type: ignore[method-assign]


HARMS: dict[str, Callable[[Fit, int], None]] = {
    "poisoned data": poisoned,
    "an absurd learning rate": absurd_rate,
    "a flipped exponent bit": flipped_bit,
    "a loss that is no number": not_a_number,
    "a weight that is no number": broken_weight,
}
