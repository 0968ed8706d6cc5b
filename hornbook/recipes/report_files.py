"""A run folder as its report sees it: every file read once, whatever is missing left empty.

Only `config.json` must be there. Nothing is computed here beyond choosing the unit of the curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_json
from hornbook.recipes.report_history import History, points, read_history
from hornbook.recipes.report_text import at, finite


@dataclass(frozen=True)
class RunFiles:
    """What a run folder says, read once; a missing file is an empty object."""

    folder: Path
    config: dict[str, Any]
    run: dict[str, Any]
    results: dict[str, Any]
    ledger: dict[str, Any]
    history: History

    @property
    def unit(self) -> str:
        """The metric the curves are drawn in: `bits_per_byte` where it was logged, else `loss`."""
        lines = self.history.train + self.history.validation
        return "bits_per_byte" if points(lines, "bits_per_byte") else "loss"

    @property
    def band(self) -> dict[str, Any]:
        """The band that the run should lie in; empty where there is none, or the run has other steps now."""
        band, steps = at(self.run, "band"), at(self.run, "band", "steps")
        fits = isinstance(steps, list) and steps[-1:] == [at(self.config, "train", "steps")]
        return band if fits else {}

    @property
    def yardsticks(self) -> dict[str, float]:
        """Bits per byte of ordinary compressors on the held-out text, by name."""
        found = at(self.results, "held_out", "yardsticks")
        found = found if isinstance(found, dict) else {}
        return {str(name): value for name, raw in found.items() if (value := finite(raw)) is not None}


def read_run(folder: Path) -> RunFiles:
    """Read what a run folder holds for its report."""
    return RunFiles(
        folder=folder,
        config=_object(folder / "config.json"),
        run=_object_or_empty(folder / "run.json"),
        results=_object_or_empty(folder / "results.json"),
        ledger=_object_or_empty(folder / "ledger.json"),
        history=read_history(folder / "metrics.jsonl"),
    )


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} is damaged: it holds {type(value).__name__}, not an object")
    return value


def _object_or_empty(path: Path) -> dict[str, Any]:
    return _object(path) if path.exists() else {}
