"""The chapters of the tokenizer report as plain data: one function for each, from the figures to its view.

A view is a dictionary that the macro of the same name in `tokenizer_sections.html.jinja` turns into
HTML; None leaves the chapter out. `SECTIONS` lists them in the order of the page. Nothing here measures, or
knows HTML.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from hornbook.recipes.report_chart import Chart, Line, draw
from hornbook.recipes.report_text import number, quoted, spread
from hornbook.recipes.text_kinds import Kind
from hornbook.recipes.tokenizer_figures import Figures
from hornbook.recipes.vocabulary import longest, ordinary_tokens
from hornbook.recipes.vocabulary_sweep import Point
from hornbook.tokenizer.trace import pieces

View = dict[str, Any]
N_COLOURS = 6
N_TOKENS = 30
"""Most tokens shown of one sort."""
N_CUTS = 6
"""Most kinds of which a line is shown cut up."""
CUT_LENGTH = 240
"""Characters shown of such a line."""
RUN = 4
"""Tokens of so many equal characters or more are shown as odd."""
N_EXAMPLES = 6
"""Tokens shown of each sort below."""
WORD, LETTERS = "words and their beginnings, after a space", "letters without a space before them"
DIGITS, SIGNS, SPACE, PART = "digits", "signs", "white space", "parts of characters"
SORTS = (WORD, LETTERS, DIGITS, SIGNS, SPACE, PART)
"""What tokens are, for a person."""


def front(figures: Figures) -> View:
    """The head of the page."""
    best = max(figures.tokenizers, key=lambda each: figures.overall(each.name))
    measured = [found for found in figures.table[figures.own.name].values()]
    return {
        "name": figures.own.name,
        "vocab_size": figures.own.tokenizer.vocab_size,
        "bytes_per_token": figures.overall(figures.own.name),
        "kinds": len(figures.kinds),
        "bytes": sum(found.bytes for found in measured),
        "summary": _summary(figures, best.name),
        "trained_here": figures.trained_here,
        "lossy": figures.lossy,
    }


def _summary(figures: Figures, best: str) -> str:
    own = figures.own.name
    said = f"One token of {own} stands for {number(figures.overall(own))} bytes of this text on average"
    if best != own:
        return f"{said}; the best here, {best}, packs {number(figures.overall(best))} into one."
    return f"{said}{', more than any other here' if len(figures.tokenizers) > 1 else ''}."


def _overall(figures: Figures) -> View | None:
    """Bytes per token over everything, as bars."""
    values = {each.name: figures.overall(each.name) for each in figures.tokenizers}
    top = max(values.values())
    bars = [
        {
            "name": each.name,
            "own": place < figures.n_own,
            "value": values[each.name],
            "share": 100 * values[each.name] / top,
            "vocab_size": each.tokenizer.vocab_size,
        }
        for place, each in enumerate(figures.tokenizers)
    ]
    return {"bars": bars, "trained_here": figures.trained_here}


def _kinds(figures: Figures) -> View | None:
    """A row for each kind, a column for each tokenizer."""
    rows: list[View] = []
    for kind in figures.kinds:
        found = [figures.table[each.name][kind.name] for each in figures.tokenizers]
        best, broken = max(each.bytes_per_token for each in found), found[0].fragment_share
        rows.append(
            {
                "name": kind.name,
                "bytes": found[0].bytes,
                "cells": [(each.bytes_per_token, each.bytes_per_token == best) for each in found],
                "words": found[0].tokens_per_word,
                "fragments": None if broken is None else 100 * broken,
            }
        )
    rows.sort(key=lambda row: -row["cells"][0][0])
    names = [each.name for each in figures.tokenizers]
    return {"names": names, "rows": rows, "cut": [kind.name for kind in figures.kinds if kind.cut]}


def _sweep(figures: Figures) -> View | None:
    """Bytes per token against the size of the vocabulary."""
    if figures.swept is None:
        return None
    points = figures.swept.points
    gains = [100 * (b.bytes_per_token / a.bytes_per_token - 1) for a, b in itertools.pairwise(points)]
    rows = [
        {
            "vocab_size": point.vocab_size,
            "value": point.bytes_per_token,
            "gain": gain,
            "used": 100 * point.used_share,
        }
        for point, gain in zip(points, [None, *gains], strict=True)
    ]
    reached, asked = points[-1].vocab_size, figures.swept.asked
    return {
        "chart": _sweep_chart(points, figures),
        "rows": rows,
        "pattern": figures.swept.tokenizer.pattern,
        "reached": reached,
        "asked": asked if reached < asked else None,
    }


def _sweep_chart(points: Sequence[Point], figures: Figures) -> Chart | None:
    """The sweep as a line, doublings evenly apart, and each of the other tokenizers as a dot."""
    dots = [
        (place, each.name, Point(each.tokenizer.vocab_size, figures.held_out[each.name], 0.0))
        for place, each in enumerate(figures.tokenizers)
        if place or not figures.trained_here
    ]
    lines = [Line("trained on nine tenths of this text", "average", list(map(_place, points)))]
    lines += [Line(name, f"dots s{_colour(place)}", [_place(point)]) for place, name, point in dots]
    hover = [_told(point) for point in points]
    hover += [_told(point, name) for _, name, point in dots]
    marks = [(float(power), f"{2 ** (power - 10)}k") for power in range(10, 20)]
    return draw("bytes per token", lines, sorted(hover), axis="tokens in the vocabulary", x_marks=marks)


def _place(point: Point) -> tuple[float, float]:
    """Where a vocabulary stands in the chart."""
    return math.log2(point.vocab_size), point.bytes_per_token


def _told(point: Point, *name: str) -> tuple[float, list[str]]:
    """What the pointer tells of a vocabulary."""
    size = f"{point.vocab_size:,} tokens"
    return _place(point)[0], [*name, size, f"{point.bytes_per_token:.2f} bytes per token"]


def _fairness(figures: Figures) -> View | None:
    """What each language costs, as bars for one's own tokenizer with the others as dots on them."""
    if len(figures.kinds) < 2:
        return None
    own, costs = figures.own.name, _costs(figures)
    top = max(cost for by_kind in costs.values() for cost in by_kind.values())
    colours = [(_colour(place), each.name) for place, each in enumerate(figures.tokenizers)]
    rows = [
        {
            "name": kind,
            "value": cost,
            "share": 100 * cost / top,
            "others": [
                (colour, 100 * costs[name][kind] / top, name, costs[name][kind])
                for colour, name in colours[1:]
            ],
        }
        for kind, cost in sorted(costs[own].items(), key=lambda item: item[1])
    ]
    view: View = {"own": own, "rows": rows, "legend": colours, "fair": list(figures.fair.items())}
    if figures.same_lines:
        view["lines"] = len(figures.same_lines[0].lines)
        view["base_share"] = 100 / top
        view["apart"] = [kind.name for kind in figures.kinds if kind not in figures.same_lines]
    return view


