"""A run that is stopped in whatever way says how to go on, and ends as if it had never been stopped."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from recipes.tiny_runs import ended, hornbook, inside, process, read_until, write_texts

from hornbook.base.files import sha256

LONG = ("--text", "texts", "--steps", "12", "--size", "1")
TRAIN = ("train", "quickstart", "data.path=texts", "tokenizer.vocab_size=400", "size=1", "train.steps=12",
         "train.save_every=2", "train.validate_every=3", "train.sample_every=3")  # fmt: skip


def words_to_go_on(sentence: str) -> list[str]:
    """The words after the program's name in the command that a message ends with."""
    words = shlex.split(sentence.rpartition("type: ")[2])
    verb = next(i for i, word in enumerate(words) if word in ("quickstart", "train"))
    return words[verb:]


def weights(folder: str | Path) -> str:
    """A run's weights, by the checksum of their file."""
    return sha256((Path(folder) / "model.safetensors").read_bytes())


def kill(running: subprocess.Popen[str]) -> None:
    running.kill()
    ended(running)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the train run that nobody stopped."""
    return undisturbed(tmp_path_factory.mktemp("straight"), *TRAIN)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the quickstart that nobody stopped."""
    return undisturbed(tmp_path_factory.mktemp("lesson"), "quickstart", *LONG)


def undisturbed(folder: Path, *words: str) -> str:
    write_texts(folder / "texts")
    with inside(folder):
        said = hornbook(*words, "--out", "run")
    assert said.code == 0, said.err
    return weights(folder / "run")


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["2 of 8", "bits per byte on held-out"])
def test_ctrl_c_says_what_to_type_and_that_works(place: Path, lesson: str, mark: str) -> None:
    running = process("quickstart", *LONG, "--out", "my run", cwd=place)
    read_until(running, mark)
    running.send_signal(signal.SIGINT)
    said = ended(running)
    if said.code == 0:
        pytest.skip("it was faster than the signal")
    assert said.code == 1 and said.err.startswith("hornbook: stopped. To go on, type: "), said.err
    assert said.err.count("\n") == 1
    again = hornbook(*words_to_go_on(said.err))
    assert again.code == 0, again.err
    assert weights("my run") == lesson
    assert "already holds a finished model" in hornbook("quickstart", "--out", "my run").out


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["3 of 8", "7 of 8"])
def test_a_killed_quickstart_goes_on(place: Path, lesson: str, mark: str) -> None:
    running = process("quickstart", *LONG, "--out", "run", cwd=place)
    read_until(running, mark)
    kill(running)
    again = hornbook("quickstart", *LONG, "--out", "run")
    assert again.code == 0, again.err
    assert weights("run") == lesson
    assert not list(place.rglob("*.tmp"))


@pytest.mark.slow
def test_a_killed_train_resumes_to_the_same_bits(place: Path, straight: str) -> None:
    """With its own number of threads, whatever the second sitting is given: another adds up in another order.

    More kills, Ctrl-C and SIGTERM in training: tests/train/test_resume.py.
    """
    running = process(*TRAIN, "--out", "run", cwd=place)
    read_until(running, "step     3")
    kill(running)
    assert "continue it with --resume" in hornbook(*TRAIN, "--out", "run").err
    more = str(torch.get_num_threads() + 1)
    assert ended(process("train", "run", "--resume", cwd=place, OMP_NUM_THREADS=more)).code == 0
    assert weights("run") == straight


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [20_000, 250_000, 600_000], ids=["corpus", "save", "model"])
def test_a_full_disk_says_what_to_type_and_that_works(place: Path, straight: str, limit: int) -> None:
    """A limit on the size of files fails a write in the middle, as a full disk does."""
    said = ended(process(*TRAIN, "--out", "run", cwd=place, limit=limit))
    assert said.code == 1, said
    assert "Traceback" not in said.err and said.err.count("\n") == 1, said.err
    assert "File too large; what was saved before is whole. Once that is mended, type: " in said.err
    again = hornbook(*words_to_go_on(said.err))
    assert again.code == 0, again.err
    assert weights("run") == straight


@pytest.mark.slow
def test_a_disk_that_fills_up_later_keeps_the_save(place: Path, straight: str) -> None:
    running = process(*TRAIN, "--out", "run", cwd=place)
    read_until(running, "step     3")
    kill(running)
    before = {path: path.read_bytes() for path in Path("run/training").glob("step-*.safetensors")}
    limit = min(map(len, before.values())) - 1000
    said = ended(process("train", "run", "--resume", cwd=place, limit=limit))
    assert said.code == 1 and ".safetensors: File too large" in said.err
    assert {path: path.read_bytes() for path in before} == before
    assert hornbook("train", "run", "--resume").code == 0
    assert weights("run") == straight
