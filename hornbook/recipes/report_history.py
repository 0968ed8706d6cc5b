"""What happened, step by step: `metrics.jsonl` read back with the scars of kills and resumptions healed.

A run that is killed and resumed writes some steps twice, and the kill may cut a line in half. Of a step
that was done twice the later line counts; a half line is left out. The file is only ever read here.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.base.errors import RunFolderError
from hornbook.recipes.report_text import at, finite

Row = dict[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class History:
    """The lines of a run by kind, each kind ordered by step, no step twice."""

    train: list[Row]
    validation: list[Row]
    samples: list[Row]
    events: list[Row]
    unreadable: int
    """Lines that hold no step, not counting a half-written last one."""

    @property
    def learned(self) -> list[Row]:
        """The training lines of steps that changed the model: what was left out is no part of a curve."""
        return [row for row in self.train if "skipped" not in row]

    @property
    def occasions(self) -> list[Row]:
        """The events but verdicts; of steps left out in a row the first, with how many `more` there were."""
        found: list[tuple[Row, int]] = []
        for event in (event for event in self.events if event.get("what") != "verdict"):
            first, more = found[-1] if found else ({}, 0)
            both_skipped = event.get("what") == first.get("what") == "skip"
            if both_skipped and event["step"] == first["step"] + more + 1:
                found[-1] = (first, more + 1)
            else:
                found.append((event, 0))
        return [{**event, "more": more} for event, more in found]

    @property
    def verdict(self) -> Row:
        """What was last said of the run beside the band of its recipe, or an empty line."""
        return next((event for event in reversed(self.events) if event.get("what") == "verdict"), {})

    @property
    def last(self) -> Row:
        """The newest training line, or an empty one."""
        return self.train[-1] if self.train else {}


def read_history(path: Path) -> History:
    """Read a run's metrics; a missing file is an empty history.

    Lines of unknown kinds are left to whoever wrote them.
    """
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from None
    *lines, rest = text.split("\n")
    parsed = [_parse(line) for line in lines if line.strip()]
    good = [row for row in parsed if row is not None]
    if (last := _parse(rest)) is not None:
        good.append(last)
    return History(
        train=_later_counts(good, "train", ()),
        validation=_later_counts(good, "validation", ()),
        samples=_later_counts(good, "sample", ("prompt",)),
        events=_later_counts(good, "event", ("text",)),
        unreadable=parsed.count(None),
    )


def points(lines: Iterable[Row], key: str) -> list[Point]:
    """Return (step, value) of every line that has a finite value under `key`."""
    pairs = ((row["step"], finite(row.get(key))) for row in lines)
    return [(float(step), value) for step, value in pairs if value is not None]


def band_outline(band: object, unit: str) -> list[Point]:
    """Return the outline of a band as `run.json` has it: along its low end, and back along its high one."""
    columns = [at(band, key) for key in ("steps", "low", "high")]
    if not all(isinstance(column, list) for column in columns):
        return []
    factor = finite(at(band, "bits_per_nat")) if unit == "bits_per_byte" else 1.0
    steps, low, high = ([finite(value) for value in column] for column in columns)
    ends = [[*zip(steps, low, strict=False)], [*zip(steps, high, strict=False)][::-1]]
    known = ((x, y) for end in ends for x, y in end)
    return [(x, y * factor) for x, y in known if factor is not None and x is not None and y is not None]


def first_not_a_number(history: History) -> int | None:
    """Return the first step whose training loss is not a finite number, or None."""
    return next((r["step"] for r in history.learned if "loss" in r and finite(r["loss"]) is None), None)


def _parse(line: str) -> Row | None:
    """One line as an object that has a step, or None."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and finite(row.get("step")) is not None else None


def _later_counts(lines: Iterable[Row], kind: str, more: tuple[str, ...]) -> list[Row]:
    """The lines of one kind by step; of lines with the same step (and `more` keys) the last."""
    found: dict[Hashable, Row] = {}
    for row in lines:
        if row.get("kind") == kind:
            found[(row["step"], *(str(row.get(key)) for key in more))] = row
    return sorted(found.values(), key=lambda row: float(row["step"]))
