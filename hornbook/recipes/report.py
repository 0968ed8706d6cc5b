"""The run report: one self-contained page that shows a newcomer what a training run did.

`write_report("runs/quickstart")` reads the files of a run folder (`config.json`, `run.json`,
`metrics.jsonl`, `results.json`, `ledger.json`) and writes `report.html` beside them. Only `config.json`
must be there; a chapter whose data is missing is left out. The page loads nothing from anywhere: styles,
script and drawings are inside. This module knows templates only: the files are read in `report_files`,
chapters gathered in `report_sections`, sentences made in `report_story`, curves in `report_chart`.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import jinja2
import markupsafe

from hornbook.base.files import atomic_write
from hornbook.recipes import report_text as text
from hornbook.recipes.report_files import RunFiles, read_run
from hornbook.recipes.report_sections import SECTIONS, front


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write `report.html` into a run folder from the files in it and return its path.

    Raises `RunFolderError` where `config.json` is missing or a file is damaged.
    """
    files = read_run(Path(folder))
    target = files.folder / "report.html"
    with atomic_write(target) as file:
        file.write(render(files).encode("utf-8", "replace"))
    return target


def render(files: RunFiles) -> str:
    """Return the page as HTML; the same files always give the same page."""
    chapters = [(name, title, view) for name, title, build in SECTIONS if (view := build(files))]
    return _template().render(front=front(files), chapters=chapters)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "count", "size", "duration", "date", "clip", "rows"):
        environment.filters[name] = getattr(text, name)
    return environment.get_template("report.html.jinja")


def _shown(value: object) -> object:
    """What the page prints for a value: nothing unseen in text, a dash for what is absent."""
    if value is None or isinstance(value, jinja2.Undefined):
        return text.ABSENT
    if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
        return text.visible(value)
    return value
