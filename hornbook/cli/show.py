"""Showing what a run or a recipe is made of, and what it needs."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from rich.table import Table

from hornbook.base.config import to_dict
from hornbook.base.files import read_json
from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, flops_per_token, on_meta
from hornbook.model.drawing import parts
from hornbook.model.kernels import kernels_of
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.parallel.recompute import Recomputation
from hornbook.recipes.lesson import Lesson, console, size_in_bytes
from hornbook.recipes.needs import Needs
from hornbook.recipes.shapes import RECIPES, resolve
from hornbook.recipes.tokenized import Tokenized
from hornbook.recipes.verdicts import expectations
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS

RECOMPUTATIONS: tuple[Recomputation, ...] = ("none", "selective", "block")


def show_config(what: str, overrides: list[str]) -> None:
    """Print a model's drawing, what it needs, a run's results where there are any, and the configuration."""
    config = resolve(what, overrides)
    if tokens := Tokenized.find(config.data):
        config = tokens.settle(config, overrides)
    lesson = Lesson(console())
    lesson.title(what)
    if recipe := RECIPES.get(what):
        lesson.say(_about(recipe))
    lesson.drawing(parts(config.model), count_parameters(on_meta(config.model)))
    lesson.fact("arithmetic", _arithmetic(config))
    for name, value in expectations(what, config):
        lesson.fact(name, value)
    results = Path(what) / "results.json"
    if results.is_file():
        held_out = read_json(results)["held_out"]
        lesson.fact(
            "held out", f"{held_out['bits_per_byte']:.3f} bits per byte on {held_out['bytes']:,} bytes"
        )
    needs = Needs(config)
    _show_kernels(lesson, config, needs)
    _show_groups(lesson, needs)
    _show_learning(lesson, config, needs)
    _show_writing(lesson, config, needs)
    lesson.heading("configuration")
    lesson.console.print_json(json.dumps(to_dict(config)))


def _about(recipe: Callable[..., RunConfig]) -> str:
    """What a recipe says of itself: paragraphs, and its rules a line each."""
    return re.sub(r"(?<!\n)\n(?!\n|[a-z ]+: )", " ", inspect.getdoc(recipe) or "")


def _arithmetic(config: RunConfig) -> str:
    """The operations for one token."""
    flops = flops_per_token(on_meta(config.model), config.data.seq_len)
    what = "for a token of each text" if isinstance(config.model, Seq2SeqConfig) else "to read one token"
    return f"{_flops(flops)} {what}, {_flops(3 * flops)} to learn from it"


def _show_groups(lesson: Lesson, needs: Needs) -> None:
    """The optimizer's groups: which weights are updated by which rule, how fast, and what decays."""
    lesson.heading("optimizer", "peak rates; the schedule says what share of them a step takes")
    table = Table.grid(padding=(0, 3))
    table.add_row("weights of", "rule", "tensors", "numbers", "rate", "decay", style="dim")
    for group in needs.groups():
        counts = f"{group.tensors:,}", f"{group.parameters:,}"
        table.add_row(group.role, group.rule, *counts, f"{group.learning_rate:g}", f"{group.weight_decay:g}")
    for column in table.columns[2:]:
        column.justify = "right"
    lesson.table(table)


def _show_learning(lesson: Lesson, config: RunConfig, needs: Needs) -> None:
    """The memory of a training step: as configured, with other recomputation, with one row at a time."""
    train, batch_size = config.train, config.data.batch_size
    own = train.rows_at_once or batch_size
    ways: list[tuple[int, Recomputation]] = [(own, how) for how in RECOMPUTATIONS]
    ways += [] if own == 1 else [(1, train.recompute)]
    with lesson.bar("counting") as progress:
        found = []
        for i, way in enumerate(ways):
            progress(i, len(ways))
            found.append(needs.learning(*way))
        rest = needs.at_rest
    where = f"on {_device(needs)} in {needs.precision}"
    lesson.heading("memory to learn", f"{where}, rows of {config.data.seq_len:,} tokens")
    lesson.fact("weights", size_in_bytes(rest.weights))
    lesson.fact("gradients", size_in_bytes(rest.gradients))
    lesson.fact("optimizer", f"{size_in_bytes(rest.optimizer)}, which {train.optimizer.kind} remembers")
    table = Table.grid(padding=(0, 3))
    table.add_row("rows at once", "recompute", "kept for backward", "most at any moment", "", style="dim")
    for (rows, how), learning in zip(ways, found, strict=True):
        is_own = (rows, how) == (own, train.recompute)
        kept, most = size_in_bytes(learning.kept), size_in_bytes(needs.step_peak(learning))
        table.add_row(
            f"{rows:,}", how, kept, most, "this run" if is_own else "", style="bold" if is_own else ""
        )
    for i in (0, 2, 3):
        table.columns[i].justify = "right"
    lesson.table(table)
    lesson.say("What tensors hold; the program, and freed memory that is kept for later, come on top.", "dim")


def _show_kernels(lesson: Lesson, config: RunConfig, needs: Needs) -> None:
    """What attention is computed by, layer kind by layer kind: a run writes in the type of its weights."""
    lesson.heading("kernels of attention", f"on {_device(needs)}")
    table = Table.grid(padding=(0, 3))
    table.add_row(
        *("", f"learning in {needs.precision}", "a prompt in float32", "the next token"), style="dim"
    )
    learning, writing = (
        kernels_of(config.model, needs.device, dtype, config.data.seq_len)
        for dtype in (PRECISIONS[needs.precision], torch.float32)
    )
    for learn, write in zip(learning, writing, strict=True):
        name = f"{learn.side} {learn.name}".strip()
        table.add_row(name, learn.learning, write.prompt, write.next_token or "")
    lesson.table(table)


def _device(needs: Needs) -> str:
    """The device that was counted for, in words."""
    return "the CPU" if needs.device.type == "cpu" else str(needs.device)


def _show_writing(lesson: Lesson, config: RunConfig, needs: Needs) -> None:
    """The memory of reading as much as a model takes, and of going on with it where it writes."""
    writes = isinstance(config.model, ModelConfig | Seq2SeqConfig)
    model = on_meta(config.model)
    lesson.heading(
        "memory to write" if writes else "memory to read", f"after {model.max_seq_len:,} tokens, read at once"
    )
    table = Table.grid(padding=(0, 3))
    dtypes = (torch.float32, torch.bfloat16)
    weights = [count_parameters(model) * dtype.itemsize for dtype in dtypes]
    reading = [needs.writing(dtype) for dtype in dtypes]
    table.add_row("", *(str(dtype).removeprefix("torch.") for dtype in dtypes), style="dim")
    table.add_row("weights", *map(size_in_bytes, weights))
    if writes:
        table.add_row("cache", *(size_in_bytes(each.lasting) for each in reading))
    most = [size_in_bytes(w + each.peak) for w, each in zip(weights, reading, strict=True)]
    table.add_row("most at any moment", *most, style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    lesson.table(table)


def _flops(number: float) -> str:
    """A number of operations in the unit that suits it."""
    for factor, unit in ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP")):
        if number >= factor:
            return f"{number / factor:,.1f} {unit}"
    return f"{number / 1e3:,.1f} kFLOP"
