"""The page of a scaling law: its runs as dots, the law as lines, its errors, and how it splits a budget.

    write_law_page(known, Path("law.html"))

The numbers are those of `plan.scaling`; `report_page` turns them into HTML that needs no network.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hornbook import __version__
from hornbook.base.amounts import short_amount
from hornbook.plan.law_file import KnownLaw, LawFile
from hornbook.plan.scaling import typical_error
from hornbook.recipes.report_chart import Line, draw
from hornbook.recipes.report_page import render_page, write_page

KIND = "scaling law"
N_COLOURS = 6
N_PLACES = 40
"""Points of a line."""

View = dict[str, Any]


def write_law_page(known: KnownLaw, target: Path) -> None:
    """Write the page of a fitted law."""
    assert known.file is not None
    chapters = [
        ("curves", "What more text gives", _curves(known.law, known.file)),
        ("split", "How to split a budget", _split(known)),
        ("runs", "The runs", _runs(known.file)),
    ]
    page = render_page(
        "law.html.jinja", kind=KIND, version=__version__, front=_front(known, known.file), chapters=chapters
    )
    write_page(target, page)


def _front(known: KnownLaw, file: LawFile) -> View:
    law = known.law
    return {
        "name": Path(known.name).name,
        "formula": f"L = {law.E:.3f} + {law.A:.4g} / N^{law.alpha:.3f} + {law.B:.4g} / D^{law.beta:.3f}",
        "error": 100 * typical_error(file.runs, law),
        "runs": len(file.runs),
        "text": file.text,
        "vocab_size": file.vocab_size,
        "sizes": [short_amount(x) for x in known.span.parameters],
        "lengths": [short_amount(x) for x in known.span.tokens],
    }


def _curves(law: Any, file: LawFile) -> View:
    """Loss over tokens, a colour for each size."""
    sizes = sorted({run.parameters for run in file.runs})
    low, high = (math.log10(f(run.tokens for run in file.runs)) for f in (min, max))
    places = [low + (high - low) * i / N_PLACES for i in range(N_PLACES + 1)]
    lines, legend = [], []
    for number, size in enumerate(sizes):
        colour = f"s{number % N_COLOURS}"
        name = f"{short_amount(size)} weights"
        lines.append(Line("", f"law {colour}", [(x, law.loss(size, 10**x)) for x in places]))
        dots = [(math.log10(run.tokens), run.loss) for run in file.runs if run.parameters == size]
        lines.append(Line(name, f"dots {colour}", dots))
        legend.append((colour, name))
    marks = sorted({run.tokens for run in file.runs})
    chart = draw(
        "nats a token",
        lines,
        axis="tokens",
        x_marks=[(math.log10(tokens), short_amount(tokens)) for tokens in marks],
    )
    return {"chart": chart, "legend": legend}


def _split(known: KnownLaw) -> View:
    """The best size and length for budgets from that of the runs on."""
    first = math.floor(math.log10(known.span.flops[0])) + 1
    rows = []
    for power in range(first, first + 7):
        parameters, tokens = known.law.optimum(10.0**power)
        expected = known.expect(parameters, tokens)
        rows.append(
            {
                "power": power,
                "parameters": short_amount(parameters),
                "tokens": short_amount(tokens),
                "each": tokens / parameters,
                "expected": expected,
                "reach": known.reach(parameters=parameters, tokens=tokens),
            }
        )
    return {"rows": rows}


def _runs(file: LawFile) -> View:
    """Every run with what the law says of it."""
    return {
        "rows": [
            {
                "name": run.name,
                "parameters": run.parameters,
                "tokens": run.tokens,
                "loss": run.loss,
                "says": file.law.loss(run.parameters, run.tokens),
                "error": 100 * (file.law.loss(run.parameters, run.tokens) / run.loss - 1),
            }
            for run in sorted(file.runs, key=lambda run: (run.parameters, run.tokens))
        ]
    }
