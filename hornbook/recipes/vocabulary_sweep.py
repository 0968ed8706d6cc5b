"""How large should the vocabulary be? One training, many vocabularies, each measured on text it never saw.

Merges are learned one after another, and what comes later changes nothing of what came before. So one
training to the largest size gives all smaller ones too: `first_tokens` cuts them out, exactly as training to
that size would have made them. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hornbook.base.errors import ConfigError
from hornbook.base.progress import Progress, silent
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.measure import compression
from hornbook.tokenizer.tokenizer import Tokenizer

SIZES = tuple(2**power for power in range(10, 17))
"""The sizes of a sweep: 1,024 to 65,536."""


@dataclass(frozen=True)
class Point:
    """One vocabulary of a sweep."""

    vocab_size: int
    bytes_per_token: float
    """On the held-out text."""
    used_share: float
    """The share of the vocabulary that the held-out text uses."""


@dataclass(frozen=True)
class Sweep:
    """All vocabularies of a sweep, the smallest first."""

    tokenizer: Tokenizer
    """The largest one."""
    points: list[Point]
    asked: int
    """The largest size that was asked for; the text may have given less."""


def sweep(
    texts: Sequence[str],
    held_out: Sequence[str],
    pattern: str,
    sizes: Sequence[int] = SIZES,
    progress: Progress = silent,
) -> Sweep:
    """Train once on some texts, and measure each size on the held-out ones, as far as the texts give it."""
    largest = Tokenizer.train(texts, max(sizes), pattern=pattern, special_tokens=(), progress=progress)
    reached = sorted({min(size, largest.vocab_size) for size in sizes})
    points = []
    for vocab_size in reached:
        found = compression(first_tokens(largest, vocab_size), held_out)
        points.append(Point(vocab_size, found.bytes_per_token, found.used_share))
    return Sweep(largest, points, max(sizes))


def first_tokens(tokenizer: Tokenizer, vocab_size: int) -> Tokenizer:
    """Return the tokenizer that training to a smaller vocabulary would have given.

    It is for tokenizers that were trained here: their ids are the bytes, the tokens in the order in which
    they were learned, and the special tokens last.
    """
    whole, n_special = tokenizer.vocabulary, len(tokenizer.special_tokens)
    n_tokens, fewest = vocab_size - n_special, 256 + n_special
    if not fewest <= vocab_size <= tokenizer.vocab_size:
        raise ConfigError(
            f"vocab_size={vocab_size} is not among the sizes this tokenizer holds, {fewest} to "
            f"{tokenizer.vocab_size}"
        )
    ordinary = len(whole.tokens) - n_special
    assert all(place >= ordinary for place in whole.special_tokens.values()), "trained elsewhere"
    # Training stops with the merge that makes the last token; a merge may also make one there is already.
    n_merges = 0
    if n_tokens > 256:
        n_merges = 1 + int(np.flatnonzero(whole.merged() == n_tokens - 1)[0])
    smaller = replace(
        whole,
        tokens=[*whole.tokens[:n_tokens], *whole.tokens[ordinary:]],
        left=whole.left[:n_merges],
        right=whole.right[:n_merges],
        ranks=whole.ranks[:n_merges],
        special_tokens={text: place - ordinary + n_tokens for text, place in whole.special_tokens.items()},
    )
    return Tokenizer(ByteLevel(smaller), tokenizer.settings)
