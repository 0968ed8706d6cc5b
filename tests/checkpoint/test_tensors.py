"""Tensors in files: the same bits come back, and a file that is not whole is refused with advice."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hornbook.base import files
from hornbook.base.errors import RunFolderError
from hornbook.checkpoint.tensors import load_tensors, load_weights, save_tensors

ADVICE = "do this"


def some_tensors(seed: int = 0) -> dict[str, Tensor]:
    """One of every kind that a run saves, with the numbers that are easiest to lose."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "matrix": torch.randn(3, 5, generator=generator),
        "special": torch.tensor([float("nan"), -float("inf"), -0.0, 1e-45]),
        "step": torch.tensor(7.0),
        "half": torch.randn(4, generator=generator).bfloat16(),
        "whole": torch.tensor([-(2**62), 1]),
        "none": torch.zeros(0, 3),
    }


def bits(tensors: dict[str, Tensor]) -> dict[str, object]:
    return {
        name: (t.dtype, tuple(t.shape), t.flatten().view(torch.uint8).tolist()) for name, t in tensors.items()
    }


def test_every_bit_comes_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", some_tensors(), {"step": "7", "é": "ü"})
    tensors, facts = load_tensors(tmp_path / "a.safetensors", ADVICE)
    assert bits(tensors) == bits(some_tensors())
    assert facts == {"step": "7", "é": "ü"}


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """A run that is repeated leaves the same file: safetensors alone would shuffle several facts."""
    facts = {name: name for name in "abcdefgh"}
    for i in range(3):
        save_tensors(
            tmp_path / str(i), dict(reversed(some_tensors().items())) if i else some_tensors(), facts
        )
    assert len({(tmp_path / str(i)).read_bytes() for i in range(3)}) == 1


def test_views_are_saved_as_what_they_show(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    save_tensors(tmp_path / "a.safetensors", {"turned": whole.T, "column": whole[:, 1]}, {})
    tensors, _ = load_tensors(tmp_path / "a.safetensors", ADVICE)
    assert torch.equal(tensors["turned"], whole.T) and torch.equal(tensors["column"], whole[:, 1])


def test_a_save_takes_the_place_of_the_former(tmp_path: Path) -> None:
    for seed in range(2):
        save_tensors(tmp_path / "a.safetensors", some_tensors(seed), {})
    assert bits(load_tensors(tmp_path / "a.safetensors", ADVICE)[0]) == bits(some_tensors(1))
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("intact") / "a.safetensors"
    save_tensors(path, some_tensors(), {"facts": '{"step": 10}'})
    return path.read_bytes()


def assert_damaged(path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        load_tensors(path, ADVICE)
    assert str(caught.value).startswith(f"{path} is damaged")
    assert str(caught.value).endswith(f"; {ADVICE}")


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, intact: bytes, place: float, bit: int
) -> None:
    """In the numbers, in names, types and shapes, in the facts, in the checksum itself."""
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    data = bytearray(intact)
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    assert_damaged(path)


def test_a_changed_fact_is_noticed(tmp_path: Path, intact: bytes) -> None:
    """A save of step 10 that says it is of step 11 would go on with the wrong data."""
    path = tmp_path / "a.safetensors"
    assert intact.count(b": 10}") == 1
    path.write_bytes(intact.replace(b": 10}", b": 11}"))
    assert_damaged(path)


@given(kept=st.floats(0, 1, exclude_max=True))
def test_any_missing_end_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, intact: bytes, kept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "short.safetensors"
    path.write_bytes(intact[: int(kept * len(intact))])
    assert_damaged(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        load_tensors(tmp_path / "a.safetensors", ADVICE)
    assert str(caught.value) == f"{tmp_path / 'a.safetensors'} is missing; {ADVICE}"


def test_a_file_of_others_is_refused(tmp_path: Path) -> None:
    """Whole by itself, but without our checksum: nobody can say that it is."""
    import safetensors.torch

    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert_damaged(tmp_path / "a.safetensors")


FULL = "could not be saved (No space left on device); the previous save is untouched; make "


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_previous_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, some_tensors(), {})

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(RunFolderError) as caught:
        save_tensors(path, some_tensors(1), {})
    assert str(caught.value) == f"{path} {FULL}room, then go on from it"
    assert bits(load_tensors(path, ADVICE)[0]) == bits(some_tensors())
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as POSIX can")
def test_a_file_that_may_not_grow_keeps_the_previous_save(tmp_path: Path) -> None:
    """The system's own refusal, in the middle of the writing, in another process."""
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(10)}, {})
    code = """
import resource, sys, torch
from pathlib import Path
from hornbook.base.errors import RunFolderError
from hornbook.checkpoint.tensors import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_tensors(Path(sys.argv[1]), {"a": torch.zeros(100_000)}, {})
except RunFolderError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout.startswith(
        f"{path} could not be saved (File too large); the previous save is untouched"
    )
    assert torch.equal(load_tensors(path, ADVICE)[0]["a"], torch.ones(10))
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_weights_that_do_not_fit_are_all_named(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = [weight.clone() for weight in model.parameters()]
    given_weights = {
        "0.weight": torch.ones(2, 3),
        "0.bias": torch.ones(3),
        "1.weight": torch.ones(1, 3),
        "2.weight": torch.ones(1),
    }
    with pytest.raises(RunFolderError) as caught:
        load_weights(model, given_weights, tmp_path / "a.safetensors")
    assert str(caught.value) == (
        f"{tmp_path / 'a.safetensors'} does not fit config.json: "
        "0.weight has shape (2, 3) instead of (3, 2); 1.bias is missing; 2.weight is left over"
    )
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)), "half loaded"
