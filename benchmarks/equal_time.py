"""Ten minutes for a recipe of today and ten for one of 2021, on the same text: who ends lower?

    python benchmarks/equal_time.py prepare WORK TEXT...        # text to tokens, once for both sides
    python benchmarks/equal_time.py search WORK --minutes 2.5   # the best size and rate of the recipe of 2021
    python benchmarks/equal_time.py race WORK --layers 4        # twice ten minutes: the cores are swapped

Both sides are this package's own trainer on the same tokens: one in the way of `hornbook quickstart`, which
chooses its size by itself for the time, the other GPT-2's shape (learned positions, LayerNorm, GELU, biases,
a tied head) with AdamW, a cosine and no dropout. That is fairer than a loop written by hand, which makes
fewer steps in the same time (docs/benchmarks.md). What differs is the recipe alone.

In a race each side is a process of its own, with one thread on a core of its own, and both run at the same
time; then again with the cores swapped and another seed. The clock starts before Python does and stops the
last step: imports, building the model and, on our side, measuring speed to choose the size all count. The
learning rate's schedule follows the clock, so that each side ends it when its time is up, however fast the
machine is. Tokenizing, which both share, and measuring at the end do not count. Nothing is compiled: for ten
minutes that does not pay. On a busy machine `--clock processor` counts the processor's time in place of the
wall's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from since_2021_switches import ROAD, baseline

from hornbook.base.config import override
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.shards import TokenShards
from hornbook.data.sources import make_loader
from hornbook.model.config import ModelConfig
from hornbook.model.count import (
    count_parameters,
    matrix_parameters,
    on_meta,
    training_flops_per_token,
)
from hornbook.model.shapes import build_model
from hornbook.plan.dial import Candidate, choose
from hornbook.recipes.quickstart import PROBE_SIZE, vocabulary_for
from hornbook.recipes.road import Road
from hornbook.recipes.shapes import SIZES, quickstart, resolve
from hornbook.recipes.speed import training_speed
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.device import keep_freed_memory
from hornbook.train.held_out import measure_held_out
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.schedule import learning_rate_share
from hornbook.train.step import train_step

LAYERS = (2, 3, 4, 5, 6)
"""Sizes that the search tries: layers, each 64 numbers wide for every layer, as in the quickstart."""
RATES = (1e-3, 2e-3, 4e-3)
COLUMNS = (
    "recipe", "layers", "width", "parameters", "rate", "seed", "seconds before training", "seconds", "steps",
    "tokens", "bits per byte",
)  # fmt: skip
FIRST_RATE = 2e-3
"""The rate that sizes are compared at."""


def prepare(work: Path, texts: list[str]) -> None:
    """Make a corpus, a tokenizer and tokens, as a run does before it trains."""
    folder = RunFolder(work)
    folder.create()
    config = resolve(quickstart(), [f"data.path={json.dumps(texts)}"])
    road = Road(folder, config)
    road.begin("benchmarks/equal_time.py")
    vocab_size = vocabulary_for(road.build_corpus()["out"]["bytes"])
    road.config = resolve(config, [f"tokenizer.vocab_size={vocab_size}"])
    for part, counts in road.write_shards(road.train_tokenizer()).items():
        print(part, counts)


def peer(layers: int, rate: float, vocab_size: int) -> RunConfig:
    """GPT-2's shape with the recipe of 2021, without dropout."""
    without_dropout = next(switch for switch in ROAD if switch.name == "dropout").on
    lengths = ["model.max_seq_len=256", "data.seq_len=256"]
    sizes = [f"model.vocab_size={vocab_size}", f"tokenizer.vocab_size={vocab_size}"]
    return override(baseline(layers, 64 * layers, rate), [*without_dropout, *lengths, *sizes])


def ours(seconds: float, vocab_size: int, train: TokenShards) -> RunConfig:
    """The quickstart of the size that its dial chooses for the time, by this machine's measured speed."""
    probe = override(quickstart(PROBE_SIZE, vocab_size), ["train.precision=bfloat16", "train.device=cpu"])
    speed = training_speed(probe, make_loader(probe.data, train, seed=0).batch(0))
    sizes = [candidate(size, vocab_size) for size in SIZES]
    plan = choose(sizes, flops_per_second=speed, seconds=seconds, corpus_tokens=len(train))
    return quickstart(plan.size, vocab_size)


def candidate(size: int, vocab_size: int) -> Candidate:
    """What the dial is told of a size."""
    config = quickstart(size, vocab_size)
    model, tokens = on_meta(config.model), config.data.seq_len * config.data.batch_size
    flops = float(training_flops_per_token(model, config.data.seq_len) * tokens)
    return Candidate(size, matrix_parameters(model), flops, tokens)


class Learner:
    """A model and what it takes to teach it, a step at a time."""

    def __init__(self, config: RunConfig, tokenizer: Tokenizer, train: TokenShards, seed: int) -> None:
        self.config = config
        self.model = build_model(config.model, seed).train()
        self.optimizer = Optimizer(self.model, config.train.optimizer, torch.bfloat16)
        self.objective = predict_tokens(torch.tensor(tokenizer.byte_lengths))
        self.loader = make_loader(config.data, train, seed=seed)
        self.steps = 0

    def step(self, done: float, whole: float) -> None:
        """Make the next step when so many seconds of all are done."""
        # The schedule counts milliseconds in place of steps.
        share = learning_rate_share(self.config.train.schedule, round(1000 * done), round(1000 * whole))
        longest = self.config.train.max_grad_norm
        train_step(
            self.model, self.loader.batch(self.steps), self.objective, self.optimizer,
            learning_rate_share=share, max_grad_norm=longest, precision=torch.bfloat16,
        )  # fmt: skip
        self.steps += 1


