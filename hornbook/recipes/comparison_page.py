"""The page that lays runs over each other: their curves, their figures, what differs, and what that means.

    write_comparison(read_runs(["runs/a", "runs/b"]), "compared.html")

It is made as the report of a run is: chapters as plain data here, HTML in the template. Runs of one
configuration have one colour.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hornbook import __version__
from hornbook.recipes import report_text as text
from hornbook.recipes.comparison import (
    UNITS,
    Entrant,
    Group,
    differing,
    grouped,
    has_other_tokenizers,
    unit_of,
)
from hornbook.recipes.comparison_story import conclusions
from hornbook.recipes.report_chart import Chart, Line, Point, draw, smooth
from hornbook.recipes.report_history import points
from hornbook.recipes.report_page import check_free, render_page, write_page
from hornbook.recipes.report_text import at, finite

KIND = "comparison of runs"
"""What the page calls itself in its title."""
N_COLOURS = 8
FEW = 20
"""Points up to which each of a curve has a dot."""
SHORT = 180.0
"""Seconds up to which a run is drawn in seconds."""
N_HOVER = 60
"""Places of a chart that answer to the pointer."""
MOST_HOVERED = 12
"""Most runs that are told of there."""

View = dict[str, Any]


def write_comparison(runs: Sequence[Entrant], out: Path) -> None:
    """Write the page; one of ours in its place is replaced, another file never."""
    check_free(out, KIND)
    page = render(runs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_page(out, page)


def render(runs: Sequence[Entrant]) -> str:
    """The page as HTML; the same runs always give the same page."""
    groups, unit = grouped(runs), unit_of(runs)
    views = (
        ("curves", "How they learned", _curves(groups, unit)),
        ("runs", "The runs", _table(groups, runs)),
        ("settings", "What differs", _settings(groups)),
        ("verdict", "What that means", _verdict(groups, runs)),
    )
    chapters = [(name, title, view) for name, title, view in views if view]
    front = {"n_runs": len(runs), "n_groups": len(groups), "names": [run.path for run in runs]}
    return render_page(
        "comparison.html.jinja", kind=KIND, version=__version__, front=front, chapters=chapters
    )


def name_of(run: Entrant, runs: Sequence[Entrant]) -> str:
    """A run's folder, by its name alone where no other has that."""
    names = [other.files.folder.resolve().name for other in runs]
    own = run.files.folder.resolve().name
    return own if names.count(own) == 1 else run.path


def figures(run: Entrant) -> View:
    """A run as a row of a table."""
    last = run.files.history.last
    return {
        "seed": run.seed,
        "bits_per_byte": run.final("bits_per_byte"),
        "loss": run.final("loss"),
        "tokens": finite(last.get("tokens")),
        "seconds": finite(at(run.files.run, "seconds", "training")) or finite(last.get("seconds")),
        "parameters": finite(at(run.files.run, "parameters", "total")),
        "state": "" if run.is_finished else run.progress,
    }


def _curves(groups: Sequence[Group], unit: str) -> View | None:
    """Error over the steps and over time, of the text learned from and of held-out text."""
    last = max(
        (seconds for group in groups for run in group.runs for seconds, _ in _over_time(run, unit)),
        default=0.0,
    )
    length, clock = (1.0, "seconds") if last < SHORT else (60.0, "minutes")
    drawings: tuple[tuple[str, str, Callable[[Entrant], list[Point]]], ...] = (
        ("Held-out text", "training step", lambda run: points(run.files.history.validation, unit)),
        ("Text learned from", "training step", lambda run: smooth(points(run.files.history.learned, unit))),
        (
            "Text learned from",
            f"{clock} of training",
            lambda run: [(seconds / length, error) for seconds, error in smooth(_over_time(run, unit))],
        ),
    )
    drawn = [(title, _chart(groups, unit, axis, curve)) for title, axis, curve in drawings]
    charts = [(title, chart) for title, chart in drawn if chart is not None]
    legend = [(_style(i), _legend(group)) for i, group in enumerate(groups)]
    return {"charts": charts, "unit": UNITS[unit], "legend": legend} if charts else None


def _chart(
    groups: Sequence[Group], unit: str, axis: str, curve: Callable[[Entrant], list[Point]]
) -> Chart | None:
    """The curve of every run; one of few points has dots where it was measured."""
    runs = [run for group in groups for run in group.runs]
    curves = [(i, name_of(run, runs), curve(run)) for i, group in enumerate(groups) for run in group.runs]
    lines = [Line(name, f"run {_style(i)}", line) for i, name, line in curves]
    lines += [Line("", f"dots run {_style(i)}", line) for i, _, line in curves if len(line) <= FEW]
    hover = _hover([(name, line) for _, name, line in curves[:MOST_HOVERED]], axis)
    return draw(UNITS[unit], lines, hover, axis=axis)


def _style(i: int) -> str:
    return f"colour{i % N_COLOURS}"


def _legend(group: Group) -> str:
    """A group by its letter and its runs."""
    if len(group.runs) == 1:
        return f"{group.letter}: {group.runs[0].path}"
    return f"{group.letter}: {group.runs[0].path} and {len(group.runs) - 1} more"


def _over_time(run: Entrant, unit: str) -> list[Point]:
    """(seconds, error) of each logged step."""
    pairs = ((finite(row.get("seconds")), finite(row.get(unit))) for row in run.files.history.learned)
    return [(seconds, error) for seconds, error in pairs if seconds is not None and error is not None]


def _hover(curves: Sequence[tuple[str, list[Point]]], axis: str) -> list[tuple[float, list[str]]]:
    """What the pointer tells: each curve's value at the same place."""
    ends = [line[-1][0] for _, line in curves if line]
    if not ends:
        return []
    told = []
    for i in range(1, N_HOVER + 1):
        place = max(ends) * i / N_HOVER
        values = [(name, value) for name, line in curves if (value := _value_at(line, place)) is not None]
        told.append((place, [f"{axis} {text.number(place, 0 if place >= 10 else 1)}",
                             *(f"{name} {text.number(value, 3)}" for name, value in values)]))  # fmt: skip
    return told


def _value_at(line: Sequence[Point], place: float) -> float | None:
    """A curve's height at a place, on straight lines between its points; None beyond its ends."""
    i = bisect.bisect_left(line, place, key=lambda point: point[0])
    if i == len(line) or (i == 0 and line[0][0] > place):
        return None
    (right, after), (left, before) = line[i], line[max(i - 1, 0)]
    return after if right == left else before + (after - before) * (place - left) / (right - left)


def _table(groups: Sequence[Group], runs: Sequence[Entrant]) -> View:
    """A row for each run."""
    lines = [
        {"letter": group.letter, "style": _style(i), "name": name_of(run, runs), **figures(run)}
        for i, group in enumerate(groups)
        for run in group.runs
    ]
    return {
        "lines": lines,
        "has_states": any(line["state"] for line in lines),
        "other_tokenizers": has_other_tokenizers(runs),
    }


def _settings(groups: Sequence[Group]) -> View | None:
    table = differing(groups)
    return {"letters": [group.letter for group in groups], "table": table} if table else None


def _verdict(groups: Sequence[Group], runs: Sequence[Entrant]) -> View:
    """What each group comes to, and how it stands beside the first."""
    unit = unit_of(runs)
    means = []
    for group in groups:
        if group.finals(unit):
            mean, scatter = group.mean(unit)
            means.append(
                {"letter": group.letter, "n": len(group.finals(unit)), "mean": mean, "scatter": scatter}
            )
    return {"unit": UNITS[unit], "means": means, "said": conclusions(groups, runs)}
