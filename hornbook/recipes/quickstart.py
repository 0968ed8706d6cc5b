"""The quickstart: from nothing to a language model in minutes, told as a lesson.

It walks the same road as `train`, with a word at every stage and one more thing between the shards and
the model: the dial, which measures this machine and derives size and steps from the minutes given.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hornbook import __version__
from hornbook.base.errors import ConfigError, RunFolderError, TextError
from hornbook.base.files import read_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.corpus.pipeline import read_corpus
from hornbook.data.shards import TokenCounts, TokenShards
from hornbook.data.sources import make_loader
from hornbook.model.count import count_parameters, matrix_parameters, on_meta, training_flops_per_token
from hornbook.model.drawing import parts
from hornbook.plan.dial import Candidate, Plan, choose
from hornbook.recipes import words
from hornbook.recipes.lesson import Lesson
from hornbook.recipes.road import Road
from hornbook.recipes.shapes import SIZES, quickstart, resolve
from hornbook.recipes.speed import training_speed
from hornbook.recipes.stops import check_not_imported, claim, run_folder, stoppable
from hornbook.train.config import RunConfig
from hornbook.train.run import load

TITLE = f"Hornbook {__version__}: a language model from nothing"
DEFAULT_MINUTES = 4.5
DEFAULT_SIZE = 4
PROBE_SIZE = 4
MOST_DOCUMENTS, MOST_CHARACTERS = 100, 10_000
"""How much held-out text is looked through for the beginnings of samples."""
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

    def command(self, out: str | os.PathLike[str], *more: str) -> str:
        """The request as it is typed."""
        options = [word for path in self.text for word in ("--text", path)]
        for name in ("minutes", "steps", "size"):
            value = getattr(self, name)
            options += [] if value is None else [f"--{name}", str(value)]
        options += ["--seed", str(self.seed)] if self.seed else []
        return words.typed("quickstart", *options, "--out", out, *more)

    def check(self) -> None:
        """Refuse what cannot be done, before any work."""
        if self.minutes is None:
            return
        if self.steps is not None:
            raise ConfigError("--minutes and --steps both say how long to train; give one of them")
        if not 0 < self.minutes < math.inf:
            raise ConfigError(f"--minutes is a number above 0, such as 4.5, not {self.minutes:g}")


def run_quickstart(
    request: Request, out: str | os.PathLike[str], lesson: Lesson, overwrite: bool = False
) -> None:
    """Build a model, or go on with one that was interrupted, or say what is there already."""
    request.check()
    folder = run_folder(out)
    if not overwrite:
        check_not_imported(folder)
        _check_same_request(folder, request)
    if not overwrite and folder.is_finished:
        lesson.title(TITLE)
        _tell_what_is_there(folder, lesson)
        return
    moved = claim(folder, overwrite=overwrite, resume=True)
    lesson.title(TITLE)
    if moved:
        lesson.say(f"The former {folder.path} is kept as {moved}.")
    road = Road(folder, _first_config(request), lesson.bar)
    go_on = words.typed("quickstart", "--out", folder.path)
    with stoppable(folder, start=request.command(folder.path), go_on=go_on):
        _walk(road, request, lesson)


def _walk(road: Road, request: Request, lesson: Lesson) -> None:
    """All eight stages, or those that an interrupted run still has before it."""
    going_on = road.folder.config_path.exists()
    if going_on:
        road.config = resolve(road.folder.path)
        lesson.say(f"{road.folder.path} holds a run that was interrupted; it goes on from its last save.")
        lesson.stage = words.TRAINING_STAGE - 1
    else:
        _prepare(road, request, lesson)
    _train_and_measure(road, lesson, resume=going_on)


def _prepare(road: Road, request: Request, lesson: Lesson) -> None:
    """Stages 1 to 5: corpus, tokenizer, shards, the dial, the model."""
    road.begin(request.command(road.folder.path), request=_plain(request))
    lesson.begin("Text", words.TEXT if not request.text else words.OWN_TEXT)
    ledger = road.build_corpus()
    lesson.ledger(ledger)
    _check_enough(ledger, road.config)
    road.config = resolve(road.config, [f"tokenizer.vocab_size={vocabulary_for(ledger['out']['bytes'])}"])
    if request.text:
        road.config = _with_prompts(road.config, openings(_held_out_text(road)))

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
    plan = _plan(road, request, counts["train"])
    lesson.choices(plan.choices)
    road.config = _with_plan(road.config, plan)
    exact = replace(request, minutes=None, steps=plan.steps, size=plan.size)
    dial = [vars(choice) for choice in plan.choices]
    road.folder.update_run(dial=dial, reproduce=exact.command(f"{road.folder.path}-again"))
    road.settle()

    lesson.begin("Model", words.MODEL)
    lesson.drawing(parts(road.config.model), count_parameters(on_meta(road.config.model)))


def _train_and_measure(road: Road, lesson: Lesson, resume: bool) -> None:
    """Stages 6 to 8: training, evaluation, samples; then the report and what to type next."""
    lesson.begin("Training", words.TRAINING)
    if not road.fit(road.folder.read_tokenizer(), resume=resume, listen=lesson.hear):
        raise KeyboardInterrupt
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
    often = -(-plan.steps // 5)
    train = sized.train.model_copy(
        update={
            "sample_prompts": config.train.sample_prompts,
            "final_prompts": config.train.final_prompts,
            "steps": plan.steps,
            "validate_every": often,
            "sample_every": often,
            "save_every": max(1, plan.steps // 10),
        }
    )
    return config.model_copy(update={"model": sized.model, "train": train})


def _plan(road: Road, request: Request, counts: TokenCounts) -> Plan:
    """Size and steps: as asked for, else from the minutes and the measured speed."""
    sizes = SIZES if request.size is None else (request.size,)
    if request.steps is not None:
        return words.as_asked(request.size or DEFAULT_SIZE, request.steps)
    rate = _measured_speed(road, request.size or PROBE_SIZE)
    seconds = 60 * (request.minutes if request.minutes is not None else DEFAULT_MINUTES)
    candidates = [_candidate(size, road.config) for size in sizes]
    plan = choose(candidates, flops_per_second=rate, seconds=seconds, corpus_tokens=counts.tokens)
    if plan.size == (request.size or PROBE_SIZE):
        return plan
    # Another size has another speed: the steps are counted with its own.
    rate = _measured_speed(road, plan.size)
    own = [_candidate(plan.size, road.config)]
    recounted = choose(own, flops_per_second=rate, seconds=seconds, corpus_tokens=counts.tokens)
    why_this_size = {choice.name: choice for choice in plan.choices if choice.name == "size"}
    return replace(recounted, choices=tuple(why_this_size.get(c.name, c) for c in recounted.choices))


def _held_out_text(road: Road) -> Iterable[str]:
    """The beginning of some held-out documents."""
    some = islice(read_corpus(road.corpus_path, "held_out"), MOST_DOCUMENTS)
    return (document.text[:MOST_CHARACTERS] for document in some)


def openings(texts: Iterable[str], count: int = 3) -> list[str]:
    """How some lines of a text begin, from all over it: samples of one's own text begin so."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    chosen = [lines[i * len(lines) // count] for i in range(count)] if lines else []
    first_words = (" ".join(line.split()[:3])[:24].rstrip() for line in chosen)
    return list(dict.fromkeys(first_words))


