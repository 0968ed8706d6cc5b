"""Tiny texts, tiny runs, and the program run on them: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
STEPS, SIZE = 4, 1


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def story(n_bytes: int, seed: int = 0) -> str:
    """Lines of made-up words, always the same for a seed."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("aeiouklmnprst", k=draw.randint(1, 7))) for _ in range(300)]
    lines = []
    while sum(map(len, lines)) < n_bytes:
        lines.append(" ".join(draw.choices(words, k=9)).capitalize() + ".\n")
    return "".join(lines)[:n_bytes]


def write_texts(folder: Path, files: int = 5, n_bytes: int = 10_000) -> Path:
    """A folder of text, enough for a batch."""
    folder.mkdir(parents=True)
    for i in range(files):
        (folder / f"story{i}.txt").write_text(story(n_bytes, seed=i), encoding="utf-8")
    return folder


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Stand in a folder for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def hornbook(*words: str | Path, stdin: str = "") -> Said:
    """Type a command, in this process; the screen is a pipe."""
    from hornbook.cli import main

    out, err, logger = io.StringIO(), io.StringIO(), logging.getLogger("hornbook")
    handlers = logger.handlers[:]
    argv = ["hornbook", *map(os.fspath, words)]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            logger.handlers[:] = handlers
    assert isinstance(code, int)
    return Said(code, out.getvalue(), err.getvalue())


def environment(**more: str) -> dict[str, str]:
    """The surroundings of a command in a process of its own, with nothing that forces colours or widths."""
    loud = ("FORCE_COLOR", "NO_COLOR", "GITHUB_ACTIONS", "COLUMNS", "PY_COLORS", "TERMINAL_WIDTH")
    kept = {name: value for name, value in os.environ.items() if name not in loud}
    import torch

    threads = str(torch.get_num_threads())  # another number rounds to other bits
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads, "PYTHONIOENCODING": "utf-8", **more}


def process(*words: str | Path, cwd: Path, limit: int | None = None, **more: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own; `limit` is the largest file in bytes that it may write."""

    def no_more_than() -> None:
        import resource

        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "hornbook", *map(os.fspath, words)],
        cwd=cwd,
        env=environment(**more),
        preexec_fn=no_more_than,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def ended(running: subprocess.Popen[str]) -> Said:
    """Wait for a command to end; its output is what was not read before."""
    out, err = running.communicate(timeout=300)
    return Said(running.returncode, out, err)


def read_until(running: subprocess.Popen[str], mark: str) -> None:
    """Read a command's output up to the first line that holds a mark."""
    assert running.stdout
    for line in running.stdout:
        if mark in line:
            return
    raise AssertionError(f"{mark!r} never came: {ended(running).err}")


@functools.cache
def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hornbook-tests-")


def home() -> Path:
    """A folder with `texts/`, and a finished quickstart of them in `run/`; treat both as read-only."""
    told()
    return Path(_home().name)


@functools.cache
def told() -> Said:
    """What the quickstart at home said; it is run when somebody first asks."""
    folder = Path(_home().name)
    write_texts(folder / "texts")
    with inside(folder):
        said = hornbook(*quickstart("run"))
    assert said.code == 0, said.err
    return said


def quickstart(out: str | Path, *more: str) -> tuple[str, ...]:
    """The words of a tiny quickstart."""
    fixed = ("--text", "texts", "--steps", str(STEPS), "--size", str(SIZE))
    return ("quickstart", *fixed, "--out", str(out), *more)
