"""Temporary files: swept when their writer is dead, left alone while it lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.base import temporaries
from hornbook.base.temporaries import reserved, sweep, temporary_name

pytest.importorskip("fcntl", reason="needs POSIX file locks; elsewhere nothing is swept")


def test_a_name_is_fresh_and_beside_its_target(tmp_path: Path) -> None:
    names = {temporary_name(tmp_path / "a.bin") for _ in range(10)}
    assert len(names) == 10
    assert {name.parent for name in names} == {tmp_path}


def test_only_temporaries_of_this_very_target_are_swept(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    foreign = [
        "a.bin",
        ".a.bin.tmp",
        ".a.bin.0123abc.tmp",
        ".a.bin.0123ABCD.tmp",
        ".a.bin.0123abcd.tmp.bak",
        ".axbin.0123abcd.tmp",
        ".b.bin.0123abcd.tmp",
    ]
    for name in [*foreign, ".a.bin.0123abcd.tmp", temporary_name(target).name]:
        (tmp_path / name).touch()
    sweep(target)
    assert sorted(os.listdir(tmp_path)) == sorted(foreign)


def test_a_living_writer_is_left_alone_and_a_dead_one_is_not(tmp_path: Path) -> None:
    """The writer is another process, first alive, then killed."""
    target = tmp_path / "a.bin"
    code = """
import sys
from pathlib import Path
from hornbook.base.temporaries import reserved, temporary_name
with reserved(temporary_name(Path(sys.argv[1]))):
    print("ready", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        sweep(target)
        assert len(os.listdir(tmp_path)) == 1
        writer.kill()
    assert len(os.listdir(tmp_path)) == 1
    sweep(target)
    assert os.listdir(tmp_path) == []


def test_a_sweep_just_before_the_lock_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its creation and its lock a file looks abandoned: the writer then makes it again."""
    target = tmp_path / "a.bin"
    lock, swept = temporaries._lock, []

    def late(handle: int, wait: bool = True) -> bool:
        if wait and not swept:
            swept.append(os.listdir(tmp_path))
            sweep(target)
        return lock(handle, wait)

    monkeypatch.setattr(temporaries, "_lock", late)
    temporary = temporary_name(target)
    with reserved(temporary):
        assert swept == [[temporary.name]]
        sweep(target)
        assert temporary.exists()
    assert os.listdir(tmp_path) == []


def test_where_there_are_no_locks_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporaries, "_lock", lambda handle, wait=True: False)
    (tmp_path / ".a.bin.0123abcd.tmp").touch()
    sweep(tmp_path / "a.bin")
    with reserved(tmp_path / "b"):
        pass
    assert os.listdir(tmp_path) == [".a.bin.0123abcd.tmp"]


def test_a_folder_that_is_not_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "missing" / "a.bin")
    assert os.listdir(tmp_path) == []


def test_a_reserved_file_that_was_renamed_stays(tmp_path: Path) -> None:
    with reserved(tmp_path / "a"):
        os.replace(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path) == ["b"]
