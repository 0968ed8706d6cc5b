"""One optimizer step: forward and backward over the micro-batches, one division, one update.

This is where accumulation is made exact: losses are summed, and the gradient is divided once, by the
number of predictions in all micro-batches together. Before any weight changes a judge is asked, who may
leave the update out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from hornbook.data.batch import Batch
from hornbook.model.shapes import AnyModel
from hornbook.train.objectives import Loss, Objective
from hornbook.train.optimizer import Optimizer


@dataclass(frozen=True)
class StepResult:
    """What a step measured."""

    total: float
    """Summed loss, in nats."""
    weight: float
    """Number of predictions."""
    n_bytes: float
    """Bytes of text predicted."""
    grad_norm: float
    """Length of the gradient over all weights, before any shortening."""
    skipped: str | None = None
    """Why no weight was changed; None: they were."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Other means, by the names that the objective gives them."""


Judge = Callable[[float, float, float], str | None]
"""Told a step's summed loss, its weight and the length of its gradient before any weight changes; says why
the update is to be left out, or None."""


def only_finite(total: float, weight: float, grad_norm: float) -> str | None:
    """The judge that leaves out what no optimizer could digest: an empty batch, and what is not a number."""
    if weight == 0:
        return "the batch has nothing to predict"
    if math.isfinite(total) and math.isfinite(grad_norm):
        return None
    return f"not finite: loss {total / weight:.3g}, gradient norm {grad_norm:.3g}"


def train_step(
    model: AnyModel,
    batch: Batch,
    objective: Objective,
    optimizer: Optimizer,
    *,
    learning_rate_share: float,
    micro_batch_size: int | None = None,
    max_grad_norm: float | None = None,
    precision: torch.dtype = torch.float32,
    judge: Judge = only_finite,
) -> StepResult:
    """Learn from one batch, or leave it where `judge` says so."""
    device = next(model.parameters()).device
    model.zero_grad(set_to_none=True)  # a step that was broken off may have left some
    scale = optimizer.loss_scale
    found = []
    others: list[tuple[str, torch.Tensor]] = []
    for micro in batch.split(micro_batch_size or len(batch.tokens)):
        with autocast(device, precision):
            loss: Loss = objective(model, micro.to(device))
        (loss.learned * scale.value).backward()
        found.append(torch.stack([loss.total.detach(), loss.weight, loss.n_bytes]))
        others += [(name, torch.stack(pair)) for name, pair in loss.metrics.items()]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    # The first number that is waited for, where a GPU computes.
    norm = torch.nn.utils.get_total_norm(gradients).item()
    # All others are read at once.
    numbers: list[float] = torch.cat([*found, *(pair for _, pair in others)]).tolist()
    n = 3 * len(found)
    total, weight, n_bytes = (sum(numbers[i:n:3]) for i in range(3))
    metrics = _means([name for name, _ in others], numbers[n::2], numbers[n + 1 :: 2])
    grad_norm = norm / (weight * scale.value) if weight else 0.0
    overflows = scale.can_halve and math.isfinite(total) and not math.isfinite(grad_norm)
    if reason := scale.overflowed() if overflows else judge(total, weight, grad_norm):
        model.zero_grad(set_to_none=True)
        return StepResult(total, weight, n_bytes, grad_norm, reason, metrics)
    scale.held()
    too_long = 1.0 if max_grad_norm is None else max(1.0, grad_norm / max_grad_norm)
    torch._foreach_div_(gradients, weight * scale.value * too_long)
    optimizer.step(learning_rate_share)
    return StepResult(total, weight, n_bytes, grad_norm, None, metrics)


def _means(names: Sequence[str], amounts: Sequence[float], counts: Sequence[float]) -> dict[str, float]:
    """The means that sums and counts of several micro-batches make together; of nothing, not a number."""
    sums: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for name, amount, count in zip(names, amounts, counts, strict=True):
        sums[name] += amount
        weights[name] += count
    return {name: sums[name] / weights[name] if weights[name] else math.nan for name in sums}


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """Run matrix products in a lower precision; float32 leaves everything as it is."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)
