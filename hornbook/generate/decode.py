"""Token ids out of a model, one at a time.

    for token in generate_ids(model, prompt, sampling=..., max_new_tokens=100, generator=...):
        ...
    for token in answer_ids(encoder_decoder, source, sampling=..., max_new_tokens=100, generator=...):
        ...

A `Context` is what the model has in view and the cache of what it has read of it; `extend` adds tokens to
one and makes more, which stay in it, so that a text can go on without being read again. Between two
tokens the model is exactly as the caller left it, training mode included. What the ids mean is not known
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hornbook.base.errors import ConfigError, TextError
from hornbook.generate.sampling import SamplingConfig, choose
from hornbook.model.cache import KVCache
from hornbook.model.context import Memory
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM


def generate_ids(
    model: CausalLM,
    prompt: Sequence[int],
    *,
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int] = frozenset(),
    generator: torch.Generator,
) -> Iterator[int]:
    """Continue a prompt, token by token, until a token of `stop` or `max_new_tokens` of them.

    The stop token itself is not given out. The prompt has at least one token: to start from nothing, give
    the end-of-text token. There is no limit to the length: see `Context` for what the model then sees.
    """
    context = Context(model, min(model.max_seq_len, len(prompt) + max(max_new_tokens, 0)))
    return extend(
        context,
        prompt,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        stop=stop,
        generator=generator,
    )


def answer_ids(
    model: Seq2SeqLM,
    source: Sequence[int],
    *,
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int] = frozenset(),
    generator: torch.Generator,
) -> Iterator[int]:
    """Let an encoder-decoder read a source and write its answer, token by token.

    It ends as `generate_ids` does, or where the decoder's `max_seq_len` is full: an answer that has lost its
    beginning from view would be none.
    """
    length = min(max_new_tokens, model.decoder.max_seq_len)
    context = Context(model.decoder, max(length, 1), read_source(model, source))
    return extend(
        context,
        [model.start_token],
        sampling=sampling,
        max_new_tokens=length,
        stop=stop,
        generator=generator,
    )


def read_source(model: Seq2SeqLM, source: Sequence[int]) -> Memory:
    """What an encoder makes of some tokens."""
    if not source:
        raise TextError("the source has no tokens; give some text")
    tokens = model.encoder.embedding.tokens
    _check_ids(source, tokens.num_embeddings)
    with torch.inference_mode(), evaluating(model.encoder):
        return model.encode(torch.tensor([source], device=tokens.weight.device))


def extend(
    context: Context,
    tokens: Sequence[int],
    *,
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int] = frozenset(),
    generator: torch.Generator,
) -> Iterator[int]:
    """Add tokens to a context and continue it as `generate_ids` does; it keeps every token given out.

    Mistakes are raised by this call, before the first token is asked for, and leave the context as it was.
    """
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is {max_new_tokens}; ask for at least 1 token")
    if not context.tokens and not tokens:
        raise TextError("the prompt has no tokens; give some text, or the end-of-text token to start one")
    context.add(tokens)
    return _extend(context, sampling, max_new_tokens, stop, generator)


def _extend(
    context: Context,
    sampling: SamplingConfig,
    max_new_tokens: int,
    stop: frozenset[int],
    generator: torch.Generator,
) -> Iterator[int]:
    for _ in range(max_new_tokens):
        token = int(choose(context.scores(), sampling, generator))
        if token in stop:
            return
        context.add([token])
        yield token


class Context:
    """The tokens a model has in view, and the cache that spares it from reading them again.

    When they outgrow the model's `max_seq_len`, the last half of that length stays in view and is read
    again from position 0; what lies further back is forgotten. A text can so go on for any length, at the
    price of one longer step every half context. `length` is the most tokens that will be held (None:
    `max_seq_len`), to spare memory where the end is known. `memory` is what the decoder of an
    encoder-decoder reads beside them.
    """

    def __init__(self, model: CausalLM, length: int | None = None, memory: Memory | None = None) -> None:
        self.model = model
        self.memory = memory
        self.tokens: list[int] = []
        self._length = length
        self._cache: KVCache | None = None
        self._scores: Float[Tensor, "1 vocab"] | None = None

    def add(self, tokens: Sequence[int]) -> None:
        """Put tokens behind those in view; they are read when scores are asked for."""
        _check_ids(tokens, self.model.head.out_features)
        self.tokens += tokens
        if len(self.tokens) > self.model.max_seq_len:
            self.tokens = self.tokens[-max(1, self.model.max_seq_len // 2) :]
            self._cache = None

    def scores(self) -> Float[Tensor, "1 vocab"]:
        """The model's logits for the token after those in view; reads what is not yet in the cache."""
        cache = self._cache or self.model.make_cache(1, self._length)
        unread = self.tokens[cache.length :]
        if unread or self._scores is None:
            # Out of reach while it is written: an interrupt in the middle must not leave half a cache.
            self._cache = None
            self._scores = _last_logits(self.model, unread, cache, self.memory)
            self._cache = cache
        return self._scores


def _check_ids(tokens: Sequence[int], vocab_size: int) -> None:
    for token in tokens:
        if not 0 <= token < vocab_size:
            raise TextError(
                f"token {token} is not one of the model's {vocab_size} (0 to {vocab_size - 1}); "
                "encode the text with the tokenizer the model was trained with"
            )


def _last_logits(
    model: CausalLM, tokens: Sequence[int], cache: KVCache, memory: Memory | None
) -> Float[Tensor, "1 vocab"]:
    """Read tokens behind the cache; the head is applied to the last position alone."""
    device = model.embedding.tokens.weight.device
    with torch.inference_mode(), evaluating(model):
        features = model.features(torch.tensor([tokens], device=device), cache=cache, memory=memory)
        logits = model.logits(features[:, -1])
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and those that were training back when the block ends."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
