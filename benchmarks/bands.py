"""The band of a recipe: train it with several seeds, and write down what losses are to be expected.

    python benchmarks/bands.py shakespeare-char input.txt --text tinyshakespeare --runs runs/bands
    python benchmarks/bands.py bert-small input.txt size=2 --text tinyshakespeare --runs runs/bands
    python benchmarks/bands.py shakespeare-char input.txt --text tinyshakespeare --runs runs/bands \
        --elsewhere "a novel=novel.txt"

Each seed is a run by `hornbook train` with the recipe's own settings and the overrides given; only
measurements on held-out text come more often, which changes no weight. Runs stay in `--runs`; typed again,
finished ones are not made again. The file is hornbook/recipes/expected/NAME.json, where NAME is the recipe's
name unless `--name` gives another. `docs/is-my-loss-normal.md` tells what becomes of it.

Losses do not depend on how busy the machine is; the seconds do, so a band's are told as `about`.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import Any

import hornbook as hb
from hornbook.base.files import read_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.shards import TokenShards
from hornbook.model.count import on_meta, training_flops_per_token
from hornbook.recipes.bands import (
    FOLDER,
    Band,
    Cost,
    Elsewhere,
    curve_of,
    text_of,
    trailing_mean,
    write_band,
)
from hornbook.recipes.needs import Needs
from hornbook.recipes.shapes import resolve

POINTS = 20
"""Measurements on held-out text in a run, and points of a band."""


def main() -> None:
    """Make or find the runs, and write the band's file."""
    parser = argparse.ArgumentParser(description="Make the band of a recipe from several seeds.")
    parser.add_argument("recipe", help="the recipe's name")
    parser.add_argument("path", help="the text")
    parser.add_argument("overrides", nargs="*", help="assignments, as in hornbook train")
    parser.add_argument("--text", required=True, help="what the text is called")
    parser.add_argument("--name", help="what the band is called, if not as the recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, required=True, help="where the runs are and stay")
    parser.add_argument("--elsewhere", action="append", default=[], metavar="NAME=PATH", help="another text")
    options = parser.parse_intermixed_args()
    name = options.name or options.recipe
    runs = [
        made(options.recipe, options.path, options.overrides, options.runs / f"{name}-{seed}", seed)
        for seed in range(options.seeds)
    ]
    others = []
    for each in options.elsewhere:
        text, _, path = each.partition("=")
        folder = made(options.recipe, path, options.overrides, options.runs / f"{name}-{text}", 0).path
        last = [line for line in RunFolder(folder).read_metrics() if line["kind"] == "validation"][-1]
        others.append(Elsewhere(text=text, bits_per_byte=round(last["bits_per_byte"], 3)))
    folders = [run.path for run in runs]
    band = band_of(options.recipe, tuple(options.overrides), options.text, folders, tuple(others))
    write_band(FOLDER / f"{name}.json", band)
    print(
        f"{name}: {band.final.low[0]:.3f} to {band.final.high[0]:.3f} nats a token, {band.cost.seconds:.0f} s"
    )


def made(recipe: str, path: str, overrides: list[str], out: Path, seed: int) -> hb.Run:
    """The run of one seed, trained where it is not there yet."""
    every = max(1, resolve(recipe, overrides).train.steps // POINTS)
    rare = 10 * resolve(recipe, overrides).train.steps
    own = [f"data.path={path}", f"seed={seed}", f"train.validate_every={every}"]
    own += [f"train.sample_every={rare}", f"train.log_every={max(1, every // 5)}"]
    return hb.train(recipe, *overrides, *own, out=out, resume=True)


def band_of(
    recipe: str, overrides: tuple[str, ...], text: str, runs: list[Path], others: tuple[Elsewhere, ...]
) -> Band:
    """The band of finished runs of several seeds."""
    lines = [RunFolder(run).read_metrics() for run in runs]
    held_out = [[line for line in each if line["kind"] == "validation"] for each in lines]
    steps = [line["step"] for line in held_out[0]]
    training = [[(line["step"], line["loss"]) for line in each if line["kind"] == "train"] for each in lines]
    results = [read_json(run / "results.json")["held_out"] for run in runs]
    shards = [TokenShards(runs[0] / "data" / part) for part in ("train", "held_out")]
    return Band(
        recipe=recipe,
        overrides=overrides,
        text=text_of(text, *shards),
        seeds=len(runs),
        train=curve_of(
            steps, [[trailing_mean(each, step, steps[-1]) for step in steps] for each in training]
        ),
        validation=curve_of(steps, [[line["loss"] for line in each] for each in held_out]),
        bits_per_nat=round(
            fmean(line["bits_per_byte"] / line["loss"] for each in held_out for line in each), 5
        ),
        final=curve_of(steps[-1:], [[found["loss"]] for found in results]),
        cost=cost_of(runs[0], lines),
        elsewhere=others,
        made_with={name: version(name).split("+")[0] for name in ("hornbook", "torch")},
        config=resolve(recipe, [*overrides, f"train.precision={hb.load(runs[0]).config.train.precision}"]),
    )


def cost_of(run: Path, lines: list[list[dict[str, Any]]]) -> Cost:
    """What one of the runs cost."""
    config = hb.load(run).config
    last = [[line for line in each if line["kind"] == "train"][-1] for each in lines]
    tokens = last[0]["tokens"]
    needs = Needs(config)
    learning = needs.learning(config.train.rows_at_once or config.data.batch_size, config.train.recompute)
    machine = read_json(run / "run.json")["machine"]
    return Cost(
        tokens=tokens,
        flops=float(training_flops_per_token(on_meta(config.model), config.data.seq_len) * tokens),
        memory_bytes=needs.step_peak(learning),
        seconds=round(median(line["seconds"] for line in last), 1),
        machine=f"{machine['threads']} of {machine['cores']} cores of {machine['processor']}",
    )


if __name__ == "__main__":
    main()