def _with_prompts(config: RunConfig, prompts: list[str]) -> RunConfig:
    final, now_and_then = tuple(prompts), tuple(prompts[:2])
    train = config.train.model_copy(update={"final_prompts": final, "sample_prompts": now_and_then})
    return config.model_copy(update={"train": train})


def _candidate(size: int, config: RunConfig) -> Candidate:
    model = on_meta(quickstart(size, config.tokenizer.vocab_size).model)
    tokens = config.data.seq_len * config.data.batch_size
    flops = float(training_flops_per_token(model, config.data.seq_len) * tokens)
    return Candidate(size, matrix_parameters(model), flops, tokens)


def _measured_speed(road: Road, size: int) -> float:
    """Useful floating-point operations a second in real training steps of one size, on this machine."""
    config = quickstart(size, road.config.tokenizer.vocab_size)
    shards = TokenShards(road.folder.path / "data" / "train")
    batch = make_loader(config.data, shards, seed=0).batch(0)
    with road.watch("measuring"):
        return training_speed(config, batch)


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
    """Refuse options other than those a run that trains was started with; no options at all fit any run."""
    path = folder.path / "run.json"
    if request == Request() or not folder.config_path.exists() or not path.is_file():
        return
    run = read_json(path)
    if run.get("request") != _plain(request):
        raise RunFolderError(
            f"{folder.path} holds a run with other options ({run.get('command')}); choose another --out, or "
            "start over with --overwrite (the old run is kept under another name)"
        )


def _tell_what_is_there(folder: RunFolder, lesson: Lesson) -> None:
    held_out = read_json(folder.path / "results.json")["held_out"]
    lesson.say(
        f"{folder.path} already holds a finished model: {held_out['bits_per_byte']:.3f} bits per byte on "
        "held-out text. Nothing was done."
    )
    command = read_json(folder.path / "run.json").get("command")
    over = (f"{command} --overwrite", "start over (this run is kept under another name)")
    lesson.commands([*words.next_commands(folder.path), over])


def _plain(request: Request) -> dict[str, Any]:
    """The request as JSON data."""
    return {**vars(request), "text": list(request.text)}
