"""Real training steps, and how much memory a process takes for two of them, as Linux sees it.

`growth(assignments)` starts this file as a program of its own, where the allocator keeps no freed memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from hornbook.data.batch import Batch
from hornbook.model.shapes import build_model
from hornbook.parallel.recompute import recompute
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import train_step

AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc: memory of this size and above is the system's again as soon as it is freed."""


def growth(assignments: list[str]) -> int:
    """By how many bytes the resident memory of a process grows, at most, while it learns."""
    environment = {**os.environ, **AT_ONCE, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__, *assignments], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


class RealTraining:
    """A model that learns from rows of one token, as any run does."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.precision = PRECISIONS[config.train.precision]
        self.model = build_model(config.model, seed=0).train()
        recompute(self.model, config.train.recompute)
        self.optimizer = Optimizer(self.model, config.train.optimizer, self.precision)
        self.objective = predict_tokens(torch.ones(config.model.vocab_size, dtype=torch.int64))
        self.tokens = torch.zeros(config.data.batch_size, config.data.seq_len, dtype=torch.int64)

    def step(self) -> None:
        train_step(
            self.model,
            Batch(self.tokens, self.tokens, self.tokens),
            self.objective,
            self.optimizer,
            learning_rate_share=1.0,
            micro_batch_size=self.config.train.rows_at_once,
            precision=self.precision,
        )


def main(assignments: list[str]) -> None:
    """Learn a little, so that everything is loaded; then measure."""
    RealTraining(resolve("quickstart", [*assignments, "size=1", "data.batch_size=2"])).step()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Begin the highest mark anew.
    training = RealTraining(resolve("quickstart", assignments))
    training.step()
    training.step()
    print(_status("VmHWM") - before)


def _status(name: str) -> int:
    """A line of the process's own account, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


if __name__ == "__main__":
    main(sys.argv[1:])
