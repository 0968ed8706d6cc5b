"""Training to read: the whole loop on one screen, and both optimizers as the papers' equations stand.

The tests prove that the fast step, AdamW and Muon change weights exactly as these do. Nothing here
accumulates, resumes or runs in a lower precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def train(
    model: nn.Module,
    batches: Iterable[tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]],
    update: Callable[[str, Tensor, Tensor], Tensor],
) -> list[float]:
    """Learn from batches of (tokens, targets): predict, compare, blame, change. Return the losses.

    `update` takes a weight's name, the weight and its gradient, and returns the new weight.
    """
    losses = []
    for tokens, targets in batches:
        logits = model(tokens)  # a score for every possible next token, at every place
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()  # how would each weight have to change?
        with torch.no_grad():
            for name, weight in model.named_parameters():
                assert weight.grad is not None
                weight.copy_(update(name, weight, weight.grad))
        losses.append(loss.item())
    return losses


def cross_entropy(logits: Float[Tensor, "n vocab"], targets: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The mean surprise at what came next, in nats: minus the log of the share the model gave to it."""
    powers = torch.exp(logits - logits.max(-1, keepdim=True).values)
    shares = powers / powers.sum(-1, keepdim=True)
    return -torch.log(shares[torch.arange(len(targets)), targets]).mean()


def cross_entropy_and_z_loss(
    logits: Float[Tensor, "n vocab"], targets: Int[Tensor, " n"], weight: float
) -> Float[Tensor, ""]:
    """The same, and a price on large logits: the square of the log of the sum that shares are taken of."""
    z = torch.log(torch.exp(logits).sum(-1))
    return cross_entropy(logits, targets) + weight * (z**2).mean()


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    def __init__(
        self, rate: float, betas: tuple[float, float], eps: float, decay: Callable[[str], float]
    ) -> None:
        self.rate, self.betas, self.eps, self.decay = rate, betas, eps, decay
        self.mean: dict[str, Tensor] = {}
        self.square: dict[str, Tensor] = {}
        self.count: dict[str, int] = {}

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        beta1, beta2 = self.betas
        t = self.count[name] = self.count.get(name, 0) + 1
        zero = torch.zeros_like(weight)
        m = self.mean[name] = beta1 * self.mean.get(name, zero) + (1 - beta1) * gradient
        v = self.square[name] = beta2 * self.square.get(name, zero) + (1 - beta2) * gradient**2
        m_unbiased = m / (1 - beta1**t)
        v_unbiased = v / (1 - beta2**t)
        decayed = weight - self.rate * self.decay(name) * weight
        return decayed - self.rate * m_unbiased / (torch.sqrt(v_unbiased) + self.eps)


class Muon:
    """Momentum made orthogonal (Jordan et al. 2024), for one matrix at a time."""

    def __init__(self, rate: float, momentum: float, steps: int) -> None:
        self.rate, self.momentum, self.steps = rate, momentum, steps
        self.mean: dict[str, Tensor] = {}

    def __call__(self, name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        mean = self.mean.get(name, torch.zeros_like(weight))
        mean = self.mean[name] = self.momentum * mean + (1 - self.momentum) * gradient
        ahead = self.momentum * mean + (1 - self.momentum) * gradient
        rows, columns = weight.shape
        return weight - self.rate * math.sqrt(max(1, rows / columns)) * orthogonalise(ahead, self.steps)


def orthogonalise(x: Float[Tensor, "rows columns"], steps: int) -> Float[Tensor, "rows columns"]:
    """Keep a matrix's directions and make them equally strong: every singular value goes near one.

    The polynomial 3.4445 s - 4.775 s^3 + 2.0315 s^5 pulls s towards one; as a product of matrices it acts
    on all singular values at once.
    """
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    return x


def moving_average(history: Sequence[Tensor], decay: float) -> Tensor:
    """Of a weight's values in turn: each fades by `decay` a step, and the first ones weigh alike."""
    average = torch.zeros_like(history[0])
    for count, value in enumerate(history, 1):
        share = max(1 - decay, 1 / count)
        average = (1 - share) * average + share * value
    return average


def learning_rate_share(step: int, steps: int, warmup: float, decay: float) -> float:
    """Up in a line, a plateau, down in a line to zero: the share of the peak rate at a step."""
    if step + 1 < warmup * steps:
        return (step + 1) / (warmup * steps)
    return min(1.0, (1 - step / steps) / decay)
