"""The words and the look of the quickstart: each stage as a short lesson on the terminal.

The quickstart does the work and hands facts over; this module knows how to say and draw them. On a
terminal it has colours and moving bars; in a file or a pipe the same words stand without either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hornbook.base.files import read_json
from hornbook.base.progress import Progress
from hornbook.recipes.report_objective import is_decoder, verdict, writes
from hornbook.recipes.report_text import quoted
from hornbook.recipes.terminal import printable, watched

if TYPE_CHECKING:
    from hornbook.model.drawing import Part
    from hornbook.plan.dial import Choice

STAGES = 8
INK = ("black on #f6c177", "black on #9ccfd8", "black on #c4a7e7", "black on #a3d9a5")
"""Backgrounds that neighbouring tokens take in turn."""
_BEGINNINGS = {
    "": ("token ids", "", ""),
    "encoder": ("token ids of the source", "", ""),
    "decoder": ("token ids of the target", "", ""),
}
"""What stands above the parts of a model, or of each half of an encoder-decoder."""


def console() -> Console:
    """The terminal, or the file or pipe in its place, which then gets no colours and full lines."""
    screen = Console(highlight=False, emoji=False)
    return screen if screen.is_terminal else Console(highlight=False, emoji=False, width=100, no_color=True)


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
        self._put(Text(text, style=style))

    def _put(self, content: RenderableType, indent: int = 2) -> None:
        """Print something indented, wrapped to the width that is left, no blanks at the ends of lines."""
        options = self.console.options.update_width(max(20, self.console.width - indent))
        for line in self.console.render_lines(content, options, pad=False):
            text = Text(" " * indent).append_tokens((segment.text, segment.style) for segment in line)
            text.rstrip()
            self.console.print(text, soft_wrap=True)

    def fact(self, name: str, value: str) -> None:
        """A figure and what it is."""
        self._put(Text.assemble((f"{name:<13}", "dim"), value))

    def bar(self, stage: str) -> AbstractContextManager[Progress]:
        """How far a stage is, as it goes."""
        return watched(self.console, stage)

    def ledger(self, ledger: dict[str, Any]) -> None:
        """What came in, what was dropped and why, what is left."""
        self.fact("found", _amount(ledger["steps"][0]["in"]))
        for step in ledger["steps"]:
            for entry in step["dropped"]:
                self.fact("left out", f"{_amount(entry)}: {entry['reason']}")
        parts = {name: size_in_bytes(part["bytes"]) for name, part in ledger["parts"].items()}
        kept = _amount(ledger["steps"][-1]["in"])
        self.fact("kept", f"{kept}: {parts['train']} to learn from, {parts['held_out']} held out")

    def merges(self, merges: Sequence[tuple[bytes, bytes]]) -> None:
        """A few merges, from the first to the last: how letters grow into words."""
        places = [place for place in (1, 10, 100, 1000, len(merges)) if place <= len(merges)]
        for place in sorted(set(places)):
            left, right = (quoted(part) for part in merges[place - 1])
            self.fact(f"merge {place:,}", f"{left} + {right}  gives  {quoted(b''.join(merges[place - 1]))}")

    def tokens(self, pieces: Sequence[str]) -> None:
        """A text cut into its tokens, neighbours in different colours, or in brackets without colours."""
        has_colours = self.console.is_terminal and not self.console.no_color
        line = Text()
        for i, piece in enumerate(pieces):
            shown = printable(piece).replace("\n", "\u21b5").replace("\t", "\u21e5")
            line.append(shown if has_colours else f"[{shown}]", style=INK[i % len(INK)])
        self._put(line)

    def table(self, content: RenderableType, indent: int = 2) -> None:
        """A table or a line that has its own styles."""
        self._put(content, indent)

    def choices(self, choices: Sequence[Choice]) -> None:
        """The dial: derived numbers and their reasons."""
        table = Table.grid(padding=(0, 2))
        for choice in choices:
            table.add_row(
                Text(choice.name, style="dim"), Text(choice.value, style="bold"), Text(choice.because)
            )
        self._put(table)

    def drawing(self, parts: Sequence[Part], total: int) -> None:
        """The model from the token ids to the scores, with shapes and parameter counts."""
        table = Table.grid(padding=(0, 2))
        side = None
        for part in parts:
            if part.side != side:
                table.add_row(*_BEGINNINGS[part.side])
                side = part.side
            count = f"{part.parameters:,}" if part.parameters else ""
            name = f"\u2193 {part.name}" + (f"  x {part.repeat}" if part.repeat > 1 else "")
            what = [part.note, *([part.shape] if part.shape else [])]
            table.add_row(
                name, count, Text("\n").join([Text(what[0]), *(Text(w, style="dim") for w in what[1:])])
            )
        table.add_row("\u2193 scores", "", "")
        table.columns[1].justify = "right"
        self._put(table)
        self.fact("in all", f"{total:,} parameters")

    def heading(self, text: str, note: str = "") -> None:
        """What the next lines are about."""
        self.console.print()
        self._put(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))

    def hear(self, line: dict[str, Any]) -> None:
        """Show what training measures; the listener of `fit`."""
        if line["kind"] == "validation":
            self.say(
                f"step {line['step']:>5}   {line['bits_per_byte']:.3f} bits per byte on held-out text", "bold"
            )
        elif line["kind"] == "sample":
            self._put(_continued(line["prompt"], line["text"], lines=3, blank_lines=False), indent=6)
        elif line["kind"] == "event":
            is_calm = line.get("verdict") in ("in", "fits", "unknown")
            self.say(f"step {line['step']:>5}   {line['text']}", "green" if is_calm else "yellow")

    def sample(self, prompt: str, text: str) -> None:
        """What the finished model writes after a prompt, the prompt set apart."""
        self._put(_continued(prompt, text, lines=12, blank_lines=True), indent=6)
        self.console.print()

    def yardsticks(self, model: float, others: dict[str, float]) -> None:
        """The model's bits per byte as a bar beside those of gzip and xz."""
        rows = sorted([*others.items(), ("this model", model)], key=lambda row: -row[1])
        longest = max(value for _, value in rows)
        for name, value in rows:
            style = "bold green" if name == "this model" else ""
            bar = "\u2588" * round(40 * value / longest)
            self._put(Text(f"{name:<12} {value:6.3f}  {bar}", style=style))

    def finished(self, out: Path) -> None:
        """The last lines of a run that was not told as a lesson."""
        held_out = read_json(out / "results.json")["held_out"]
        config = read_json(out / "config.json")
        if is_decoder(config):
            self.say("Bits for a byte of the held-out text; less is better:")
            self.yardsticks(held_out["bits_per_byte"], held_out["yardsticks"])
        else:
            self.say(verdict(config, held_out["bits_per_byte"]))
        if "of_documents" in held_out:
            part = f"{held_out['documents']:,} of {held_out['of_documents']:,} held-out documents"
            self.say(f"Measured on {part}, spread evenly; train.evaluation_tokens=null takes all.")
        if not writes(config):
            self.say("It learned to write no text of its own, so there are no samples.")
        self.say(f"Everything is in {out}; look at {out / 'report.html'}.")

    def commands(self, commands: Sequence[tuple[str, str]]) -> None:
        """What to type next, each command on one line, so that it can be copied."""
        longest = max(len(command) for command, _ in commands)
        fits = all(longest + len(purpose) + 4 <= self.console.width for _, purpose in commands)
        self.console.print()
        for command, purpose in commands:
            if fits:
                line = Text.assemble(f"  {command:<{longest}}  ", (purpose, "dim"))
            else:
                line = Text.assemble((f"  {purpose}:\n", "dim"), f"    {command}")
            self.console.print(line, soft_wrap=True)
        self.console.print()


def _amount(count: dict[str, int]) -> str:
    documents = "1 document" if count["documents"] == 1 else f"{count['documents']:,} documents"
    return f"{documents}, {size_in_bytes(count['bytes'])}"


def size_in_bytes(n_bytes: int) -> str:
    """A number of bytes in the unit that suits it."""
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:,.0f} kB"
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:,.1f} GB"


def _continued(prompt: str, text: str, *, lines: int, blank_lines: bool) -> Text:
    """A prompt and the first lines of what follows it; of blank lines at most one in a row is shown."""
    whole = re.sub(r"\n\s*\n", "\n\n" if blank_lines else "\n", printable(text.rstrip()))
    shown = "\n".join(whole.split("\n")[:lines]).rstrip()
    return Text.assemble((printable(prompt), "bold"), (shown, "green"))
