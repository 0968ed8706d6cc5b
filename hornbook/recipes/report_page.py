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

from hornbook.base.files import atomic_write
from hornbook.recipes import report_text as text


def render_page(template: str, **values: Any) -> str:
    """Return a page as HTML; the same values always give the same page."""
    return _environment().get_template(template).render(**values)


def write_page(target: Path, page: str) -> None:
    """Write a page to a file, whole or not at all."""
    with atomic_write(target) as file:
        file.write(page.encode("utf-8", "replace"))


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
