"""All that changes while a model learns: what a save holds, and what a run goes on from.

A state is tensors (weights, and what the optimizers remember) and facts (the place of the run, what the guard
remembers). Whatever else comes to change from step to step belongs in here, or a resumed run is another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from hornbook.checkpoint.saves import Save
from hornbook.checkpoint.tensors import load_weights
from hornbook.model.shapes import AnyModel
from hornbook.train.guard import Guard
from hornbook.train.guard_config import OffConfig
from hornbook.train.optimizer import Optimizer


@dataclass
class TrainState:
    """A model on its way, and where it stands."""

    model: AnyModel
    optimizer: Optimizer
    seed: int
    step: int = 0
    """Steps done."""
    tokens: int = 0
    """Tokens read."""
    seconds: float = 0.0
    """Time spent in steps, over all sittings."""
    guard: Guard = field(default_factory=lambda: Guard(OffConfig()))
    """What judges the steps."""

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimizer memory by name: the very ones, not copies."""
        found: dict[str, Tensor] = {f"model/{name}": one for name, one in self.model.named_parameters()}
        return found | {f"optimizer/{name}": one for name, one in self.optimizer.state().items()}

    def load_tensors(self, save: Save) -> None:
        """Take back the tensors of a save."""
        load_weights(self.model, save.part("model"), save.path)
        self.optimizer.load(save.part("optimizer"))

    def facts(self) -> dict[str, Any]:
        """The place of the run as JSON data."""
        return {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "guard": self.guard.facts(),
        }

    def load_facts(self, facts: dict[str, Any]) -> None:
        """Take back what `facts` gave."""
        self.step, self.tokens, self.seconds = facts["step"], facts["tokens"], facts["seconds"]
        self.guard.load(facts["guard"])