def _costs(figures: Figures) -> dict[str, dict[str, float]]:
    """Tokens over those of the base; where the texts differ, tokens of 1,000 characters."""
    if figures.same_lines:
        return {name: dict(found.premiums) for name, found in figures.fair.items()}
    return {
        name: {kind: 1000 / found.characters_per_token for kind, found in by_kind.items()}
        for name, by_kind in figures.table.items()
    }


def _cuts(figures: Figures) -> View | None:
    """One line of some kinds, cut by one's own tokenizer."""
    chosen = _some_kinds(figures)
    tokenizer = figures.own.tokenizer
    cuts = []
    for kind in chosen:
        line = _line(kind)[:CUT_LENGTH]
        ids = tokenizer.encode(line, disallowed_special=())
        shown = pieces(tokenizer, ids)
        tokens = [(token.decode("utf-8", "replace"), place % 5) for place, token in enumerate(shown)]
        cuts.append({"name": kind.name, "tokens": tokens, "n": len(ids), "characters": len(line)})
    return {"cuts": cuts, "same": bool(figures.same_lines), "own": figures.own.name}


def _some_kinds(figures: Figures) -> list[Kind]:
    """Kinds from the best packed to the worst; where some are parallel only these, to compare one line."""
    found = figures.table[figures.own.name]
    kinds = figures.same_lines or figures.kinds
    ordered = sorted(kinds, key=lambda kind: -found[kind.name].characters_per_token)
    return spread(ordered, N_CUTS)


