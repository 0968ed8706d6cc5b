"""The quickstart: from nothing to a language model in minutes, told as a lesson.

It walks the same road as `train`, with a word at every stage and one more thing between the shards and
the model: the dial, which measures this machine and derives size and steps from the minutes given.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hornbook import __version__
from hornbook.base.errors import RunFolderError, TextError
from hornbook.base.files import read_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.loader import WindowLoader
from hornbook.data.shards import TokenCounts, TokenShards
from hornbook.model.count import count_parameters, matrix_parameters, on_meta, parts, training_flops_per_token
from hornbook.model.models import CausalLM
from hornbook.plan.dial import Candidate, Plan, choose
from hornbook.plan.machine import seconds_per_call
from hornbook.recipes import words
from hornbook.recipes.lesson import Lesson
from hornbook.recipes.road import Interrupted, Road
from hornbook.recipes.shapes import SIZES, quickstart, resolve
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, resolve_device, resolve_precision
from hornbook.train.objectives import next_token
from hornbook.train.optimizer import Optimizer
from hornbook.train.run import load
from hornbook.train.step import train_step

DEFAULT_MINUTES = 4.5
DEFAULT_SIZE = 4
PROBE_SIZE = 4
MOST_BYTES_PER_TOKEN = 5
"""More than any vocabulary of this recipe packs into a token of ordinary text."""


@dataclass(frozen=True)
class Request:
    """What the person asked for."""

    text: tuple[str, ...] = ()
    """Files and folders; empty: the standard library of this Python."""
    minutes: float | None = None
    """Training time; None: the default, or whatever `steps` take."""
    steps: int | None = None
    """Optimizer steps; None: what fits into the minutes."""
    size: int | None = None
    """The model's size; None: derived from the minutes, or the default where only steps are given."""
    seed: int = 0
    """All randomness follows from it."""

    def command(self, out: Path) -> str:
        """The request as it is typed."""
        typed = [words.program(), "quickstart"]
        typed += [word for path in self.text for word in ("--text", path)]
        for name in ("minutes", "steps", "size"):
            value = getattr(self, name)
            typed += [] if value is None else [f"--{name}", f"{value:g}"]
        return shlex.join([*typed, "--seed", str(self.seed), "--out", str(out)])


def run_quickstart(
    request: Request, out: str | os.PathLike[str], lesson: Lesson, overwrite: bool = False
) -> None:
    """Build a model, or go on with one that was interrupted, or say what is there already."""
    folder = RunFolder(out)
    lesson.title(f"Hornbook {__version__}: a language model from nothing")
    if folder.exists and not overwrite:
        _check_same_request(folder, request)
        if folder.is_finished:
            _tell_what_is_there(folder, lesson)
            return
    moved = folder.create(overwrite, resume=True)
    if moved:
        lesson.say(f"The former {folder.path} is kept as {moved}.")
    road = Road(folder, _first_config(request), lesson.bar)
    going_on = folder.config_path.exists()
    if going_on:
        road.config = resolve(folder.path)
        lesson.say(f"{folder.path} holds a run that was interrupted; it goes on from its last save.")
        lesson.stage = words.TRAINING_STAGE - 1
    else:
        _prepare(road, request, lesson)
    _train_and_measure(road, request, lesson, resume=going_on)


def _prepare(road: Road, request: Request, lesson: Lesson) -> None:
    """Stages 1 to 5: corpus, tokenizer, shards, the dial, the model."""
    road.begin(request.command(road.folder.path), request=_plain(request))
    lesson.begin("Text", words.TEXT if not request.text else words.OWN_TEXT)
    ledger = road.build_corpus()
    lesson.ledger(ledger)
    _check_enough(ledger, road.config)
    road.config = resolve(road.config, [f"tokenizer.vocab_size={vocabulary_for(ledger['out']['bytes'])}"])

    lesson.begin("Tokenizer", words.TOKENIZER)
    tokenizer = road.train_tokenizer()
    lesson.merges(tokenizer.merges)

    lesson.begin("Token shards", words.SHARDS)
    counts = road.write_shards(tokenizer)
    for part, count in counts.items():
        lesson.fact(
            part.replace("_", " "), f"{count.tokens:,} tokens, {count.bytes_per_token:.2f} bytes a token"
        )
    sample = read_json(road.folder.path / "run.json")["tokenizer"]["sample"]
    lesson.tokens([piece for piece, _ in sample])

    lesson.begin("Plan", words.PLAN)
    plan = _plan(road, request, counts["train"], tokenizer)
    lesson.choices(plan.choices)
    road.config = _with_plan(road.config, plan)
    road.settle()
    exact = replace(request, minutes=None, steps=plan.steps, size=plan.size)
    dial = [vars(choice) for choice in plan.choices]
    road.folder.update_run(dial=dial, reproduce=exact.command(road.folder.path))

    lesson.begin("Model", words.MODEL)
    lesson.drawing(parts(road.config.model), count_parameters(on_meta(road.config.model)))


