"""The loop: a step is a function of its number, hooks come when due, and a signal waits for the step."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from train.small_runs import (
    byte_loader,
    byte_objective,
    dropout_config,
    fresh,
    optimizer_for,
    train_config,
)

from hornbook.data.loader import SourceLoader
from hornbook.model.config import ModelConfig
from hornbook.train.loop import Hook, StepInfo, run_hooks, stop_after_step, training_steps
from hornbook.train.state import TrainState
from hornbook.train.step import StepResult

DROPOUT = dropout_config(0.3)


@pytest.fixture
def loader(tmp_path: Path) -> SourceLoader:
    return byte_loader(tmp_path)


def begin(config: ModelConfig = DROPOUT, seed: int = 0) -> TrainState:
    model = fresh(config)
    return TrainState(model, optimizer_for(model), seed)


def advance(state: TrainState, loader: SourceLoader, n_steps: int) -> list[StepInfo]:
    """Take some steps of a run of 10 and leave the loop."""
    steps = training_steps(state, loader, byte_objective(), train_config(), torch.float32)
    return [next(steps) for _ in range(n_steps)]


def test_steps_are_counted_and_the_loop_ends(loader: SourceLoader) -> None:
    state = begin()
    infos = list(training_steps(state, loader, byte_objective(), train_config(), torch.float32))
    assert [info.step for info in infos] == list(range(1, 11))
    assert [info.is_last for info in infos] == [False] * 9 + [True]
    assert [info.tokens for info in infos] == [64 * n for n in range(1, 11)]
    assert (state.step, state.tokens) == (10, 640)
    assert state.seconds == pytest.approx(sum(info.step_seconds for info in infos))
    assert list(training_steps(state, loader, byte_objective(), train_config(), torch.float32)) == []


def test_the_loss_falls(loader: SourceLoader) -> None:
    """A model of bytes starts at log(257) nats and learns within ten steps that most bytes never come."""
    infos = advance(begin(dropout_config(0.0)), loader, 10)
    assert infos[0].loss == pytest.approx(torch.log(torch.tensor(257.0)).item(), rel=0.01)
    assert infos[-1].loss < infos[0].loss - 1


def test_a_step_follows_from_seed_and_number(loader: SourceLoader) -> None:
    """Dropout too: what else drew random numbers in between, and how often the run was left, is no matter."""
    straight = begin()
    wanted = advance(straight, loader, 6)
    broken = begin()
    advance(broken, loader, 2)
    torch.manual_seed(99)
    torch.rand(17)
    broken = copy.deepcopy(broken)
    broken.optimizer = optimizer_for(broken.model)
    source = begin()
    advance(source, loader, 2)
    broken.optimizer.load(source.optimizer.state())
    found = advance(broken, loader, 4)
    assert [info.loss for info in found] == [info.loss for info in wanted[2:]]
    pairs = zip(straight.model.parameters(), broken.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_dropout_differs_from_step_to_step_and_from_seed_to_seed(loader: SourceLoader) -> None:
    """With a rate of nothing the weights stay, so only dropout can change the loss of one batch."""

    class Same(SourceLoader):
        def batch(self, step: int) -> object:  # type: ignore[override]
            return super().batch(0)

    same = Same(loader.source, batch_size=4, seed=0)

    def losses(seed: int) -> list[float]:
        model = fresh(DROPOUT)
        state = TrainState(model, optimizer_for(model), seed)
        with torch.no_grad():
            model.head.weight.normal_(generator=torch.Generator().manual_seed(0))
        state.optimizer.peaks = [0.0] * len(state.optimizer.peaks)
        return [info.loss for info in advance(state, same, 3)]

    assert len({*losses(0), *losses(1)}) == 6
    assert losses(0) == losses(0)


def test_the_learning_rate_is_told(loader: SourceLoader) -> None:
    state = begin()
    config = train_config(schedule={"kind": "warmup_stable_decay", "warmup_share": 0.2, "decay_share": 0.5})
    infos = list(training_steps(state, loader, byte_objective(), config, torch.float32))
    assert [info.learning_rate / 0.02 for info in infos] == pytest.approx(
        [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    )


def info_at(step: int, steps: int) -> StepInfo:
    return StepInfo(step, steps, StepResult(2.0, 4.0, 8.0, 1.0), 0, 0.0, 0.5, 0.1, 4)


def test_hooks_come_when_due_and_after_the_last_step() -> None:
    calls: list[tuple[str, int]] = []
    hooks = [
        Hook(2, lambda info: calls.append(("two", info.step))),
        Hook(5, lambda info: calls.append(("five", info.step))),
    ]
    for step in range(1, 8):
        run_hooks(info_at(step, 7), hooks)
    assert calls == [("two", 2), ("two", 4), ("five", 5), ("two", 6), ("two", 7), ("five", 7)]


def test_hooks_come_once_where_the_last_step_is_due_anyway() -> None:
    calls: list[int] = []
    run_hooks(info_at(4, 4), [Hook(2, lambda info: calls.append(info.step))])
    assert calls == [4]


def test_what_a_step_tells() -> None:
    info = info_at(1, 2)
    assert (info.loss, info.tokens_per_second) == (0.5, 8.0)
    assert info.bits_per_byte == pytest.approx(2.0 / 0.6931471805599453 / 8.0)


SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_wish(number: signal.Signals) -> None:
    with stop_after_step() as stop_wished:
        assert not stop_wished()
        signal.raise_signal(number)
        assert stop_wished()


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_interrupts(first: signal.Signals, second: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), stop_after_step():
        signal.raise_signal(first)
        signal.raise_signal(second)


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stop_after_step():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(RuntimeError), stop_after_step():
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with stop_after_step() as stop_wished:
            seen.extend([stop_wished(), signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, signal.getsignal(signal.SIGINT)]


@pytest.mark.skipif(os.name != "posix", reason="sends signals to another process")
def test_without_the_loop_a_signal_ends_the_process() -> None:
    """The wish must not outlive the loop: a program that swallowed SIGTERM could not be stopped."""
    code = """
import os, signal
from hornbook.train.loop import stop_after_step
with stop_after_step() as stop_wished:
    os.kill(os.getpid(), signal.SIGTERM)
    print(stop_wished(), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "True\n")
