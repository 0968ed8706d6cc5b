"""How long work tells of itself, without knowing who listens.

A library function that takes long accepts `progress: Progress = silent` and calls it now and then
with what is done, the total when it is known, and a short note. The command line passes a bar, a
notebook may pass `print`, a test passes nothing. Library code never prints.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")

BARS = "▁▂▃▄▅▆▇█"
"""What a note draws a curve with; where it is one line of many, that can be left out."""
RECENT = 120.0
"""Seconds back from now whose speed is taken for that of the work still to do,"""
FEWEST = 10
"""or so many reports back, where they come more slowly."""


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


class TimeLeft:
    """How long work will still take, by its speed of late.

    What passes before the first report, such as starting and compiling, is no part of the speed.
    """

    def __init__(self) -> None:
        self.marks: deque[tuple[float, int]] = deque()

    def after(self, now: float, done: int, total: int) -> float | None:
        """Seconds left when at `now`, in seconds of any clock, so much is done; None: too early to say."""
        marks = self.marks
        if marks and done < marks[-1][1]:
            marks.clear()
        if not marks or now - marks[-1][0] >= 1.0:
            marks.append((now, done))
        while len(marks) > FEWEST and now - marks[0][0] > RECENT:
            marks.popleft()
        began, before = marks[0]
        if done == before or now == began:
            return None
        return (now - began) / (done - before) * max(0, total - done)


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
