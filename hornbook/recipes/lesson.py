"""The words and the look of the quickstart: each stage as a short lesson on the terminal.

The quickstart does the work and hands facts over; this module knows how to say and draw them. On a
terminal it has colours and moving bars; in a file or a pipe the same words stand without either.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from hornbook.base.files import read_json
from hornbook.base.progress import Progress
from hornbook.model.count import Part
from hornbook.plan.dial import Choice

STAGES = 8
INK = ("black on #f6c177", "black on #9ccfd8", "black on #c4a7e7", "black on #a3d9a5")
"""Backgrounds that neighbouring tokens take in turn."""
MARKS_WITHOUT_TERMINAL = 10
"""How many lines of progress a pipe gets in training."""


def console() -> Console:
    """The terminal, or the file or pipe in its place, which then gets no colours and full lines."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=100, no_color=True)


class Lesson:
    """Tells the quickstart as it goes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage = 0

    def title(self, text: str) -> None:
        """The first line of all."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def begin(self, name: str, why: str) -> None:
        """Open a stage: its number, its name, and what happens and why."""
        self.stage += 1
        self.console.print(f"\n[bold cyan]{self.stage} of {STAGES}  {escape(name)}[/bold cyan]")
        self.say(why)

    def say(self, text: str, style: str = "") -> None:
        """A plain sentence, indented under its stage."""
        self.console.print(Padding(Text(text, style=style), (0, 0, 0, 2)))

    def fact(self, name: str, value: str) -> None:
        """A figure and what it is."""
        self.console.print(Padding(Text.assemble((f"{name:<13}", "dim"), value), (0, 0, 0, 2)))

    @contextmanager
    def bar(self, stage: str) -> Iterator[Progress]:
        """A moving bar on a terminal; a few lines elsewhere, and only where a total is known."""
        if not self.console.is_terminal:
            yield _Marks(self.console, stage)
            return
        columns = (
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bar(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(stage, total=None, note="")

            def tell(done: int, total: int | None, note: str = "") -> None:
                bar.update(task, completed=done, total=total, note=note)

            yield tell

    def ledger(self, ledger: dict[str, Any]) -> None:
        """What came in, what was dropped and why, what is left."""
        read = ledger["steps"][0]
        self.fact("found", _amount(read["in"]))
        for step in ledger["steps"]:
            for entry in step["dropped"]:
                self.fact("left out", f"{_amount(entry)}: {entry['reason']}")
        self.fact("kept", _amount(ledger["out"]))

    def merges(self, merges: Sequence[tuple[bytes, bytes]]) -> None:
        """A few merges, from the first to the last: how letters grow into words."""
        places = [place for place in (1, 10, 100, 1000, len(merges)) if place <= len(merges)]
        for place in sorted(set(places)):
            left, right = (_shown(part) for part in merges[place - 1])
            self.fact(f"merge {place:,}", f"{left} + {right}  gives  {_shown(b''.join(merges[place - 1]))}")

    def tokens(self, pieces: Sequence[str]) -> None:
        """A line of text cut into its tokens, neighbours in different colours."""
        line = Text("  ")
        for i, piece in enumerate(pieces):
            shown = piece.replace("\n", "\u21b5")
            line.append(shown if self.console.is_terminal else f"[{shown}]", style=INK[i % len(INK)])
        self.console.print(line)

    def choices(self, choices: Sequence[Choice]) -> None:
        """The dial: derived numbers and their reasons."""
        table = Table.grid(padding=(0, 2))
        for choice in choices:
            table.add_row(Text(choice.name, style="dim"), Text(choice.value, style="bold"), choice.because)
        self.console.print(Padding(table, (0, 0, 0, 2)))

    def drawing(self, parts: Sequence[Part], total: int) -> None:
        """The model from the bottom to the top, with shapes and parameter counts."""
        table = Table.grid(padding=(0, 2))
        table.add_row("token ids", "", "", "")
        for part in parts:
            count = f"{part.parameters:,}" if part.parameters else ""
            table.add_row(f"\u2193 {part.name}", count, Text(part.shape, style="dim"), part.note)
        table.add_row("\u2193 logits", "", "", "one score for each token that could come next")
        table.columns[1].justify = "right"
        self.console.print(Padding(table, (0, 0, 0, 2)))
        self.fact("in all", f"{total:,} parameters")

    def hear(self, line: dict[str, Any]) -> None:
        """Show what training measures; the listener of `fit`."""
        if line["kind"] == "validation":
            self.say(
                f"step {line['step']:>5}   {line['bits_per_byte']:.3f} bits per byte on held-out text", "bold"
            )
        elif line["kind"] == "sample":
            self.sample(line["prompt"], line["text"], lines=3)
        elif line["kind"] == "event":
            self.say(f"step {line['step']:>5}   {line['text']}", "yellow")

    def sample(self, prompt: str, text: str, lines: int = 12) -> None:
        """What the model writes after a prompt, the prompt set apart."""
        continued = "\n".join(text.splitlines()[:lines])
        shown = Text.assemble((prompt, "bold"), (printable(continued), "green"))
        self.console.print(Padding(shown, (0, 0, 1 if lines > 3 else 0, 6)))

    def yardsticks(self, model: float, others: dict[str, float]) -> None:
        """The model's bits per byte as a bar beside those of gzip and xz."""
        rows = sorted([*others.items(), ("this model", model)], key=lambda row: -row[1])
        longest = max(value for _, value in rows)
        for name, value in rows:
            style = "bold green" if name == "this model" else ""
            bar = "\u2588" * round(40 * value / longest)
            self.console.print(Padding(Text(f"{name:<12} {value:6.3f}  {bar}", style=style), (0, 0, 0, 2)))

    def finished(self, out: Path) -> None:
        """The last lines of a run that was not told as a lesson."""
        held_out = read_json(out / "results.json")["held_out"]
        self.yardsticks(held_out["bits_per_byte"], held_out["yardsticks"])
        self.say(f"Everything is in {out}; look at {out / 'report.html'}.")

    def commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """What to type next."""
        table = Table.grid(padding=(0, 2))
        for command, purpose in commands:
            table.add_row(Text(command, style="bold"), Text(purpose, style="dim"))
        self.console.print(Padding(table, (0, 0, 1, 2)))


class _Marks:
    """Progress for a pipe: a line at every tenth of a known total."""

    def __init__(self, console: Console, label: str) -> None:
        self.console, self.label = console, label
        self.next_mark = 1
        self.began = time.monotonic()

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        if not total or done * MARKS_WITHOUT_TERMINAL < self.next_mark * total:
            return
        self.next_mark = done * MARKS_WITHOUT_TERMINAL // total + 1
        left = (time.monotonic() - self.began) * (total - done) / done
        self.console.print(f"  {self.label} {done:,} of {total:,}, {left:.0f} s left  {note}", markup=False)


def _amount(count: dict[str, int]) -> str:
    return f"{count['documents']:,} documents, {count['bytes'] / 1e6:,.2f} MB"


def _shown(token: bytes) -> str:
    """A token as text in quotes, bytes that are not text as numbers."""
    try:
        return repr(token.decode("utf-8"))
    except UnicodeDecodeError:
        return token.hex(" ")


def printable(text: str) -> str:
    """Text without control characters, which could move the cursor or ring the bell."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
