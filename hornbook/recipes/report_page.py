"""The pages: templates of this folder, with the filters and the care for strange text that all of them share.

`render_page("report.html.jinja", ...)` gives the HTML and `write_page` puts it on the disk. A page loads
nothing from anywhere: styles, script and drawings are inside. This module does not know what a page shows.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from hornbook.base.errors import RunFolderError
from hornbook.base.files import atomic_write
from hornbook.recipes import report_text as text


def render_page(template: str, **values: Any) -> str:
    """Return a page as HTML; the same values always give the same page."""
    return _environment().get_template(template).render(**values)


def write_page(target: Path, page: str) -> None:
    """Write a page to a file, whole or not at all."""
    with atomic_write(target) as file:
        file.write(page.encode("utf-8", "replace"))


def check_free(target: Path, kind: str) -> None:
    """Raise where something is in the way that is no page of this kind, as the page's head names it."""
    if target.is_dir():
        raise RunFolderError(
            f"{target} is a folder; give a file for the page, such as {target / 'report.html'}"
        )
    if not target.exists():
        return
    with target.open("rb") as file:
        if kind.encode() not in file.read(4096):
            raise RunFolderError(f"{target} exists and is no {kind}; it stays as it is, choose another --out")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "count", "size", "duration", "date", "clip", "rows"):
        environment.filters[name] = getattr(text, name)
    return environment


def _shown(value: object) -> object:
    """What a page prints for a value: nothing unseen in text, a dash for what is absent."""
    if value is None or isinstance(value, jinja2.Undefined):
        return text.ABSENT
    if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
        return text.visible(value)
    return value
