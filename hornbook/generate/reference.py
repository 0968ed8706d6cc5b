"""Generation to read: sampling in plain loops, and a model that reads everything again for each token.

`probabilities` turns scores into what may be drawn, `draw` draws, `generate` repeats both;
`answer` does so for an encoder-decoder. The tests prove the fast parts of this room equal: same seed, same
tokens. Nothing here is fast: without a cache, token n costs a pass over all n before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hornbook.generate.sampling import SamplingConfig
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM


def probabilities(scores: Sequence[float], config: SamplingConfig) -> list[float]:
    """Scores to the probability of drawing each token: temperature, then top-k, then top-p."""
    ranked = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    best = scores[ranked[0]]
    if config.temperature == 0:
        return [float(token == ranked[0]) for token in range(len(scores))]
    # A temperature below 1 widens the gaps between scores, one above 1 narrows them.
    powers = [math.exp((score - best) / config.temperature) for score in scores]
    shares = normalised(powers)
    if config.top_k is not None:
        for token in ranked[config.top_k :]:
            shares[token] = 0.0
        shares = normalised(shares)
    if config.top_p is not None:
        reached = 0.0
        for token in ranked:
            before, reached = reached, reached + shares[token]
            if before >= config.top_p:
                shares[token] = 0.0  # the more probable ones are the nucleus already
        shares = normalised(shares)
    return shares


def normalised(weights: Sequence[float]) -> list[float]:
    """Weights to shares that sum to one."""
    total = sum(weights)
    return [weight / total for weight in weights]


def draw(shares: Sequence[float], number: float) -> int:
    """Lay the shares side by side from 0 to 1; the token in whose stretch the number falls is drawn."""
    reached = 0.0
    for token, share in enumerate(shares):
        reached += share
        if number < reached:
            return token
    return max(token for token, share in enumerate(shares) if share > 0)  # rounding left a gap below 1


def in_view(tokens: list[int], max_seq_len: int) -> list[int]:
    """What the model sees: all tokens, cut back to the last half context whenever they outgrow it."""
    while len(tokens) > max_seq_len:
        tokens = tokens[-max(1, max_seq_len // 2) :]
    return tokens


def generate(
    model: CausalLM,
    prompt: list[int],
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int],
    generator: torch.Generator,
) -> list[int]:
    """Score, draw, append, again: the whole of text generation."""
    view = in_view(prompt, model.max_seq_len)
    written: list[int] = []
    while len(written) < max_new_tokens:
        with torch.no_grad():
            scores = model(torch.tensor([view]))[0, -1]
        token = chosen(scores, sampling, generator)
        if token in stop:
            break
        written.append(token)
        view = in_view([*view, token], model.max_seq_len)
    return written


def answer(
    model: Seq2SeqLM,
    source: list[int],
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int],
    generator: torch.Generator,
) -> list[int]:
    """The same for an encoder-decoder, which looks at the source and has no more room than it has."""
    written: list[int] = []
    while len(written) < min(max_new_tokens, model.decoder.max_seq_len):
        with torch.no_grad():
            target = torch.tensor([[model.start_token, *written]])
            scores = model(torch.tensor([source]), target)[0, -1]
        token = chosen(scores, sampling, generator)
        if token in stop:
            break
        written.append(token)
    return written


def chosen(scores: Float[Tensor, " vocab"], sampling: SamplingConfig, generator: torch.Generator) -> int:
    """The next token by its scores."""
    number = 0.0
    if sampling.temperature > 0:
        number = torch.rand(1, generator=generator, dtype=torch.float64).item()
    return draw(probabilities(scores.double().tolist(), sampling), number)
