"""The tokenizer report: one self-contained page on what a vocabulary makes of your texts, beside others.

    write_tokenizer_report(["flores200/devtest"], "report.html", tokenizers=["vocabularies/books"])

The figures are made in `tokenizer_figures`, the chapters in `tokenizer_sections`, and `report_page` turns
them into HTML, as it does for the report of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hornbook import __version__
from hornbook.base.errors import Interrupted
from hornbook.base.progress import Watch, unwatched
from hornbook.corpus.readers import PathLike
from hornbook.recipes.report_page import check_free, render_page, write_page
from hornbook.recipes.tokenizer_figures import Figures, measure
from hornbook.recipes.tokenizer_sections import SECTIONS, front
from hornbook.recipes.vocabulary_sweep import SIZES

KIND = "tokenizer report"
"""What the page calls itself in its title."""


def write_tokenizer_report(
    paths: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    tokenizers: Sequence[PathLike] = (),
    compare: Sequence[PathLike] = (),
    sizes: Sequence[int] = SIZES,
    watch: Watch = unwatched,
) -> Figures:
    """Measure tokenizers on texts and write the page; return the figures it shows.

    Each file in `paths`, and each thing in a folder there, is one kind of text. `tokenizers` are one's own
    and `compare` the files or folders of others (none: those at hand, see `at_hand.compared`); `sizes` are
    those of the vocabulary sweep, none for no sweep. A page of ours in `out` is replaced, another file never.
    """
    target = Path(out)
    check_free(target, KIND)
    try:
        figures = measure(paths, tokenizers=tokenizers, compare=compare, sizes=sizes, watch=watch)
        page = render(figures)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_page(target, page)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {target} was not written") from None
    return figures


def render(figures: Figures) -> str:
    """Return the page as HTML; the same figures always give the same page."""
    chapters = [(name, title, view) for name, title, build in SECTIONS if (view := build(figures))]
    return render_page(
        "tokenizer_report.html.jinja", kind=KIND, version=__version__, front=front(figures), chapters=chapters
    )
