"""Showing what a run or a recipe is made of."""

from __future__ import annotations

import json
from pathlib import Path

from hornbook.base.config import to_dict
from hornbook.base.files import read_json
from hornbook.model.count import count_parameters, on_meta, parts, training_flops_per_token
from hornbook.recipes.lesson import Lesson, console
from hornbook.recipes.shapes import resolve


def show_config(what: str, overrides: list[str]) -> None:
    """Print a model's drawing, its counts, a run's results where there are any, and the configuration."""
    config = resolve(what, overrides)
    model = on_meta(config.model)
    lesson = Lesson(console())
    lesson.title(what)
    lesson.drawing(parts(config.model), count_parameters(model))
    flops = training_flops_per_token(model, config.data.seq_len)
    lesson.fact("arithmetic", f"{flops / 1e6:,.1f} MFLOP to learn from one token")
    results = Path(what) / "results.json"
    if results.is_file():
        held_out = read_json(results)["held_out"]
        lesson.fact(
            "held out", f"{held_out['bits_per_byte']:.3f} bits per byte on {held_out['bytes']:,} bytes"
        )
    lesson.say("configuration", "bold")
    lesson.console.print_json(json.dumps(to_dict(config)))
