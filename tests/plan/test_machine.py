"""This machine: the facts beside a measurement, and a clock that is read fairly."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hornbook.plan import machine


def test_the_facts_are_there_and_true() -> None:
    facts = machine.describe_machine("cpu", "float32")
    assert list(facts) == [
        "system", "processor", "cores", "threads", "memory_gib", "python", "torch", "device", "precision"
    ]  # fmt: skip
    assert all(facts[name] for name in ("system", "processor", "python"))
    assert isinstance(facts["cores"], int) and facts["cores"] >= 1
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__
    assert "cpu" in str(facts["device"]).lower()
    assert facts["precision"] == "float32"


def test_memory_is_zero_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(machine.os, "sysconf", refuse, raising=False)
    assert machine.describe_machine("cpu", "float32")["memory_gib"] == 0


class Clock:
    """Time that passes only while `work` is called, as long as it is told to."""

    def __init__(self, *durations: float) -> None:
        self.now = 100.0
        self.durations: Iterator[float] = iter(durations)

    def read(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += next(self.durations)


@pytest.mark.parametrize(
    ("durations", "calls", "wanted"),
    [
        ((1.0, 2.0, 3.0, 90.0), 3, 2.0),
        ((50.0, 2.0), 1, 2.0),
        ((0.0, 9.0, 1.0, 4.0, 4.0, 2.0), 5, 1.0),
    ],
    ids=["three", "one", "five"],
)
def test_the_first_call_does_not_count_and_slow_calls_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, durations: tuple[float, ...], calls: int, wanted: float
) -> None:
    clock = Clock(*durations)
    monkeypatch.setattr(machine.time, "perf_counter", clock.read)
    assert machine.seconds_per_call(clock.work, calls) == wanted
    assert list(clock.durations) == [], "called as often as asked, and once to warm up"


def test_the_commit_of_a_source_tree(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path)]
    try:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    except FileNotFoundError:
        pytest.skip("needs git")
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert machine.git_commit(tmp_path) == head.stdout.strip()


def test_no_commit_where_there_is_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.git_commit(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert machine.git_commit(tmp_path) is None
