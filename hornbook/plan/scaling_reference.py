"""The scaling law, to read: Hoffmann et al. 2022, section 3.3 and appendix D.2, as they stand.

    E, A, B, alpha, beta = fit([(parameters, tokens, loss), ...])

`scaling.py` finds the same law faster.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

DELTA = 1e-3
"""Errors of log loss below it count by their square, larger ones by their size: a run that went wrong does
not bend the law."""
PUBLISHED, PULL = (0.35, 0.37), 2e-3
"""The exponents are pulled a little to those of large models (Besiroglu et al. 2024): of few runs in a narrow
range they could not be told from E."""


def loss(law: Sequence[float], parameters: float, tokens: float) -> float:
    """What is left for ever, what too few parameters cost, and what too few tokens cost."""
    E, A, B, alpha, beta = law
    return float(E + A / parameters**alpha + B / tokens**beta)


def optimum(law: Sequence[float], flops: float) -> tuple[float, float]:
    """Try ten thousand sizes between one parameter and one token; each has as many tokens as are left for
    it."""
    sizes = [10 ** (math.log10(flops / 6) * i / 10_000) for i in range(10_001)]
    best = min(sizes, key=lambda size: loss(law, size, flops / (6 * size)))
    return best, flops / (6 * best)


def fit(runs: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    """Minimise the sum of Huber's losses by L-BFGS from a grid of starts, and keep the best.

    The law is fitted in logs, log L = log(e^(a - alpha log N) + e^(b - beta log D) + e^e), so that its terms
    stay positive and an error is a share of the loss.
    """
    log_n, log_d, log_loss = (
        torch.tensor(column, dtype=torch.float64).log() for column in zip(*runs, strict=True)
    )
    grid = itertools.product((5.0,), (5.0,), (-1.0, 0.5), (0.2, 0.8), (0.2, 0.8))
    tried = [_descend(start, log_n, log_d, log_loss) for start in grid]
    _, (a, b, e, alpha, beta) = min(tried, key=lambda found: found[0])
    return math.exp(e), math.exp(a), math.exp(b), alpha, beta


def _descend(
    start: Sequence[float], log_n: Tensor, log_d: Tensor, log_loss: Tensor
) -> tuple[float, list[float]]:
    """Go down from one start; return where it ends and how bad that is."""
    numbers = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS(
        [numbers], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )

    def badness() -> Tensor:
        a, b, e, alpha, beta = numbers
        terms = torch.stack([a - alpha * log_n, b - beta * log_d, e.expand_as(log_n)])
        errors = torch.logsumexp(terms, 0) - log_loss
        total: Tensor = torch.nn.functional.huber_loss(
            errors, torch.zeros_like(errors), reduction="sum", delta=DELTA
        )
        total = total + 0.5 * PULL * ((alpha - PUBLISHED[0]) ** 2 + (beta - PUBLISHED[1]) ** 2)
        descent.zero_grad()
        if total.requires_grad:
            total.backward()
        return total

    descent.step(badness)
    with torch.no_grad():
        end = float(badness())
    return (end if math.isfinite(end) else math.inf), numbers.tolist()
