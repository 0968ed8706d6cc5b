"""The scaling law: what loss a model of a size reaches after so many tokens, fitted to runs.

    law = fit(runs)                          # L(N, D) = E + A / N**alpha + B / D**beta
    law.loss(1e6, 20e6)
    law.optimum(1e15)                        # parameters and tokens that spend a compute best
    others = bootstrap(runs, law)            # the laws that the same runs might as well have given

The form is that of Hoffmann et al. 2022: E is what no model can know about the text, the second term is what
a model of N parameters cannot hold, the third what D tokens cannot teach. N counts the matrix parameters, the
head's among them (`hornbook.model.count.matrix_parameters`), so that 6 N D is the arithmetic. The readable
twin is `scaling_reference.py`; this one minimises from all its starts at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat

from hornbook.base.config import Config
from hornbook.base.errors import TextError
from hornbook.base.randomness import stream
from hornbook.base.student import student_reach

Array = npt.NDArray[np.float64]

FLOPS_PER_PRODUCT = 6.0
"""Operations for each parameter and token: two to read, four to learn (Kaplan et al. 2020)."""
DELTA = 1e-3
"""Where the loss of the fit goes from squares to lines: a thousandth (Hoffmann et al. 2022, D.2)."""
FEWEST_RUNS = 6
"""The law has five numbers."""
PUBLISHED = (0.35, 0.37)
"""The exponents of large models, rounded (Besiroglu et al. 2024)."""
PULL = 2e-3
"""How much the exponents are pulled there: one that is a tenth away counts as one run that is a percent off.
Runs over a wide range hardly feel it; of a narrow one they alone could not tell the exponents from E."""
UNSURE = 0.1
"""How far from the published ones, typically, the exponents of other text and other models may lie."""
STEEPEST = 3.0
"""Largest exponent that is tried."""
ITERATIONS = 150
STUCK = 1e4
"""Damping of a start that finds no way down any more."""
N_BOOTSTRAP = 100
CONFIDENCE = 0.9
"""How often a run lies in the range that is told."""


class Observed(Protocol):
    """A run as the fit sees it."""

    @property
    def parameters(self) -> float:
        """Matrix parameters, the head's among them."""

    @property
    def tokens(self) -> float:
        """Tokens learned from."""

    @property
    def loss(self) -> float:
        """Loss on held-out text, in nats a token."""


class Law(Config):
    """L(N, D) = E + A / N**alpha + B / D**beta, in nats a token."""

    E: NonNegativeFloat
    """The loss that is left for ever."""
    A: PositiveFloat
    """Weight of what too few parameters cost."""
    B: PositiveFloat
    """Weight of what too few tokens cost."""
    alpha: PositiveFloat
    """How fast more parameters help."""
    beta: PositiveFloat
    """How fast more tokens help."""

    def loss(self, parameters: float, tokens: float) -> float:
        """The expected loss in nats a token."""
        return self.E + float(self.A / parameters**self.alpha) + float(self.B / tokens**self.beta)

    def optimum(self, flops: float) -> tuple[float, float]:
        """The parameters and tokens with the least loss of all that take `flops` operations (equation 4)."""
        both = self.alpha + self.beta
        ratio = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        parameters = ratio * (flops / FLOPS_PER_PRODUCT) ** (self.beta / both)
        return parameters, flops / FLOPS_PER_PRODUCT / parameters

    def tokens_for(self, parameters: float) -> float:
        """The tokens with which so many parameters are the optimum of what both cost."""
        cost = self.alpha * self.A / parameters**self.alpha
        return float((self.beta * self.B / cost) ** (1 / self.beta))


def fit(runs: Sequence[Observed]) -> Law:
    """The law nearest to the runs: Huber's loss of the errors in log loss, from many starts.

    The exponents are pulled a little to the published ones, by `PULL`.

    Raises `TextError` for fewer than six runs, and where all have one size or one length.
    """
    _check(runs)
    scene = _Scene(runs)
    found, badness = scene.minimised(scene.starts(), scene.log_loss, np.array(PUBLISHED))
    return scene.law(found[int(np.argmin(badness))])