def side(options: argparse.Namespace) -> None:
    """One side of a race, in a process of its own: train until the time is up, measure, print a line."""
    os.sched_setaffinity(0, {options.core})
    torch.set_num_threads(1)
    keep_freed_memory()

    def clock() -> float:
        return time.process_time() if options.clock == "processor" else time.time() - options.began

    end = 60 * options.minutes
    tokenizer = Tokenizer.load(options.work)
    train, held_out = (TokenShards(options.work / "data" / part) for part in ("train", "held_out"))
    if options.layers:
        config = peer(options.layers, options.rate, tokenizer.vocab_size)
    else:
        config = ours(end, tokenizer.vocab_size, train)
    learner = Learner(config, tokenizer, train, options.seed)
    first = now = clock()
    took = 0.0
    while now + took <= end:
        learner.step(now - first, end - first)
        took, now = clock() - now, clock()
    found = measure_held_out(learner.model, config, tokenizer, held_out, torch.bfloat16)
    assert isinstance(config.model, ModelConfig)
    facts = (
        "2021" if options.layers else "today", config.model.n_layers, config.model.d_model,
        count_parameters(learner.model), config.train.optimizer.learning_rate, options.seed, round(first, 1),
        round(now, 1), learner.steps, learner.steps * config.data.seq_len * config.data.batch_size,
        round(found.bits_per_byte, 4),
    )  # fmt: skip
    print(json.dumps(dict(zip(COLUMNS, facts, strict=True))))


def start(options: argparse.Namespace, core: int, **given: float) -> subprocess.Popen[str]:
    """Begin one side on a core; its clock starts now."""
    facts = {"core": core, "minutes": options.minutes, "clock": options.clock, "began": time.time(), **given}
    words = [word for name, value in facts.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, __file__, "side", str(options.work), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def finished(process: subprocess.Popen[str]) -> float:
    """The bits per byte that a side ended at; all that it told becomes a line of a table."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(process.returncode)
    facts: dict[str, Any] = json.loads(out)
    print("| " + " | ".join(str(facts[name]) for name in COLUMNS) + " |", flush=True)
    return float(facts["bits per byte"])


def head() -> None:
    """Begin the table."""
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)


def search(options: argparse.Namespace) -> None:
    """Try sizes at one rate, then the other rates at the best size, one on each core; print the best."""
    head()
    found = tried(options, [(layers, FIRST_RATE) for layers in options.sizes])
    layers, _ = min(found, key=lambda each: found[each])
    found |= tried(options, [(layers, rate) for rate in RATES if rate != FIRST_RATE])
    layers, rate = min(found, key=lambda each: found[each])
    print(f"best: --layers {layers} --rate {rate:g}")


def tried(options: argparse.Namespace, wanted: list[tuple[int, float]]) -> dict[tuple[int, float], float]:
    """The bits per byte of recipes of 2021 of some sizes and rates, as many at a time as there are cores."""
    cores = sorted(os.sched_getaffinity(0))
    found = {}
    for some in (wanted[i : i + len(cores)] for i in range(0, len(wanted), len(cores))):
        sides = [
            start(options, core, layers=layers, rate=rate)
            for core, (layers, rate) in zip(cores, some, strict=False)
        ]
        found |= {each: finished(run) for each, run in zip(some, sides, strict=True)}
    return found


def race(options: argparse.Namespace) -> None:
    """Both sides at the same time, a core each; then with the cores swapped."""
    if not options.layers:
        sys.exit("give --layers, the size of the recipe of 2021; search finds the best")
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("a race wants two cores, one for each side")
    head()
    apart = []
    for seed, (our_core, their_core) in enumerate(itertools.permutations(cores)):
        processes = [
            start(options, our_core, seed=seed),
            start(options, their_core, seed=seed, layers=options.layers, rate=options.rate),
        ]
        mine, peers = map(finished, processes)
        apart.append(mine - peers)
    print("ours less theirs, bits per byte: " + ", ".join(f"{each:+.4f}" for each in apart))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train by a recipe of today and of 2021 for equal time.")
    parser.add_argument("what", choices=["prepare", "search", "race", "side"])
    parser.add_argument("work", type=Path, help="a folder for the tokens")
    parser.add_argument("texts", nargs="*", help="prepare: files and folders of text")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--layers", type=int, default=0, help="race: the size of the recipe of 2021")
    parser.add_argument("--rate", type=float, default=FIRST_RATE, help="race: its learning rate")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(LAYERS), help="search: layers to try")
    for name, kind in (("core", int), ("seed", int), ("began", float)):
        parser.add_argument(f"--{name}", type=kind, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "prepare":
        prepare(options.work, options.texts)
    elif options.what == "search":
        search(options)
    elif options.what == "race":
        race(options)
    else:
        side(options)


if __name__ == "__main__":
    main()
