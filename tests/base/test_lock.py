"""A lock on a folder: one process at a time, and it is free when that process is gone, however it went."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.base.lock import alone_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks folders as POSIX systems can")

HOLDER = """
import sys, time
from hornbook.base.lock import alone_in
with alone_in(sys.argv[1]) as alone:
    print(alone, flush=True)
    time.sleep(60)
"""


def test_the_second_is_not_alone(tmp_path: Path) -> None:
    with alone_in(tmp_path) as first, alone_in(tmp_path) as second:
        assert (first, second) == (True, False)
    with alone_in(tmp_path) as later:
        assert later
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "True\n"
            with alone_in(tmp_path) as alone:
                assert not alone
        finally:
            holder.kill()
    with alone_in(tmp_path) as alone:
        assert alone


def test_a_moved_folder_takes_its_lock_along(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with alone_in(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "old")
        (tmp_path / "run").mkdir()
        with alone_in(tmp_path / "old") as old, alone_in(tmp_path / "run") as new:
            assert (old, new) == (False, True)
