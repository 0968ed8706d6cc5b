"""Losses to read: what a batch's targets cost, place by place, and the two numbers that people compare.

The logits here are those of every place, whether it is asked for or not. The tests prove that the fast
objective, which computes the head where something is asked, gets the same sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor


def surprise(logits: Float[Tensor, " n"], answer: int) -> float:
    """Minus the log of the share that a softmax gives to the answer, in nats."""
    scores = [float(score) for score in logits]
    top = max(scores)
    return top + math.log(sum(math.exp(score - top) for score in scores)) - scores[answer]


def asked_tokens(
    logits: Float[Tensor, "seq vocab"], targets: Sequence[int], places: Sequence[int], ignored: int
) -> tuple[float, int]:
    """The summed surprise at the targets of one row, each at its place, and how many there were."""
    pairs = [(place, target) for place, target in zip(places, targets, strict=True) if target != ignored]
    return sum(surprise(logits[place], target) for place, target in pairs), len(pairs)


def masked_pairs(token_losses: Sequence[float], pair_losses: Sequence[float]) -> float:
    """What BERT learns from: "the sum of the mean masked LM likelihood and the mean next sentence prediction
    likelihood" (Devlin et al. 2019, appendix A.2)."""
    return sum(token_losses) / len(token_losses) + sum(pair_losses) / len(pair_losses)


def perplexity(total: float, n_tokens: int) -> float:
    """Among how many equally likely tokens the choice would be as hard: it depends on what a token is."""
    return math.exp(total / n_tokens)


def bits_per_byte(total: float, n_bytes: int) -> float:
    """The surprise in bits, for each byte of the text that was predicted: comparable across tokenizers."""
    return total / math.log(2) / n_bytes