def _line(kind: Kind) -> str:
    """A line to show: of parallel kinds always the same one, so the first that has words."""
    return next((line.strip() for line in kind.lines if line.strip()), "")


def _tokens(figures: Figures) -> View | None:
    """What the vocabulary consists of, its longest tokens and its odd ones; None where ids have no bytes."""
    tokens, uses = ordinary_tokens(figures.own.tokenizer), figures.uses.tolist()
    if not tokens:
        return None
    by_sort: dict[str, list[int]] = {name: [] for name in SORTS}
    for place, token in tokens.items():
        by_sort[_sort(token)].append(place)
    sorts = [
        {
            "name": name,
            "count": len(places),
            "share": 100 * len(places) / len(tokens),
            "used": 100 * sum(uses[place] for place in places) / max(1, sum(uses)),
            "examples": [quoted(tokens[place]) for place in _commonest(places, uses)],
        }
        for name, places in by_sort.items()
    ]
    unused = [token for place, token in tokens.items() if uses[place] == 0 and len(token) > 1]
    runs = [token for token in tokens.values() if _is_run(token)]
    return {
        "own": figures.own.name,
        "n": len(tokens),
        "sorts": sorts,
        "longest": [quoted(token) for token in longest(tokens.values(), N_TOKENS)],
        "runs": [quoted(token) for token in longest(runs, N_TOKENS)],
        "unused": [quoted(token) for token in unused[:N_TOKENS]],
        "n_unused": len(unused),
        "unused_share": 100 * len(unused) / len(tokens),
    }


def _commonest(places: Sequence[int], uses: Sequence[int]) -> list[int]:
    """The ids among some that occur most."""
    return [place for place in sorted(places, key=lambda place: -uses[place])[:N_EXAMPLES] if uses[place]]


def _sort(token: bytes) -> str:
    """Which of `SORTS` a token is."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return PART
    if text.isspace():
        return SPACE
    if any(letter.isalpha() for letter in text):
        return WORD if text[0] == " " else LETTERS
    return DIGITS if any(letter.isnumeric() for letter in text) else SIGNS


def _is_run(token: bytes) -> bool:
    """Whether a token is one character again and again, with or without a space before it."""
    text = token.decode("utf-8", "replace")
    return len(text) >= RUN and len(set(text.strip() or text)) == 1


def _colour(place: int) -> int:
    """The colour of a tokenizer: 0 is that of one's own."""
    return 0 if place == 0 else 1 + (place - 1) % (N_COLOURS - 1)


def _reading(figures: Figures) -> View | None:
    """What was read and what was left out."""
    dropped = [
        {"reason": reason, **entry.count.to_dict()}
        for reason, entry in figures.step.dropped.items()
        if entry.count.documents
    ]
    return {
        "kinds": len(figures.kinds),
        "bytes": sum(found.bytes for found in figures.table[figures.own.name].values()),
        "trained_here": figures.trained_here,
        "dropped": dropped,
        "left_out": figures.left_out,
    }


SECTIONS: tuple[tuple[str, str, Callable[[Figures], View | None]], ...] = (
    ("overall", "How tightly it packs", _overall),
    ("kinds", "Text by text", _kinds),
    ("sweep", "How large a vocabulary", _sweep),
    ("fairness", "How even it is", _fairness),
    ("cuts", "How it cuts", _cuts),
    ("tokens", "What is in it", _tokens),
    ("reading", "What was read", _reading),
)
"""The chapters in order: macro in the template, title, and the function that gathers its data."""
