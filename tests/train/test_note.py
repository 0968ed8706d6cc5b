"""What stands beside the bar: means of the last steps, a curve of late, nothing that is not known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from hornbook.train import note as module
from hornbook.train.loop import StepInfo
from hornbook.train.note import BARS, Curve, Note
from hornbook.train.step import StepResult

CPU = torch.device("cpu")


def info(step: int, loss: float, *, steps: int = 100, n_bytes: float = 30.0, **more: Any) -> StepInfo:
    """A step of 10 predictions that took a tenth of a second."""
    result = StepResult(10 * loss, 10.0, n_bytes, 1.0, **more)
    return StepInfo(step, steps, result, 10 * step, 0.1 * step, 0.1, 1e-3, 10)


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every step be shown, in a process of one GiB and a half."""
    monkeypatch.setattr(module, "CALM", 0.0)
    monkeypatch.setattr(module, "held_memory", lambda device: 3 * 2**29)


def test_a_note_says_what_the_last_steps_were() -> None:
    note = Note(100, 200.0, CPU)
    assert note(info(1, 4.0)) == "loss 4.00, 1.92 bits per byte, 100 tokens/s, MFU 50%, 1.5 GiB"
    assert note(info(2, 2.0)) == "loss 3.00 █▁, 1.44 bits per byte, 100 tokens/s, MFU 50%, 1.5 GiB"
    for step in range(3, 13):
        shown = note(info(step, 1.0))
    assert shown.startswith("loss 1.00 █▃▁▁▁▁▁▁▁▁▁▁, 0.48 bits per byte")


def test_what_is_not_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "held_memory", lambda device: None)
    note = Note(100, 200.0, CPU)
    assert note(info(1, math.nan, skipped="not finite")) == "nothing learned, 100 tokens/s, MFU 50%"
    assert note(info(2, 2.0, n_bytes=0.0)) == "loss 2.00, 100 tokens/s, MFU 50%"
    assert note(info(3, math.inf, skipped="not finite")) == "loss 2.00, 100 tokens/s, MFU 50%"


def test_a_note_stands_still_for_a_while_but_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALM", 3600.0)
    note = Note(3, 200.0, CPU)
    first = note(info(1, 4.0, steps=3))
    assert note(info(2, 1.0, steps=3)) == first
    assert note(info(3, 1.0, steps=3)).startswith("loss 2.00")


def test_a_bar_is_the_mean_of_its_steps() -> None:
    curve = Curve(each=2)
    for step, loss in enumerate([8.0, 0.0, math.nan, 1.0, 2.0, 2.0], start=1):
        curve.add(step, loss)
    assert [total / count for _, total, count in curve.bars] == [4.0, 1.0, 2.0]
    assert curve.drawn() == f"{BARS[7]}{BARS[0]}{BARS[2]}"


def test_a_level_curve_is_drawn_low() -> None:
    curve = Curve(each=1)
    for step in range(1, 40):
        curve.add(step, 1.0)
    assert curve.drawn() == BARS[0] * module.N_BARS


def test_memory_is_told_where_the_system_tells_it() -> None:
    from hornbook.train.device import held_memory

    held = held_memory(CPU)
    assert held is None or held > 2**20
