"""Runs beside each other in the terminal: what differs, what they came to, and what that means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hornbook.base.errors import ConfigError
from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes.comparison import Entrant, Group, differing, grouped, read_runs
from hornbook.recipes.comparison_page import figures, name_of, write_comparison
from hornbook.recipes.comparison_story import conclusions
from hornbook.recipes.lesson import Lesson, console
from hornbook.recipes.report import write_report
from hornbook.recipes.report_text import clip, count, duration, number

OVERLAY = Path("compared.html")
"""Where the page of several runs goes if nobody says."""
MOST_OF_A_VALUE = 40
"""Letters of a setting that are shown."""


def report_runs(folders: Sequence[Path], out: Path | None) -> None:
    """Write the page of a run, or one of several, and say where it is."""
    lesson = Lesson(console())
    if len(folders) == 1:
        RunFolder(folders[0]).read_config()  # It says what a folder is that is no run.
        target = write_report(folders[0], out)
    else:
        target = out or OVERLAY
        write_comparison(read_runs(folders), target)
    lesson.say(f"The page is {target}; open it in a browser.")


def compare_runs(folders: Sequence[Path], out: Path | None) -> None:
    """Print how runs differ in settings and results, and draw their curves where a page is wished for."""
    if len(folders) < 2:
        raise ConfigError(
            f"beside what? give another run to compare {folders[0]} with; report shows one alone"
        )
    runs = read_runs(folders)
    groups = grouped(runs)
    lesson = Lesson(console())
    if out is not None:
        write_comparison(runs, out)
    lesson.heading("Runs")
    lesson.table(_runs(groups, runs))
    if table := differing(groups):
        lesson.heading("What differs")
        lesson.table(_settings(groups, table))
    lesson.heading("What that means")
    for sentence in conclusions(groups, runs):
        lesson.say(sentence)
    if out is not None:
        lesson.say(f"The curves are in {out}; open it in a browser.")


def _runs(groups: Sequence[Group], runs: Sequence[Entrant]) -> Table:
    """A row for each run, with what it came to on all held-out text."""
    table = Table.grid(padding=(0, 2))
    titles = ("", "run", "seed", "bits per byte", "nats per token", "tokens", "time", "parameters", "")
    table.add_row(*(Text(title, style="dim") for title in titles))
    for column in table.columns[2:-1]:
        column.justify = "right"
    for group in groups:
        for run in group.runs:
            known = figures(run)
            row = (
                name_of(run, runs),
                str(known["seed"]),
                number(known["bits_per_byte"], 4),
                number(known["loss"], 4),
                count(known["tokens"]),
                duration(known["seconds"]),
                count(known["parameters"]),
                known["state"],
            )
            table.add_row(Text(group.letter, style="bold"), *map(Text, row))
    return table


def _settings(groups: Sequence[Group], differing: dict[str, list[str]]) -> Table:
    """A row for each setting that is not the same in all groups."""
    table = Table.grid(padding=(0, 2))
    table.add_row("", *(Text(group.letter, style="bold") for group in groups))
    for key, values in differing.items():
        table.add_row(Text(key, style="dim"), *(Text(clip(value, MOST_OF_A_VALUE)) for value in values))
    return table
