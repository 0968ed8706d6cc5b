"""The saves of a run: what is written comes back, the newest whole one is found, and errors are not lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hornbook.base.errors import RunFolderError
from hornbook.checkpoint.saves import Saves, Writer

FACTS = {"step": 5, "tokens": 10**12 + 1, "seconds": 0.1, "guard": {"recent": [[0.1, 1e-300]]}}


def state(number: float = 0.0) -> dict[str, Tensor]:
    return {"model/w": torch.full((3, 5), number), "optimizer/w/step": torch.tensor(5.0)}


@pytest.fixture
def saves(tmp_path: Path) -> Saves:
    return Saves(tmp_path / "training")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


HARMS = pytest.mark.parametrize("harm", [flip, cut, empty])


def test_a_save_comes_back_bit_for_bit(saves: Saves) -> None:
    saves.write(5, state(0.1), FACTS)
    found, damaged = saves.newest()
    assert found is not None and damaged == []
    assert found.facts == FACTS
    assert found.tensors.keys() == state().keys()
    assert all(torch.equal(found.tensors[name], wanted) for name, wanted in state(0.1).items())
    assert list(found.part("model")) == ["w"] and list(found.part("optimizer")) == ["w/step"]


def test_without_a_save_there_is_none(saves: Saves) -> None:
    assert saves.steps() == [] and saves.newest() == (None, [])


def test_steps_are_numbers_and_foreign_files_are_none(saves: Saves) -> None:
    for step in (90, 1000, 8):
        saves.write(step, state(), FACTS)
    (saves.folder / "step-x.safetensors").touch()
    (saves.folder / "step-7.safetensors.old").touch()
    assert saves.steps() == [8, 90, 1000]


@HARMS
def test_the_newest_whole_save_is_used(saves: Saves, harm: Callable[[Path], None]) -> None:
    for step in (1, 2, 3):
        saves.write(step, state(step), FACTS)
    harm(saves.path(3))
    found, damaged = saves.newest()
    assert found is not None and found.path == saves.path(2)
    assert len(damaged) == 1 and damaged[0].startswith(f"{saves.path(3)} is damaged")
    assert "--overwrite" not in damaged[0]


@HARMS
def test_where_no_save_is_whole_the_way_out_is_named(saves: Saves, harm: Callable[[Path], None]) -> None:
    for step in (1, 2):
        saves.write(step, state(), FACTS)
        harm(saves.path(step))
    with pytest.raises(RunFolderError) as caught:
        saves.newest()
    assert str(caught.value).startswith(f"{saves.path(2)} is damaged")
    assert f"; {saves.path(1)} is damaged" in str(caught.value)
    assert str(caught.value).endswith("; start over with --overwrite")


class SlowSaves(Saves):
    """Saves that are written when a test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go = threading.Event()

    def write(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        assert self.go.wait(30)
        super().write(step, tensors, facts)


def test_training_goes_on_while_a_save_is_written(tmp_path: Path) -> None:
    """What is written is the state at the time of the save, whatever becomes of it meanwhile."""
    saves = SlowSaves(tmp_path / "training")
    writer = Writer(saves)
    tensors, facts = state(1.0), {"step": 1}
    writer.save(1, tensors, facts, ())
    assert saves.steps() == [], "the call is back, and nothing is written yet"
    tensors["model/w"].fill_(2.0)
    facts["step"] = 2
    saves.go.set()
    writer.wait()
    found = saves.read(1)
    assert torch.equal(found.tensors["model/w"], state(1.0)["model/w"]) and found.facts == {"step": 1}


def test_only_the_steps_to_keep_stay(saves: Saves) -> None:
    writer = Writer(saves)
    for step, keep in ((1, ()), (2, (1,)), (3, (2, 1)), (4, (3, 1))):
        writer.save(step, state(), FACTS, keep)
    writer.wait()
    assert saves.steps() == [1, 3, 4]


def test_a_failed_write_keeps_what_was_there_and_is_told_once(saves: Saves) -> None:
    """At the next save or at the end, as one sentence; and then the next save is tried."""
    writer = Writer(saves)
    writer.save(1, state(1.0), FACTS, ())
    writer.wait()
    saves.path(2).mkdir()  # a folder cannot be replaced by a file
    writer.save(2, state(2.0), FACTS, ())
    with pytest.raises(RunFolderError) as caught:
        writer.save(3, state(3.0), FACTS, (1,))
    assert str(caught.value).startswith(f"{saves.path(2)} could not be saved (")
    assert isinstance(caught.value.__cause__, OSError)
    assert torch.equal(saves.read(1).tensors["model/w"], state(1.0)["model/w"])
    saves.path(2).rmdir()
    writer.save(3, state(3.0), FACTS, (1,))
    writer.wait()
    assert saves.steps() == [1, 3]
