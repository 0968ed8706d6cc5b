"""The training loop: a generator of steps, and hooks that watch them.

    for info in training_steps(state, loader, objective, config, precision):
        ...                                       # info.step, info.loss, info.bits_per_byte, ...

    run_hooks(info, hooks)                        # log, validate, sample, save: (every, function) pairs

The loop's whole state is its `TrainState`: the weights, the optimizers' memory, the guard's, and the number
of steps done. Batches, learning rates and dropout follow from the step number, so a run that stops at any
step and goes on from a save continues bit for bit.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log, nan
from types import FrameType
from typing import NamedTuple

import torch

from hornbook.base.randomness import stream_seed
from hornbook.data.loader import Loader
from hornbook.train.config import TrainConfig
from hornbook.train.objectives import Objective
from hornbook.train.schedule import learning_rate_share
from hornbook.train.state import TrainState
from hornbook.train.step import StepResult, train_step


@dataclass(frozen=True)
class StepInfo:
    """What is known after a step."""

    step: int
    steps: int
    result: StepResult
    tokens: int
    seconds: float
    step_seconds: float
    learning_rate: float
    step_tokens: int

    @property
    def is_last(self) -> bool:
        """Whether the run is complete."""
        return self.step == self.steps

    @property
    def loss(self) -> float:
        """Mean loss of this step's batch, in nats a token."""
        return _ratio(self.result.total, self.result.weight)

    @property
    def bits_per_byte(self) -> float:
        """Loss of this step's batch in bits for each byte of text: comparable across tokenizers."""
        return _ratio(self.result.total / log(2), self.result.n_bytes)

    @property
    def tokens_per_second(self) -> float:
        """Speed of this step."""
        return self.step_tokens / self.step_seconds


def _ratio(total: float, count: float) -> float:
    """Total over count; of nothing, not a number."""
    return total / count if count else nan


class Hook(NamedTuple):
    """Something to do every so many steps, and after the last one."""

    every: int
    function: Callable[[StepInfo], None]


def training_steps(
    state: TrainState,
    loader: Loader,
    objective: Objective,
    config: TrainConfig,
    precision: torch.dtype,
) -> Iterator[StepInfo]:
    """Train from where `state` stands to `config.steps`, yielding after every step."""
    state.model.train()
    while state.step < config.steps:
        began = time.perf_counter()
        torch.manual_seed(stream_seed(state.seed, "dropout", state.step))
        share = learning_rate_share(config.schedule, state.step, config.steps)
        share *= state.guard.rate_share(state.step)
        batch = loader.batch(state.step)
        for more in range(1, state.guard.batches(state.step)):
            # Numbers beyond the last step's: text that no step reads, where the epoch has so much of it
            # and train.steps is not raised later.
            batch = batch.beside(loader.batch(state.step + more * config.steps))
        result = train_step(
            state.model,
            batch,
            objective,
            state.optimizer,
            learning_rate_share=share,
            micro_batch_size=config.rows_at_once,
            max_grad_norm=config.max_grad_norm,
            precision=precision,
            judge=state.guard.judge,
        )
        took = time.perf_counter() - began
        state.step += 1
        state.tokens += batch.n_tokens
        state.seconds += took
        rate = share * config.optimizer.learning_rate
        yield StepInfo(
            state.step, config.steps, result, state.tokens, state.seconds, took, rate, batch.n_tokens
        )


def run_hooks(info: StepInfo, hooks: Sequence[Hook]) -> None:
    """Call every hook that is due after this step."""
    for hook in hooks:
        if info.is_last or info.step % hook.every == 0:
            hook.function(info)


@contextmanager
def stop_after_step() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop, which the loop reads between steps.

    Yields a function that says whether to stop. A second signal interrupts at once. Outside the main
    thread, where Python delivers no signals, nothing is changed.
    """
    wished = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield wished.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if wished.is_set():
            raise KeyboardInterrupt
        wished.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wished.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