def bootstrap(runs: Sequence[Observed], law: Law, count: int = N_BOOTSTRAP, seed: int = 0) -> list[Law]:
    """Laws fitted to what the law says plus errors that are drawn as wide as its own, again and again.

    Errors are drawn and not runs: a ladder of few sizes must stay whole. What the exponents are pulled to is
    drawn too, `UNSURE` about the published ones.
    """
    scene = _Scene(runs)
    own = scene.vector(law)
    predicted = scene.predicted(own[None])[0]
    draw = stream(seed, "bootstrap")
    drawn = draw.normal(0.0, typical_error(runs, law), size=(count, len(runs)))
    pulled_to = draw.normal(PUBLISHED, UNSURE, size=(count, 2))
    starts = np.concatenate([own[None], scene.starts()[::31]])
    targets = np.repeat(predicted + drawn, len(starts), axis=0)
    found, badness = scene.minimised(
        np.tile(starts, (count, 1)), targets, np.repeat(pulled_to, len(starts), 0)
    )
    best = np.argmin(badness.reshape(count, -1), axis=1)
    chosen = found.reshape(count, len(starts), -1)[np.arange(count), best]
    return [scene.law(each) for each in chosen]


def typical_error(runs: Sequence[Observed], law: Law) -> float:
    """How far a run is from the law, as a share of its loss: the root of the mean square of the errors.

    The mean is over as many runs as there are beyond the five numbers that were fitted to them.
    """
    errors = [math.log(law.loss(run.parameters, run.tokens) / run.loss) for run in runs]
    return math.sqrt(sum(error**2 for error in errors) / degrees_of_freedom(runs))


def degrees_of_freedom(runs: Sequence[Observed]) -> int:
    """How many runs there are beyond the law's five numbers."""
    return max(1, len(runs) - 5)


def interval(
    law: Law, others: Sequence[Law], error: float, degrees: int, parameters: float, tokens: float
) -> tuple[float, float]:
    """Between which losses nine of ten runs are expected: the laws' spread, and that of runs about them.

    The error is the typical one, with as many degrees of freedom as it was estimated with.
    """
    expected = law.loss(parameters, tokens)
    low, high = np.quantile([each.loss(parameters, tokens) for each in others], [0.05, 0.95])
    own = student_reach(1 - CONFIDENCE, degrees) * error * expected
    return expected - math.hypot(max(0.0, expected - low), own), expected + math.hypot(
        max(0.0, high - expected), own
    )


def _check(runs: Sequence[Observed]) -> None:
    if len(runs) < FEWEST_RUNS:
        raise TextError(f"a law has five numbers and wants {FEWEST_RUNS} runs or more; {len(runs)} are given")
    for name, found in (
        ("size", {run.parameters for run in runs}),
        ("number of tokens", {run.tokens for run in runs}),
    ):
        if len(found) < 2:
            raise TextError(f"all runs have one {name}, {found.pop():,.0f}; a law wants several of each")


