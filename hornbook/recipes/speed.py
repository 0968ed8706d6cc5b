"""How fast this machine learns: real training steps, timed.

The quickstart's dial and the planner measure in this one way.
"""

from __future__ import annotations

import torch

from hornbook.data.batch import Batch
from hornbook.model.count import training_flops_per_token
from hornbook.model.shapes import build_model
from hornbook.plan.machine import seconds_per_call
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, keep_freed_memory, resolve_device, resolve_precision
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import train_step


def training_speed(config: RunConfig, batch: Batch) -> float:
    """Useful floating-point operations a second in steps that learn from a batch, at best."""
    keep_freed_memory()
    device = resolve_device(config.train.device)
    precision = PRECISIONS[resolve_precision(config.train.precision, device)]
    model = build_model(config.model, seed=0).to(device)
    optimizer = Optimizer(model, config.train.optimizer, precision)
    objective = predict_tokens(torch.ones(config.model.vocab_size, dtype=torch.int64))

    def step() -> None:
        train_step(model, batch, objective, optimizer, learning_rate_share=1.0, precision=precision)

    flops = training_flops_per_token(model, config.data.seq_len) * batch.tokens.numel()
    return flops / seconds_per_call(step)
