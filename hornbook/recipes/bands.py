"""Bands: the losses that a recipe is expected to have, measured by training it with several seeds.

    band = nearest_band(config)                  # the shipped band whose configuration is most like this one
    band.differing(config)                       # where the two differ, in what changes a loss
    band.validation.at(step)                     # (low, mean, high) of the held-out loss at a step

A band is a file of `recipes/expected/`, made by `benchmarks/bands.py`: the configuration, the text, the
curves, and what the run cost. Low and high are such that one more seed lies between them 99 times in 100:
Student's interval for the next value of a normal distribution. A recipe that changes makes its band a false
one, so a test compares the two.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from math import nan, sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import numpy as np
from pydantic import PositiveInt

from hornbook.base.config import Config, parse, to_dict
from hornbook.base.files import read_json, write_text
from hornbook.base.student import student_reach
from hornbook.data.shards import TokenShards
from hornbook.recipes.continued import flat
from hornbook.train.config import RunConfig

FOLDER = Path(__file__).with_name("expected")
CONFIDENCE = 0.99
"""How often one more seed lies in the band."""
REACH = 2
"""Points to either side that a point's deviation is averaged over."""
LEAST_WIDTH = 0.005
"""Share of the mean that a band is wide to either side at least: other machines round otherwise."""
MOST_SETTINGS = 5
"""Settings, such as model.d_model or train.optimizer, in which a run may differ and still be compared."""
NEUTRAL = (
    "format", "seed", "data.path", "data.held_out_share", "train.device", "train.precision",
    "train.micro_batch_size", "train.compile", "train.recompute", "train.log_every", "train.validate_every",
    "train.sample_every", "train.sample_prompts", "train.final_prompts", "train.save_every",
    "train.keep_last", "train.keep_best", "train.guard", "train.evaluation_tokens", "train.tensorboard",
    "train.wandb", "train.profile",
)  # fmt: skip
"""What changes no loss, or is known from the text: keys, and beginnings of keys."""


class Curve(Config):
    """A loss over the steps, in nats a token."""

    steps: tuple[PositiveInt, ...]
    """Where it was measured."""
    mean: tuple[float, ...]
    """The mean over the seeds."""
    low: tuple[float, ...]
    """The least to be expected."""
    high: tuple[float, ...]
    """The most to be expected."""

    def at(self, step: float) -> tuple[float, float, float] | None:
        """Low, mean and high at a step, on straight lines between the points; None before the first."""
        if not self.steps[0] <= step <= self.steps[-1]:
            return None
        low, mean, high = (
            float(np.interp(step, self.steps, each)) for each in (self.low, self.mean, self.high)
        )
        return low, mean, high


class BandText(Config):
    """The text that a band was measured on."""

    name: str
    """What it is called."""
    train_bytes: PositiveInt
    """Bytes that the model learned from."""
    held_out_bytes: PositiveInt
    """Bytes that it was measured on."""
    tokens: str
    """A checksum of the tokens of both parts."""


class Cost(Config):
    """What one run cost."""

    tokens: PositiveInt
    """Tokens that were learned from."""
    flops: float
    """Floating-point operations of all steps."""
    memory_bytes: PositiveInt
    """Bytes of tensors that a step holds at most, counted."""
    seconds: float
    """The median time of the steps; about, for the machine had other work too."""
    machine: str
    """What it ran on."""


class Elsewhere(Config):
    """The same recipe on another text, once."""

    text: str
    """What it is called."""
    bits_per_byte: float
    """Of its held-out text, at the last measurement."""


