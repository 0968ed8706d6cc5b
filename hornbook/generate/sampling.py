"""Choosing the next token from a model's scores.

    tokens = choose(logits, SamplingConfig(temperature=0.8, top_p=0.95), generator)

The steps are always taken in this order: the scores are divided by the temperature and become
probabilities; `top_k` keeps the most probable tokens; `top_p` keeps the nucleus of what is left, measured
after it was made to sum to one again; one of the kept tokens is drawn. Tokens of equal score rank by
their id, the lower one first. `reference.py` says the same in plain loops.
"""

from __future__ import annotations

import pydantic
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from hornbook.base.config import Config
from hornbook.base.errors import HornbookError


class SamplingConfig(Config):
    """How the next token is chosen."""

    temperature: float = 0.8
    """Divides the scores: below 1 the choice is bolder, above 1 more even; 0: the most probable token."""
    top_k: int | None = None
    """How many of the most probable tokens may be drawn; None: all."""
    top_p: float | None = None
    """Share of the probability that the tokens which may be drawn must reach; None: all of it."""

    @pydantic.field_validator("temperature")
    @classmethod
    def _not_negative(cls, value: float) -> float:
        if value < 0:
            raise ValueError(
                f"{value} is below 0; use 0 for the most probable token, 1 for the scores as they are"
            )
        return value

    @pydantic.field_validator("top_k")
    @classmethod
    def _at_least_one(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError(
                f"{value} leaves no token to choose; use 1 or more, or leave it out for all tokens"
            )
        return value

    @pydantic.field_validator("top_p")
    @classmethod
    def _is_share(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value <= 1:
            raise ValueError(
                f"{value} is no share; use a number above 0 and up to 1, or leave it out for all tokens"
            )
        return value


def choose(
    logits: Float[Tensor, "batch vocab"], config: SamplingConfig, generator: torch.Generator
) -> Int[Tensor, " batch"]:
    """Choose one token for each row.

    Each row takes one number from the generator, or none at temperature 0. The generator may live on
    another device than the logits: with one on the CPU the draws are the same everywhere. Scores that are
    not numbers are a `HornbookError`.
    """
    _check_scores(logits)
    if config.temperature == 0:
        return logits.argmax(-1)
    mass = probabilities(logits, config).cumsum(-1)
    draw = torch.rand(len(logits), 1, generator=generator, dtype=mass.dtype, device=generator.device)
    # The first token whose running sum passes the draw. The draw is below 1, so there always is one,
    # and a token of probability 0 adds nothing to the sum, so it never is.
    return torch.searchsorted(mass, draw.to(mass.device) * mass[:, -1:], right=True).squeeze(-1)


def probabilities(
    logits: Float[Tensor, "batch vocab"], config: SamplingConfig
) -> Float[Tensor, "batch vocab"]:
    """The probability with which `choose` takes each token; 0 for those that may not be drawn.

    Computed in float64, so that sums over a large vocabulary stay exact enough for the draw; in float32
    on Apple's MPS devices, which have nothing wider.
    """
    if config.temperature == 0:
        return functional.one_hot(logits.argmax(-1), logits.size(-1)).double()
    scores = logits.to(torch.float32 if logits.device.type == "mps" else torch.float64)
    # With the best score at 0, no temperature is so small that the division overflows upwards.
    shares = ((scores - scores.amax(-1, keepdim=True)) / config.temperature).softmax(-1)
    if config.top_k is None and config.top_p is None:
        return shares
    ranked, order = shares.sort(dim=-1, descending=True, stable=True)
    if config.top_k is not None:
        ranked = _keep_first(ranked, config.top_k)
    if config.top_p is not None:
        ranked = _keep_nucleus(ranked, config.top_p)
    return torch.zeros_like(shares).scatter(-1, order, ranked)


def _keep_first(ranked: Float[Tensor, "batch vocab"], k: int) -> Float[Tensor, "batch vocab"]:
    """The k most probable tokens, made to sum to one (Fan et al. 2018)."""
    kept = functional.pad(ranked[:, :k], (0, max(0, ranked.size(-1) - k)))
    return kept / kept.sum(-1, keepdim=True)


def _keep_nucleus(ranked: Float[Tensor, "batch vocab"], p: float) -> Float[Tensor, "batch vocab"]:
    """The fewest most probable tokens that together reach p, made to sum to one.

    Holtzman et al. 2020, equations 2 and 3. A token stays where those before it fall short of p; before
    the first there is nothing, so at least one always stays.
    """
    before = functional.pad(ranked.cumsum(-1)[:, :-1], (1, 0))
    kept = ranked * (before < p)
    return kept / kept.sum(-1, keepdim=True)


def _check_scores(logits: Float[Tensor, "batch vocab"]) -> None:
    """Refuse a row without a finite best score: nothing sensible can be drawn from it."""
    best = logits.amax(-1)
    if not bool(best.isfinite().all()):
        odd = best[~best.isfinite()][0].item()
        raise HornbookError(
            f"the model's best score for the next token is {odd}, not a number to choose by; "
            "its weights are damaged or its training diverged: load an earlier checkpoint"
        )