class _Scene:
    """The runs as arrays, seen from their middle: there the five numbers can be told apart best.

    A vector is (a, b, e, alpha, beta): the logs of the three terms at the middle, and the exponents.
    """

    def __init__(self, runs: Sequence[Observed]) -> None:
        n, d = (np.log([getattr(run, name) for run in runs]) for name in ("parameters", "tokens"))
        self.middle = float(n.mean()), float(d.mean())
        self.n, self.d = n - self.middle[0], d - self.middle[1]
        self.log_loss: Array = np.log([run.loss for run in runs])

    def starts(self) -> Array:
        """Shares of the least loss that are for ever, splits of the rest, exponents: all combinations."""
        least = math.exp(float(self.log_loss.min()))
        return np.array(
            [
                [math.log((1 - kept) * least * split), math.log((1 - kept) * least * (1 - split)),
                 math.log(kept * least), alpha, beta]
                for kept in (0.05, 0.3, 0.6, 0.9)
                for split in (0.2, 0.5, 0.8)
                for alpha in (0.1, 0.3, 0.6, 1.0)
                for beta in (0.1, 0.3, 0.6, 1.0)
            ]
        )  # fmt: skip

    def terms(self, vectors: Array) -> Array:
        """The logs of the three terms, for every vector and run."""
        a, b, e, alpha, beta = (vectors[:, i, None] for i in range(5))
        return np.stack(
            [a - alpha * self.n, b - beta * self.d, np.broadcast_to(e, (len(a), len(self.n)))], -1
        )

    def predicted(self, vectors: Array) -> Array:
        """The log of the loss, for every vector and run."""
        terms = self.terms(vectors)
        top = terms.max(-1)
        return np.asarray(top + np.log(np.exp(terms - top[..., None]).sum(-1)))

    def minimised(self, starts: Array, targets: Array, exponents: Array) -> tuple[Array, Array]:
        """Levenberg and Marquardt's steps on weighted squares, whose weights make Huber's loss of them.

        `targets` are log losses and `exponents` what those are pulled to, the same for all starts or a row
        for each. Each start goes its own way, with a damping of its own. Returns vectors and their loss.
        """
        now, damping = starts.copy(), np.full(len(starts), 1e-2)
        badness = huber(self.predicted(now) - targets) + pull(now, exponents)
        for _ in range(ITERATIONS):
            terms, predicted = self.terms(now), self.predicted(now)
            errors = predicted - targets
            weights = np.minimum(1.0, DELTA / np.maximum(np.abs(errors), 1e-12))
            shares = np.exp(terms - predicted[..., None])
            slopes = np.concatenate(
                [shares, -shares[..., :1] * self.n[:, None], -shares[..., 1:2] * self.d[:, None]], -1
            )
            square = np.einsum("sri,sr,srj->sij", slopes, weights, slopes)
            pulled = np.einsum("sri,sr->si", slopes, weights * errors)
            square[:, (3, 4), (3, 4)] += PULL
            pulled[:, 3:] += PULL * (now[:, 3:] - exponents)
            scale = np.einsum("sii->si", square) + 1e-9
            square += np.einsum("s,si,ij->sij", damping, scale, np.eye(5))
            step = np.linalg.solve(square, -pulled[..., None])[..., 0]
            tried = now + np.clip(step, -1.0, 1.0)
            tried[:, 3:] = np.clip(tried[:, 3:], 0.01, STEEPEST)
            tried[:, :3] = np.clip(tried[:, :3], -30.0, 30.0)
            found = huber(self.predicted(tried) - targets) + pull(tried, exponents)
            better = found < badness
            now[better], badness[better] = tried[better], found[better]
            damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-9, 1e6)
            if (damping > STUCK).all():
                break
        return now, badness

    def law(self, vector: Array) -> Law:
        """A vector as a law."""
        a, b, e, alpha, beta = (float(x) for x in vector)
        n, d = self.middle
        return Law(E=math.exp(e), A=math.exp(a + alpha * n), B=math.exp(b + beta * d), alpha=alpha, beta=beta)

    def vector(self, law: Law) -> Array:
        """A law as a vector."""
        n, d = self.middle
        a, b = math.log(law.A) - law.alpha * n, math.log(law.B) - law.beta * d
        return np.array([a, b, math.log(max(law.E, 1e-13)), law.alpha, law.beta])


def huber(errors: Array) -> Array:
    """Huber's loss, summed over the runs: half the square of small errors, a line for large ones (1964)."""
    size = np.abs(errors)
    each = np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
    return np.asarray(each.sum(-1))


def pull(vectors: Array, exponents: Array) -> Array:
    """What exponents cost that are away from where they are pulled to."""
    return np.asarray(0.5 * PULL * ((vectors[:, 3:] - exponents) ** 2).sum(-1))