class Band(Config):
    """What a recipe is expected to do on one text."""

    recipe: str
    """The recipe's name."""
    overrides: tuple[str, ...] = ()
    """What was changed in it."""
    text: BandText
    """The text."""
    seeds: PositiveInt
    """How many seeds it is of: 0, 1, 2 and so on."""
    train: Curve
    """The training loss, averaged over the twentieth of the run up to each step."""
    validation: Curve
    """The held-out loss at the run's own measurements."""
    bits_per_nat: float
    """Bits a byte for each nat a token, on the held-out text of the measurements."""
    final: Curve
    """The loss on all held-out text after the last step."""
    cost: Cost
    """What a run cost."""
    elsewhere: tuple[Elsewhere, ...] = ()
    """What came out on other texts."""
    made_with: dict[str, str]
    """Versions of what it was made with."""
    config: RunConfig
    """The configuration of its runs."""

    @property
    def steps(self) -> int:
        """The steps of its runs."""
        return self.config.train.steps

    def differing(self, config: RunConfig) -> dict[str, tuple[Any, Any]]:
        """What the band's runs had and what a configuration has, by dotted key, where a loss may differ."""
        theirs, ours = flat(to_dict(self.config)), flat(to_dict(config))
        return {
            key: (theirs.get(key), ours.get(key))
            for key in sorted(theirs.keys() | ours.keys())
            if theirs.get(key) != ours.get(key) and not key.startswith(NEUTRAL)
        }

    def is_near(self, config: RunConfig) -> bool:
        """Whether a configuration is enough like the band's for a comparison to say something."""
        settings = {".".join(key.split(".")[:2]) for key in self.differing(config)}
        return len(settings - {"train.steps"}) <= MOST_SETTINGS


def curve_of(steps: Sequence[int], values: Sequence[Sequence[float]]) -> Curve:
    """The curve of several runs; values are [run][step].

    A few seeds tell their own deviation badly, so each point takes the mean variance of its neighbours too.
    """
    columns = list(zip(*values, strict=True))
    means, variances = [fmean(column) for column in columns], [variance(column) for column in columns]
    deviations = [sqrt(fmean(variances[max(0, i - REACH) : i + REACH + 1])) for i in range(len(columns))]
    student = student_reach(1 - CONFIDENCE, len(values) - 1) * sqrt(1 + 1 / len(values))
    widths = [max(student * d, LEAST_WIDTH * mean) for d, mean in zip(deviations, means, strict=True)]
    return Curve(
        steps=tuple(steps),
        mean=tuple(round(mean, 4) for mean in means),
        low=tuple(round(mean - width, 4) for mean, width in zip(means, widths, strict=True)),
        high=tuple(round(mean + width, 4) for mean, width in zip(means, widths, strict=True)),
    )


def trailing_mean(points: Sequence[tuple[float, float]], step: float, steps: int) -> float:
    """The mean of the (step, loss) points in the twentieth of a run that ends at a step; NaN of none."""
    some = [loss for at, loss in points if step - steps / 20 < at <= step]
    return fmean(some) if some else nan


def text_of(name: str, train: TokenShards, held_out: TokenShards) -> BandText:
    """A text by its tokens."""
    return BandText(
        name=name,
        train_bytes=train.counts.bytes,
        held_out_bytes=held_out.counts.bytes,
        tokens=f"{train.checksum}{held_out.checksum}",
    )


def read_band(path: Path) -> Band:
    """Read a band's file."""
    return parse(Band, read_json(path), str(path))


def write_band(path: Path, band: Band) -> None:
    """Write a band's file, each of its parts on a line."""
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in to_dict(band).items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


@functools.cache
def shipped_bands() -> tuple[Band, ...]:
    """All bands that there are."""
    return tuple(read_band(path) for path in sorted(FOLDER.glob("*.json")))


def nearest_band(config: RunConfig) -> Band | None:
    """The band of the same shape and objective that differs in the fewest settings; None: in too many."""
    alike = [
        band
        for band in shipped_bands()
        if band.config.model.kind == config.model.kind
        and band.config.train.objective.kind == config.train.objective.kind
    ]
    found = min(alike, key=lambda band: len(band.differing(config)), default=None)
    return found if found is not None and found.is_near(config) else None
