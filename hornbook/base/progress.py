"""How long work tells of itself, without knowing who listens.

A library function that takes long accepts `progress: Progress = silent` and calls it now and then
with what is done, the total when it is known, and a short note. The command line passes a bar, a
notebook may pass `print`, a test passes nothing. Library code never prints.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")


@runtime_checkable
class Progress(Protocol):
    """Something that can be told how far the work is."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Take note that `done` of `total` units are finished (`total` None: not known)."""


@runtime_checkable
class Watch(Protocol):
    """Something that opens a progress for each stage of some work."""

    def __call__(self, stage: str) -> AbstractContextManager[Progress]:
        """Return a context that yields the stage's progress."""


def silent(done: int, total: int | None, note: str = "") -> None:
    """The progress nobody watches."""


@contextmanager
def unwatched(stage: str) -> Iterator[Progress]:
    """The watch nobody keeps."""
    yield silent


def tracked(items: Iterable[Item], progress: Progress, total: int | None = None) -> Iterator[Item]:
    """Yield the items unchanged, telling `progress` after each one."""
    for done, item in enumerate(items, 1):
        yield item
        progress(done, total)


def configure_logging(level: int = logging.WARNING) -> None:
    """Send the package's log lines to standard error; called by the command line only."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hornbook")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
