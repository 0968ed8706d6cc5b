"""Temporary files beside their target, and the removal of those that a killed process left there.

A writer holds a lock on its temporary file. The kernel takes the lock back when the process ends, in
whatever way, so a temporary file that can be locked has no writer any more. Where there are no such locks
(Windows, some network file systems) nothing is removed.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def temporary_name(target: Path) -> Path:
    """A fresh name beside a file: `.model.bin.0123abcd.tmp`."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")


def sweep(target: Path) -> None:
    """Remove the temporary files of this target that no process writes any more.

    It is a courtesy: what cannot be listed, locked or removed stays.
    """
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for name in filter(ours.fullmatch, os.listdir(target.parent)):
            _remove_if_abandoned(target.with_name(name))


@contextmanager
def reserved(temporary: Path) -> Iterator[None]:
    """Create a file that no `sweep` removes while the block runs; what is there afterwards is removed."""
    lock = _create(temporary)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
        temporary.unlink(missing_ok=True)


def _create(path: Path) -> int | None:
    """Create a file and return a handle that holds its lock, or None where there are no locks."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if not _lock(handle):
            os.close(handle)
            return None
        if path.exists():
            return handle
        # A sweep of another process came just before the lock. Once more.
        os.close(handle)


def _remove_if_abandoned(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            if _lock(handle, wait=False):
                path.unlink()
        finally:
            os.close(handle)


def _lock(handle: int, wait: bool = True) -> bool:
    """Lock an open file until its handle is closed; return whether that worked."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
