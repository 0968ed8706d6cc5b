"""What each switch from a recipe of 2021 to today's buys in equal time: docs/from-2021-to-today.md.

    python benchmarks/since_2021.py prepare WORK --texts train.txt valid.txt test.txt  # WikiText-2 to tokens
    python benchmarks/since_2021.py time WORK              # how long a step takes, of every configuration
    python benchmarks/since_2021.py tune WORK              # rates and sizes of both ends, on valid.txt
    python benchmarks/since_2021.py train WORK --seeds 3   # the road and its end, on test.txt
    python benchmarks/since_2021_page.py WORK              # the page, its figure and its results

The configurations are those of `since_2021_switches.py`. Time is made equal in two parts, so that a machine
that does other things beside spoils no loss. `time` runs steps of all configurations in turn, in one process
and on one thread, and writes down how long each takes, as times the baseline's. `train` gives each
configuration the number of steps that take as long as BUDGET_STEPS of the baseline and trains it to the end
of its own schedule: given those numbers its losses are the same on every run, however busy the machine is.
Each result is a line of WORK/results.jsonl; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from pairs import in_turn
from since_2021_switches import VOCAB_SIZE, cost, identity, trials, tuning

from hornbook.base.config import override, to_dict
from hornbook.base.files import read_json, sha256, write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.loader import held_out_batches
from hornbook.data.shards import TokenShards, write_shards
from hornbook.data.sources import make_loader
from hornbook.model.count import count_parameters
from hornbook.model.shapes import build_model
from hornbook.plan.machine import describe_machine
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, keep_freed_memory
from hornbook.train.fit import Fit
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import train_step
from hornbook.train.validate import measure

BUDGET_STEPS = 220
"""The steps of the baseline that every configuration gets the time of."""
TIMED_STEPS = 1
"""Steps in one turn of the clock."""
TUNING_SEED = 1000
PARTS = {"train": 1, "valid": 4, "test": 4}
"""The parts of WikiText-2, and of how many articles one is taken: to measure on, every fourth will do."""
STEPS_FILE = Path(__file__).parents[1] / "docs" / "results" / "since-2021-steps.json"


def prepare(work: Path, texts: list[Path]) -> None:
    """Train a tokenizer on the first text, and make tokens of all three, an article a document."""
    articles = {
        part: split(path.read_text(encoding="utf-8"))[::every]
        for (part, every), path in zip(PARTS.items(), texts, strict=True)
    }
    tokenizer = Tokenizer.train(articles["train"], vocab_size=VOCAB_SIZE)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer.save(work)
    fingerprint = sha256((work / "tokenizer.json").read_bytes())
    for part, documents in articles.items():
        print(part, write_shards(documents, tokenizer, work / part, fingerprint=fingerprint))


def split(text: str) -> list[str]:
    """The articles of WikiText, each of which begins with a line such as ` = Title = `."""
    return [article for article in re.split(r"(?m)^(?= = [^=])", text) if article.strip()]


def everything() -> dict[str, RunConfig]:
    """Every configuration that is timed, by its name."""
    return trials() | {f"tune/{name}": config for name, config in tuning().items()}


def measure_times(work: Path, rounds: int) -> None:
    """Run steps of every configuration in turn; write down how long each takes beside the baseline."""
    torch.set_num_threads(1)
    keep_freed_memory()
    chosen = {cost(config): config for config in reversed(everything().values())}
    keys = list(chosen)
    measured = in_turn([stopwatch(work, config) for config in chosen.values()], rounds)
    # A turn's pace is that of all configurations in it: one alone would add its own noise to every ratio.
    paces = [mean(turn) for turn in zip(*measured, strict=True)]
    shares = [median(t / p for t, p in zip(times, paces, strict=True)) for times in measured]
    reference = keys.index(cost(trials()["road/baseline"]))
    relative = {key: round(share / shares[reference], 3) for key, share in zip(keys, shares, strict=True)}
    machine = describe_machine("cpu", "bfloat16")
    seconds = round(median(measured[reference]), 4)
    write_json(
        STEPS_FILE,
        {"baseline_seconds": seconds, "rounds": rounds, "machine": machine, "relative": relative},
    )
    for name, config in everything().items():
        print(f"{name:32} {relative[cost(config)]:6.3f} {steps_of(config, relative):5}")
    print(f"a step of the baseline takes {seconds} s of the processor")


def stopwatch(work: Path, config: RunConfig) -> Callable[[], float]:
    """A call that makes some steps and returns the processor's seconds for one."""
    precision = PRECISIONS[config.train.precision]
    model = build_model(config.model, seed=0).train()
    optimizer = Optimizer(model, config.train.optimizer, precision)
    tokenizer = Tokenizer.load(work)
    objective = predict_tokens(torch.tensor(tokenizer.byte_lengths))
    loader = make_loader(config.data, TokenShards(work / "train"), seed=0)
    numbers = iter(range(1_000_000))

    def steps() -> None:
        for _ in range(TIMED_STEPS):
            train_step(
                model, loader.batch(next(numbers)), objective, optimizer, learning_rate_share=0.01,
                max_grad_norm=config.train.max_grad_norm, precision=precision,
            )  # fmt: skip

    def seconds() -> float:
        began = time.process_time()
        steps()
        return (time.process_time() - began) / TIMED_STEPS

    steps()
    return seconds


