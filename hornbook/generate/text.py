"""Text in, text out: prompts encoded, tokens decoded as they come.

    print(generate_text(model, tokenizer, "def main(", max_new_tokens=100))

A decoder goes on with a prompt. Documents begin with the end-of-text token in training, so it goes before
every prompt, and a model that gives it out has come to the end. An encoder-decoder reads the prompt and
answers it: both texts end with that token, and begin with the tokenizer's own one for beginnings where it has
one. How the text is shown is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch

from hornbook.base.errors import ConfigError
from hornbook.base.randomness import stream_seed
from hornbook.generate.decode import answer_ids, generate_ids
from hornbook.generate.sampling import SamplingConfig
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.tokenizer import StreamDecoder, Tokenizer
from hornbook.tokenizer.engine import TextStream

Writer: TypeAlias = CausalLM | Seq2SeqLM
"""A model that writes text."""

DEFAULT_SAMPLING = SamplingConfig()


def generate_text(
    model: Writer,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    sampling: SamplingConfig = DEFAULT_SAMPLING,
    max_new_tokens: int = 200,
    seed: int = 0,
) -> str:
    """Return what the model writes after a prompt, without the prompt; see `stream_text`."""
    pieces = stream_text(
        model, tokenizer, prompt, sampling=sampling, max_new_tokens=max_new_tokens, seed=seed
    )
    return "".join(pieces)


def stream_text(
    model: Writer,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    sampling: SamplingConfig = DEFAULT_SAMPLING,
    max_new_tokens: int = 200,
    seed: int = 0,
) -> Iterator[str]:
    """Yield what the model writes after a prompt, piece by piece, never half a character.

    It ends where the model ends its text, or after `max_new_tokens`. The same seed gives the same text on
    the same machine. An empty prompt starts a new document. The names of special tokens in the prompt are
    plain text. Mistakes are raised by this call, before the first piece is asked for.
    """
    ids, generator = tokenizer.encode(prompt, disallowed_special=()), sampling_generator(seed)
    if isinstance(model, Seq2SeqLM):
        begin, end = _begin_and_end(tokenizer)
        tokens = answer_ids(
            model,
            begin + ids + end,
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            stop=frozenset(end),
            generator=generator,
        )
        return _pieces(tokenizer.stream(), (token for token in tokens if token not in begin))
    tokens = generate_ids(
        model,
        start_of_text(tokenizer) + ids,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        stop=end_of_text(tokenizer),
        generator=generator,
    )
    return decoded(tokenizer, tokens)


def _begin_and_end(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """What stands before and after the texts of an encoder-decoder."""
    if tokenizer.end_of_text is None:
        raise ConfigError(
            "the tokenizer names no token that ends a text, and an answer must have an end; name it as "
            "eos_token in its tokenizer_config.json"
        )
    begin = tokenizer.special_tokens.get(tokenizer.settings.bos_token or "")
    return [] if begin is None else [begin], [tokenizer.end_of_text]


def start_of_text(tokenizer: Tokenizer) -> list[int]:
    """What goes before a prompt: the end-of-text token, or nothing where the tokenizer has none."""
    return [] if tokenizer.end_of_text is None else [tokenizer.end_of_text]


def end_of_text(tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a text."""
    return frozenset(start_of_text(tokenizer))


def sampling_generator(seed: int) -> torch.Generator:
    """The random stream for sampling. It lives on the CPU, so that all devices draw the same numbers."""
    return torch.Generator().manual_seed(stream_seed(seed, "sampling"))


def decoded(tokenizer: Tokenizer, tokens: Iterator[int]) -> Iterator[str]:
    """Turn tokens that go on with a text into pieces as they come.

    A space that they begin with stays; a character cut off at the end becomes U+FFFD.
    """
    return _pieces(StreamDecoder(tokenizer), tokens)


def _pieces(decoder: TextStream, tokens: Iterator[int]) -> Iterator[str]:
    for token in tokens:
        if piece := decoder.push(token):
            yield piece
    if rest := decoder.finish():
        yield rest
