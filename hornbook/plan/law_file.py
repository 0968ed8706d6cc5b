"""Laws on the disk and laws of others: which there are, what they were fitted to, how far they reach.

    known = read_law("ladder/law.json")       # what `hornbook plan fit` wrote
    known = shipped_law()                     # of the package's own small runs
    known = CHINCHILLA                        # published, for large models
    known.reach(parameters=1e9)               # how many times beyond its runs that lies

A law file holds the runs, the law and what text and vocabulary it is about; its uncertainty follows from the
runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from hornbook.base.config import Config, parse
from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_json
from hornbook.plan.scaling import (
    FLOPS_PER_PRODUCT,
    Law,
    bootstrap,
    degrees_of_freedom,
    interval,
    typical_error,
)

SHIPPED = "law.json"


class LadderRun(Config):
    """One run that a law was fitted to."""

    name: str
    """Its folder."""
    parameters: PositiveInt
    """Matrix parameters, the head's among them."""
    tokens: PositiveInt
    """Tokens it learned from."""
    loss: PositiveFloat
    """Loss on all held-out text, in nats a token."""


class LawFile(Config):
    """A fitted law with all that is needed to judge it."""

    format: Literal[1] = 1
    """Version of this file's format."""
    text: str
    """What the runs read."""
    fitted: str
    """The day of the fit, as in 2026-11-22."""
    vocab_size: PositiveInt
    """Tokens in the vocabulary of all runs."""
    bytes_per_token: PositiveFloat
    """Bytes of held-out text for each of its tokens."""
    law: Law
    """What was fitted."""
    runs: tuple[LadderRun, ...]
    """What it was fitted to."""


@dataclass(frozen=True)
class Span:
    """From where to where the runs of a law went."""

    parameters: tuple[float, float]
    tokens: tuple[float, float]

    @property
    def flops(self) -> tuple[float, float]:
        """The compute of the smallest and of the largest run, at most."""
        low, high = (FLOPS_PER_PRODUCT * n * d for n, d in zip(self.parameters, self.tokens, strict=True))
        return low, high


@dataclass(frozen=True)
class Expected:
    """A loss that a law expects."""

    loss: float
    """Nats a token."""
    low: float
    high: float
    """Between these, nine times of ten; both the loss itself where nothing is known of it."""


class KnownLaw:
    """A law and what is known of it; `file` None: only its constants are."""

    def __init__(self, name: str, law: Law, span: Span, file: LawFile | None = None) -> None:
        self.name, self.law, self.span, self.file = name, law, span, file

    @property
    def bytes_per_token(self) -> float | None:
        """Of its vocabulary, where that is known."""
        return self.file.bytes_per_token if self.file else None

    @cached_property
    def others(self) -> list[Law]:
        """Laws that the same runs might have given."""
        return bootstrap(self.file.runs, self.law) if self.file else []

    def expect(self, parameters: float, tokens: float) -> Expected:
        """The loss and its uncertainty."""
        loss = self.law.loss(parameters, tokens)
        if self.file is None:
            return Expected(loss, loss, loss)
        error, degrees = typical_error(self.file.runs, self.law), degrees_of_freedom(self.file.runs)
        return Expected(loss, *interval(self.law, self.others, error, degrees, parameters, tokens))

    def reach(self, **quantities: float | None) -> float:
        """How many times beyond the law's runs the farthest of some `parameters`, `tokens`, `flops` lies."""
        far = 1.0
        for name, value in quantities.items():
            low, high = getattr(self.span, name)
            far = max(far, 1.0 if value is None else max(low / value, value / high))
        return far


CHINCHILLA = KnownLaw(
    "Chinchilla's, as refitted by Besiroglu et al. 2024",
    Law(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
    Span((70e6, 16e9), (5e9, 500e9)),
)
"""The runs of Hoffmann et al. 2022, with the constants of the replication that corrected their fit."""


def law_of(file: LawFile, name: str) -> KnownLaw:
    """A file's law with the range of its runs."""
    sizes, lengths = [run.parameters for run in file.runs], [run.tokens for run in file.runs]
    return KnownLaw(name, file.law, Span((min(sizes), max(sizes)), (min(lengths), max(lengths))), file)


def read_law(path: Path) -> KnownLaw:
    """The law of a file that `hornbook plan fit` wrote."""
    data = read_json(path)
    if not isinstance(data, dict) or "runs" not in data:
        raise RunFolderError(f"{path} is no law; hornbook plan fit RUN... --out {path} makes one")
    return law_of(parse(LawFile, data, str(path)), str(path))


@cache
def shipped_law() -> KnownLaw:
    """The law of the package's own small runs (benchmarks/ladder.py)."""
    file = parse(LawFile, read_json(Path(__file__).parent / SHIPPED), SHIPPED)
    return law_of(file, "Hornbook's own small runs")


def nearest_law(laws: tuple[KnownLaw, ...], **quantities: float | None) -> KnownLaw:
    """The law whose runs are nearest to some parameters, tokens or flops."""
    return min(laws, key=lambda known: math.log(known.reach(**quantities)))
