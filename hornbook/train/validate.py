"""How well a model predicts text it has not seen: nats a token, and bits a byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from math import exp, inf, log
from typing import Any

import torch

from hornbook.base.progress import Progress, silent, tracked
from hornbook.data.batch import Batch
from hornbook.model.shapes import AnyModel
from hornbook.train.objectives import Objective
from hornbook.train.step import autocast


@dataclass(frozen=True)
class Measurement:
    """A loss over some text."""

    loss: float
    """Nats for each token."""
    bits_per_byte: float
    """Bits for each byte of the text: what an ideal compressor built on this model would need."""
    n_tokens: int
    """Tokens predicted."""
    n_bytes: int
    """Bytes they stand for."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Other means, by the names that the objective gives them."""

    @property
    def perplexity(self) -> float:
        """Among how many tokens, all equally likely, the choice would be as hard."""
        return exp(self.loss) if self.loss < _LARGEST_POWER else inf

    def line(self) -> dict[str, Any]:
        """All as one flat line of metrics."""
        facts = asdict(self)
        metrics = facts.pop("metrics")
        return facts | metrics


_LARGEST_POWER = 700.0
"""Of e, that a float can hold."""


@torch.inference_mode()
def measure(
    model: AnyModel,
    batches: Iterable[Batch],
    objective: Objective,
    precision: torch.dtype = torch.float32,
    progress: Progress = silent,
) -> Measurement:
    """Sum an objective over batches, without learning and without dropout."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total = weight = n_bytes = 0.0
    others: dict[str, tuple[float, float]] = {}
    for part in (part for batch in tracked(batches, progress) for part in batch.split(len(batch.tokens))):
        with autocast(device, precision):
            loss = objective(model, part.to(device))
        total += loss.total.item()
        weight += loss.weight.item()
        n_bytes += loss.n_bytes.item()
        for name, (amount, count) in loss.metrics.items():
            before = others.get(name, (0.0, 0.0))
            others[name] = before[0] + amount.item(), before[1] + count.item()
    model.train(was_training)
    metrics = {name: amount / count for name, (amount, count) in others.items() if count}
    return Measurement(total / weight, total / log(2) / n_bytes, int(weight), int(n_bytes), metrics)
