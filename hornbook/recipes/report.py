"""The run report: one self-contained page that shows a newcomer what a training run did.

`write_report("runs/quickstart")` reads the files of a run folder (`config.json`, `run.json`,
`metrics.jsonl`, `results.json`, `ledger.json`) and writes `report.html` beside them. Only `config.json`
must be there; a chapter whose data is missing is left out. The files are read in `report_files`, chapters
gathered in `report_sections`, sentences made in `report_story`, curves in `report_chart`; `report_page` turns
all of it into HTML.
"""

from __future__ import annotations

import os
from pathlib import Path

from hornbook.recipes.report_files import RunFiles, read_run
from hornbook.recipes.report_page import check_free, render_page, write_page
from hornbook.recipes.report_sections import SECTIONS, front

KIND = "run report"
"""What the page calls itself in its title."""


def write_report(folder: str | os.PathLike[str], out: Path | None = None) -> Path:
    """Write `report.html` into a run folder from the files in it, or to `out`, and return where it is.

    Raises `RunFolderError` where `config.json` is missing or a file is damaged, and where `out` is something
    else.
    """
    files = read_run(Path(folder))
    target = out or files.folder / "report.html"
    if out is not None:
        check_free(out, KIND)
        out.parent.mkdir(parents=True, exist_ok=True)
    write_page(target, render(files))
    return target


def render(files: RunFiles) -> str:
    """Return the page as HTML; the same files always give the same page."""
    chapters = [(name, title, view) for name, title, build in SECTIONS if (view := build(files))]
    return render_page("report.html.jinja", front=front(files), chapters=chapters)
