"""The moving average of a model's weights: often better than the weights of any single step.

    average = Average(model, decay=0.999)
    average.update()                     # after every step
    with average.in_place():             # the model computes with the averaged weights
        measure(model, ...)

Late weights swing around a good place from step to step, and their mean lies nearer to it (Polyak and
Juditsky 1992). The average is a memory of training like those of the optimizers, and is saved and resumed
with them (`Optimizer.state`). What is measured with it, and when, others decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

AVERAGE = "average"
"""Under which quantity of a weight its average is put away."""
UPDATES = "/average_updates"
"""Under which name the number of updates is put away; no weight has it."""


class Average:
    """The average of a model's weights: the plain mean of 1 / (1 - decay) steps, then exponential."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = dict(model.named_parameters())
        self.averages = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights as they are now into the average."""
        self.updates += 1
        share = max(1 - self.decay, 1 / self.updates)
        torch._foreach_lerp_(list(self.averages.values()), list(self.weights.values()), share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights for a while, in which no step may come."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state(self) -> dict[str, Tensor]:
        """What `load` takes back: the averages by `weight name/average`, and how many updates they are of."""
        averages = {f"{name}/{AVERAGE}": average for name, average in self.averages.items()}
        return averages | {UPDATES: torch.tensor(self.updates)}

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.updates = int(state[UPDATES])
        for name, average in self.averages.items():
            average.copy_(state[f"{name}/{AVERAGE}"])

    def _exchange(self) -> None:
        for name, weight in self.weights.items():
            weight.data, self.averages[name] = self.averages[name], weight.data
