"""`import hornbook` and `hornbook --help` answer at once: neither loads torch, numba or their like."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from architecture.house import ROOT

HEAVY = {"torch", "numba", "transformers", "pyarrow", "matplotlib", "pandas", "scipy"}


def loaded_by(*arguments: str) -> set[str]:
    """The top-level modules a fresh interpreter loads for a command that must succeed."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    names = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", done.stderr, flags=re.MULTILINE)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "import hornbook"),
        ("-c", "import hornbook; dir(hornbook)"),
        ("-m", "hornbook", "--help"),
        ("-m", "hornbook"),
    ],
    ids=["import", "dir", "help", "bare"],
)
def test_nothing_heavy_is_loaded(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "hornbook" in loaded
    assert loaded & HEAVY == set()


def test_the_measure_sees_what_is_loaded() -> None:
    assert {"numba", "llvmlite"} <= loaded_by("-c", "import numba")
