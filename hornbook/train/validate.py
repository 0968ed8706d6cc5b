"""How well a model predicts text it has not seen: nats a token, and bits a byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import torch

from hornbook.base.progress import Progress, silent, tracked
from hornbook.data.batch import Batch
from hornbook.model.models import CausalLM
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


@torch.inference_mode()
def measure(
    model: CausalLM,
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
    for batch in tracked(batches, progress):
        with autocast(device, precision):
            loss = objective(model, batch.to(device))
        total += loss.total.item()
        weight += loss.weight.item()
        n_bytes += loss.n_bytes.item()
    model.train(was_training)
    return Measurement(total / weight, total / log(2) / n_bytes, int(weight), int(n_bytes))
