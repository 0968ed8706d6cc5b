"""Line charts as plain data: a template turns a `Chart` into one inline SVG with labels around it.

Curves live in a square of 100 by 100 units that the page stretches to any width; strokes and labels
are not stretched with it, so one drawing serves a desktop, a phone and a printer. All functions are
pure: numbers in, numbers and path strings out. Nothing here knows what the curves mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
SIDE = 100.0


@dataclass(frozen=True)
class Scale:
    """A straight map from values between `low` and `high` to units between `start` and `end`."""

    low: float
    high: float
    start: float = 0.0
    end: float = SIDE

    def __call__(self, value: float) -> float:
        """Return the place of a value, in units."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Line:
    """One curve: a name for the legend, a style for the page's CSS, its points."""

    name: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """A labelled place on one axis, in percent of the drawing from the left or the top."""

    place: float
    label: str


@dataclass(frozen=True)
class Chart:
    """All a template needs to draw one chart."""

    title: str
    axis: str
    """What lies along the horizontal axis."""
    paths: list[tuple[str, str, str]]
    """(name, style, SVG path) of each line."""
    x_ticks: list[Mark]
    y_ticks: list[Mark]
    levels: list[Mark]
    """Horizontal reference lines."""
    events: list[Mark]
    """Vertical reference lines."""
    hover: list[tuple[float, list[str]]]
    """(percent from the left, lines of text) to show under the pointer."""


def smooth(points: Sequence[Point]) -> list[Point]:
    """Return the running average of the y values over a window around each point.

    The window reaches an eighth of the points so far to either side, at most a 25th of all: narrow where
    learning is fast and a wide one would blur it, wide where only noise is left to average.
    """
    sums = list(itertools.accumulate((y for _, y in points), initial=0.0))
    out = []
    for i, (x, _) in enumerate(points):
        reach = min(i // 8, len(points) // 25)
        first, end = i - reach, min(i + reach + 1, len(points))
        out.append((x, (sums[end] - sums[first]) / (end - first)))
    return out


def thin(points: Sequence[Point], limit: int = 2000) -> list[Point]:
    """Return at most `limit` points that look the same: ends, and the extremes of equal stretches.

    The lowest and the highest point of each stretch stay, so no spike is ever lost.
    """
    if len(points) <= limit:
        return list(points)
    inner, n_parts = points[1:-1], max((limit - 2) // 2, 1)
    kept = [points[0]]
    for i in range(n_parts):
        part = inner[len(inner) * i // n_parts : len(inner) * (i + 1) // n_parts]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])} if part else set()
        kept.extend(sorted(ends))
    return [*kept, points[-1]]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) that enclose `low` to `high`.

    About `about` stretches lie between them; a range of no width is widened first.
    """
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-12):
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def tick_label(value: float) -> str:
    """Return a tick's number in its shortest form, with commas between thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def svg_path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """Return the `d` of an SVG path through the points, to a hundredth of a unit."""
    places = (f"{x(a):.2f} {y(b):.2f}" for a, b in points)
    return "M" + "L".join(places) if points else ""


def svg_dots(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """Return a path of tiny strokes; with round ends they are dots, also in a stretched drawing."""
    return "".join(f"M{x(a):.2f} {y(b):.2f}h.001" for a, b in points)


def draw(
    title: str,
    lines: Sequence[Line],
    hover: Sequence[tuple[float, list[str]]] = (),
    *,
    axis: str = "training step",
    x_marks: Sequence[tuple[float, str]] = (),
    floor: float | None = None,
    levels: Sequence[tuple[float, str]] = (),
    events: Sequence[tuple[float, str]] = (),
) -> Chart | None:
    """Lay out a chart, or return None when no line has a point.

    `x_marks` are (x, label) for an axis that is not counted from 0 in plain numbers. `floor` makes the y axis
    reach down to that value; `levels` are (y, label), `events` (x, label), `hover` (x, texts). A line whose
    style begins with `dots` is drawn as one dot a point.
    """
    every = [point for line in lines for point in line.points]
    if not every:
        return None
    heights = [y for _, y in every] + [y for y, _ in levels] + ([] if floor is None else [floor])
    y_values = ticks(min(heights), max(heights))
    left, right = min(a for a, _ in every), max(a for a, _ in every)
    left = left if x_marks else min(0.0, left)
    x = Scale(left, right if right > left else left + 1)
    y = Scale(y_values[0], y_values[-1], SIDE, 0.0)
    plain = [(value, tick_label(value)) for value in ticks(x.low, x.high)]
    return Chart(
        title=title,
        axis=axis,
        paths=[(line.name, line.style, _strokes(line, x, y)) for line in lines if line.points],
        x_ticks=[Mark(x(v), label) for v, label in x_marks or plain if x.low <= v <= x.high],
        y_ticks=[Mark(y(v), tick_label(v)) for v in y_values],
        levels=[Mark(y(v), label) for v, label in levels],
        events=[Mark(x(v), label) for v, label in events if x.low <= v <= x.high],
        hover=[(round(x(v), 2), texts) for v, texts in hover],
    )


def _strokes(line: Line, x: Scale, y: Scale) -> str:
    few = thin(line.points)
    return svg_dots(few, x, y) if line.style.startswith("dots") else svg_path(few, x, y)
