"""One optimizer step: forward and backward over the micro-batches, one division, one update.

This is where accumulation is made exact: losses are summed, and the gradient is divided once, by the
number of predictions in all micro-batches together.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from hornbook.base.errors import HornbookError
from hornbook.data.batch import Batch
from hornbook.model.models import CausalLM
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


def train_step(
    model: CausalLM,
    batch: Batch,
    objective: Objective,
    optimizer: Optimizer,
    *,
    learning_rate_share: float,
    micro_batch_size: int | None = None,
    max_grad_norm: float | None = None,
    precision: torch.dtype = torch.float32,
) -> StepResult:
    """Learn from one batch. Raises if the loss is not a finite number, before any weight changes."""
    device = next(model.parameters()).device
    model.zero_grad(set_to_none=True)  # a step that was broken off may have left some
    total = weight = n_bytes = 0.0
    for micro in batch.split(micro_batch_size or len(batch.tokens)):
        with autocast(device, precision):
            loss: Loss = objective(model, micro.to(device))
        loss.learned.backward()
        total += loss.total.item()
        weight += loss.weight.item()
        n_bytes += loss.n_bytes.item()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    torch._foreach_div_(gradients, weight)
    norm = torch.nn.utils.get_total_norm(gradients)
    grad_norm = norm.item()
    if not (grad_norm < float("inf")):
        raise HornbookError(
            f"the gradient is not finite (loss {total / weight:.3g}, gradient norm {grad_norm}): lower the "
            "learning rate (train.optimizer.learning_rate) and resume from the last save with --resume"
        )
    if max_grad_norm is not None and grad_norm > max_grad_norm:
        torch._foreach_mul_(gradients, max_grad_norm / grad_norm)
    optimizer.step(learning_rate_share)
    return StepResult(total, weight, n_bytes, grad_norm)


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[None]:
    """Run matrix products in a lower precision; float32 leaves everything as it is."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)