def steps_of(config: RunConfig, relative: dict[str, float]) -> int:
    """The steps that a configuration has time for."""
    return max(1, round(BUDGET_STEPS / relative[cost(config)]))


def train_all(work: Path, configs: Iterable[tuple[str, RunConfig]], seed: int, part: str) -> None:
    """Train what has no result yet."""
    torch.set_num_threads(1)
    relative = read_json(STEPS_FILE)["relative"]
    for name, config in configs:
        steps = steps_of(config, relative)
        key = {"config": identity(config), "seed": seed, "steps": steps, "part": part}
        if any(key.items() <= result.items() for result in results(work)):
            continue
        began, used = time.perf_counter(), time.process_time()
        found = trained(work, override(config, [f"train.steps={steps}", f"seed={seed}"]), part)
        found |= {"seconds": time.perf_counter() - began, "processor": time.process_time() - used}
        with (work / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, **key, **found}) + "\n")
        print(f"{name:32} seed {seed} {steps:5} steps {found['bits_per_byte']:.4f}", flush=True)


def results(work: Path) -> list[dict[str, Any]]:
    """What was trained so far."""
    path = work / "results.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def trained(work: Path, config: RunConfig, part: str) -> dict[str, float]:
    """Train by a configuration and measure on all of a held-out text."""
    often = [f"train.{name}_every={config.train.steps}" for name in ("validate", "save", "sample", "log")]
    config = override(config, often)
    tokenizer = Tokenizer.load(work)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        run.create()
        write_json(run.config_path, to_dict(config))
        fit = Fit(config, run, tokenizer, TokenShards(work / "train"), TokenShards(work / "valid"))
        if not fit.run():
            sys.exit("stopped; the same command goes on")
    began = time.process_time()
    text = held_out_batches(TokenShards(work / part), seq_len=config.data.seq_len, batch_size=32, overlap=0)
    found = measure(fit.state.model, text, fit.objective, PRECISIONS[config.train.precision])
    return {
        "bits_per_byte": found.bits_per_byte,
        "parameters": count_parameters(fit.state.model),
        "tokens": fit.state.tokens,
        "measuring": time.process_time() - began,
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the road from a recipe of 2021 to today's.")
    parser.add_argument("what", choices=["prepare", "time", "tune", "train"])
    parser.add_argument("work", type=Path, help="a folder for tokens and results")
    parser.add_argument("--texts", type=Path, nargs=3, help="prepare: WikiText-2's train, valid and test")
    parser.add_argument("--rounds", type=int, default=15, help="time: turns of each configuration")
    parser.add_argument("--seeds", type=int, default=3, help="train: runs of each configuration")
    parser.add_argument("--only", default="", help="train and tune: names that begin so")
    options = parser.parse_args()
    if options.what == "prepare":
        prepare(options.work, options.texts)
    elif options.what == "time":
        measure_times(options.work, options.rounds)
    elif options.what == "tune":
        chosen = [each for each in tuning().items() if each[0].startswith(options.only)]
        train_all(options.work, chosen, TUNING_SEED, "valid")
    else:
        chosen = [each for each in trials().items() if each[0].startswith(options.only)]
        for seed in range(options.seeds):
            train_all(options.work, chosen, seed, "test")


if __name__ == "__main__":
    main()
