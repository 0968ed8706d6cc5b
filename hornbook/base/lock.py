"""A lock on a folder, for work that two processes must not do in it at once.

The lock is on the folder itself, so nothing is written, and the system takes it back when the process ends,
however it ends. It keeps away only those who ask for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def alone_in(folder: str | os.PathLike[str]) -> Iterator[bool]:
    """Lock a folder while the block runs; yields False where another holds its lock.

    Where there are no such locks (Windows, some network file systems) everybody is taken to be alone.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        except OSError:
            alone = True
        yield alone
    finally:
        os.close(handle)