def _train_and_measure(road: Road, request: Request, lesson: Lesson, resume: bool) -> None:
    """Stages 6 to 8: training, evaluation, samples; then the report and what to type next."""
    lesson.begin("Training", words.TRAINING)
    if not road.fit(road.folder.read_tokenizer(), resume=resume, listen=lesson.hear):
        raise Interrupted(
            f"stopped; everything is saved. To go on, type: {request.command(road.folder.path)}"
        )
    lesson.begin("Measuring", words.MEASURING)
    results = road.evaluate(load(road.folder.path, device=road.config.train.device))
    held_out = results["held_out"]
    lesson.yardsticks(held_out["bits_per_byte"], held_out["yardsticks"])
    lesson.begin("Samples", words.SAMPLES)
    for sample in results["samples"]:
        lesson.sample(sample["prompt"], sample["text"])
    report = road.finish()
    lesson.say(f"Everything is in {road.folder.path}; the whole story is in {report}.")
    lesson.commands(words.next_commands(road.folder.path))


def _first_config(request: Request) -> RunConfig:
    config = quickstart(request.size or DEFAULT_SIZE)
    path = json.dumps(request.text or config.data.path)
    return resolve(config, [f"seed={request.seed}", f"data.path={path}"])


def _with_plan(config: RunConfig, plan: Plan) -> RunConfig:
    """The recipe at the planned size, with everything that was settled before kept."""
    sized = quickstart(plan.size, config.tokenizer.vocab_size)
    often = max(1, plan.steps // 5)
    train = sized.train.model_copy(
        update={
            "steps": plan.steps,
            "validate_every": often,
            "sample_every": often,
            "save_every": max(1, plan.steps // 10),
        }
    )
    return config.model_copy(update={"model": sized.model, "train": train})


def _plan(road: Road, request: Request, counts: TokenCounts, tokenizer: Tokenizer) -> Plan:
    """Size and steps: as asked for, else from the minutes and the measured speed."""
    sizes = SIZES if request.size is None else (request.size,)
    if request.steps is not None and request.minutes is None:
        return words.as_asked(request.size or DEFAULT_SIZE, request.steps)
    rate = _measured_speed(road, request.size or PROBE_SIZE, tokenizer)
    seconds = 60 * (request.minutes if request.minutes is not None else DEFAULT_MINUTES)
    candidates = [_candidate(size, road.config) for size in sizes]
    plan = choose(candidates, flops_per_second=rate, seconds=seconds, corpus_tokens=counts.tokens)
    return plan if request.steps is None else words.as_asked(plan.size, request.steps)


def _candidate(size: int, config: RunConfig) -> Candidate:
    model = on_meta(quickstart(size, config.tokenizer.vocab_size).model)
    tokens = config.data.seq_len * config.data.batch_size
    flops = float(training_flops_per_token(model, config.data.seq_len) * tokens)
    return Candidate(size, matrix_parameters(model), flops, tokens)


def _measured_speed(road: Road, size: int, tokenizer: Tokenizer) -> float:
    """Useful floating-point operations a second in real training steps of one size, on this machine."""
    config = quickstart(size, road.config.tokenizer.vocab_size)
    device = resolve_device(config.train.device)
    precision = PRECISIONS[resolve_precision(config.train.precision, device)]
    model = CausalLM(config.model, seed=0).to(device)
    optimizer = Optimizer(model, config.train.optimizer, precision)
    objective = next_token(torch.from_numpy(tokenizer.byte_lengths))
    shards = TokenShards(road.folder.path / "data" / "train")
    loader = WindowLoader(
        shards, seq_len=config.data.seq_len, batch_size=config.data.batch_size, seed=0, document_mask=True
    )
    batch = loader.batch(0)

    def step() -> None:
        train_step(model, batch, objective, optimizer, learning_rate_share=1.0, precision=precision)

    with road.watch("measuring"):
        return _candidate(size, config).flops_per_step / seconds_per_call(step)


def vocabulary_for(n_bytes: int) -> int:
    """A vocabulary the text can fill: doubled with every fourfold of text, 4096 from 4 MB up."""
    if n_bytes >= 4_000_000:
        return 4096
    return 2048 if n_bytes >= 1_000_000 else 1024 if n_bytes >= 100_000 else 512


def _check_enough(ledger: dict[str, Any], config: RunConfig) -> None:
    """Refuse text that cannot fill a single batch, before any time is spent on it."""
    needed = (config.data.batch_size + 1) * config.data.seq_len * MOST_BYTES_PER_TOKEN
    found = ledger["out"]["bytes"]
    if found < needed:
        raise TextError(
            f"the text has {found:,} bytes, too few to train on: give at least {needed:,} "
            "(a model that writes words wants a megabyte or more)"
        )


def _check_same_request(folder: RunFolder, request: Request) -> None:
    """A folder that holds another request's run is not touched."""
    path = folder.path / "run.json"
    if not path.is_file():
        return
    asked = read_json(path).get("request")
    if asked is not None and asked != _plain(request):
        differing = [f"{k} was {asked.get(k)!r}" for k, v in _plain(request).items() if asked.get(k) != v]
        raise RunFolderError(
            f"{folder.path} holds a run with other options ({', '.join(differing)}); choose another --out, "
            "or start over with --overwrite (the old run is kept under another name)"
        )


def _tell_what_is_there(folder: RunFolder, lesson: Lesson) -> None:
    held_out = read_json(folder.path / "results.json")["held_out"]
    lesson.say(
        f"{folder.path} already holds a finished model: {held_out['bits_per_byte']:.3f} bits per byte on "
        "held-out text. Nothing was done."
    )
    lesson.commands([*words.next_commands(folder.path), words.start_over(folder.path)])


def _plain(request: Request) -> dict[str, Any]:
    """The request as JSON data."""
    return {**vars(request), "text": list(request.text)}
