"""How far long work is, on a terminal or in a file; and text that does a terminal no harm.

    with watched(console, "training") as progress:
        progress(3, 10, "loss 3.42, 21,300 tokens/s")

On a terminal a bar moves, and what there is to say stands beneath it; in a file or a pipe a plain line comes
now and then. How long the work will still take follows from its speed of late.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from hornbook.base.progress import BARS, Progress, TimeLeft

MARKS_WITHOUT_TERMINAL = 10
"""How many lines of progress a pipe gets from a stage at least,"""
SECONDS_WITHOUT_MARK = 5
"""but for a stage that is over sooner; never are two of them nearer,"""
MOST_SECONDS_WITHOUT_MARK = 600
"""and never farther apart than this, or than one report of the work."""
UNDER_BAR = 13
"""Where the words beneath a bar begin, on a terminal that is wide enough."""


@contextmanager
def watched(console: Console, stage: str) -> Iterator[Progress]:
    """A moving bar on a terminal; a few lines elsewhere, and only where a total is known."""
    if not console.is_terminal:
        yield _Marks(console, stage)
        return
    with Block(console) as bar:
        task = bar.add_task(stage, total=None, beside=[], left="")
        time_left = TimeLeft()

        def tell(done: int, total: int | None, note: str = "") -> None:
            left, beside = _left(time_left, done, total), [f"{done:,} of {total:,}"] if total else []
            beside += note.split(", ") if note else []
            bar.update(task, completed=done, total=total, beside=beside, left=left)

        yield tell


class Block(Bar):
    """A bar, and beneath it the pieces that there are to say, in as many lines as they take."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=max(8, min(30, console.width - 36))),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bar, and what is beneath."""
        yield from super().get_renderables()
        yield from (_Beneath(task.fields["beside"]) for task in self.tasks)


class _Beneath:
    """Pieces of text in the width that the terminal has at the moment."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = pieces

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = UNDER_BAR if options.max_width >= 4 * UNDER_BAR else 2
        for line in in_lines(self.pieces, options.max_width - indent):
            yield Text(" " * indent + printable(line), style="dim", no_wrap=True, overflow="ellipsis")


def in_lines(pieces: Sequence[str], width: int) -> list[str]:
    """Pieces of text one after the other, in lines of a width; a piece is never broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(piece) + 3 <= width:
            lines[-1] += f"   {piece}"
        else:
            lines.append(piece)
    return lines


class _Marks:
    """Progress for a pipe: a line at every tenth of a known total, and more where a tenth takes long."""

    def __init__(self, console: Console, label: str) -> None:
        self.console, self.label = console, label
        self.next_mark, self.marked, self.time_left = 1, time.monotonic(), TimeLeft()

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        left = _left(self.time_left, done, total)
        waited = time.monotonic() - self.marked
        is_due = bool(total) and done * MARKS_WITHOUT_TERMINAL >= self.next_mark * (total or 0)
        if not total or waited < SECONDS_WITHOUT_MARK or not (is_due or waited >= MOST_SECONDS_WITHOUT_MARK):
            return
        self.next_mark, self.marked = done * MARKS_WITHOUT_TERMINAL // total + 1, time.monotonic()
        # The lines of a pipe stand one above the other and need no drawing of what came before.
        said = re.sub(rf" [{BARS}]+", "", printable(note))
        mark = f"  {self.label} {done:,} of {total:,}{', ' if left else ''}{left}  {said}"
        self.console.print(mark.rstrip(), markup=False, soft_wrap=True)


def _left(time_left: TimeLeft, done: int, total: int | None) -> str:
    """How long work will still take, in words; nothing where that cannot be said."""
    seconds = time_left.after(time.monotonic(), done, total) if total else None
    return "" if seconds is None else f"{about(seconds)} left"


def about(seconds: float) -> str:
    """A time to wait, no more exact than one needs it."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours / 24:.1f} days"


def printable(text: str) -> str:
    """Text without control characters, which could move the cursor or ring the bell.

    Spaces of all widths stay, and so do the joiners that some scripts cannot be written without.
    """
    return "".join(
        c if c.isprintable() or c in _HARMLESS or unicodedata.category(c) == "Zs" else "\ufffd" for c in text
    )


_HARMLESS = "\n\t\u200c\u200d"
