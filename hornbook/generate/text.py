"""Text in, text out: prompts encoded, tokens decoded as they come.

    print(generate_text(model, tokenizer, "def main(", max_new_tokens=100))

Documents begin with the end-of-text token in training, so it goes before every prompt, and a model that
gives it out has come to the end. How the text is shown is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from hornbook.base.randomness import stream_seed
from hornbook.generate.decode import generate_ids
from hornbook.generate.sampling import SamplingConfig
from hornbook.model.models import CausalLM
from hornbook.tokenizer import StreamDecoder, Tokenizer

DEFAULT_SAMPLING = SamplingConfig()


def generate_text(
    model: CausalLM,
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
    model: CausalLM,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    sampling: SamplingConfig = DEFAULT_SAMPLING,
    max_new_tokens: int = 200,
    seed: int = 0,
) -> Iterator[str]:
    """Yield what the model writes after a prompt, piece by piece, never half a character.

    It ends where the model ends its document, or after `max_new_tokens`. The same seed gives the same text
    on the same machine. An empty prompt starts a new document. The names of special tokens in the prompt
    are plain text. Mistakes are raised by this call, before the first piece is asked for.
    """
    tokens = generate_ids(
        model,
        start_of_text(tokenizer) + tokenizer.encode(prompt, disallowed_special=()),
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        stop=end_of_text(tokenizer),
        generator=sampling_generator(seed),
    )
    return decoded(tokenizer, tokens)


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
    """Turn tokens into pieces of text as they come; a character cut off at the end becomes U+FFFD."""
    decoder = StreamDecoder(tokenizer)
    for token in tokens:
        if piece := decoder.push(token):
            yield piece
    if rest := decoder.finish():
        yield rest
