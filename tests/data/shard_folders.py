"""Token shards for tests: a tokenizer of bytes, and shards written straight from lists of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hornbook.data.batch import Batch, next_tokens
from hornbook.data.shards import TokenShards, write_shards
from hornbook.data.windows import read_rows

END = 256
"""The end-of-text id of the tokenizer of bytes."""


@dataclass(frozen=True)
class ByteTokenizer:
    """The plainest tokenizer: every byte is a token, and one more ends a text."""

    vocab_size: int = 257
    end_of_text: int | None = END

    def encode_array(self, text: str, *, disallowed_special: tuple[str, ...]) -> NDArray[np.int32]:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


@dataclass(frozen=True)
class ListedTokenizer:
    """Hands out ids that were fixed beforehand: the text is the number of its list."""

    lists: Sequence[Sequence[int]]
    vocab_size: int
    end_of_text: int | None = 0

    def encode_array(self, text: str, *, disallowed_special: tuple[str, ...]) -> NDArray[np.int32]:
        return np.array(self.lists[int(text)], np.int32)


def shards_of(
    lists: Sequence[Sequence[int]], folder: Path, *, vocab_size: int = 1000, shard_tokens: int = 10**6
) -> TokenShards:
    """Shards whose documents hold the given ids, after the end-of-text id 0 that begins each."""
    tokenizer = ListedTokenizer(lists, vocab_size)
    texts = [str(number) for number in range(len(lists))]
    write_shards(texts, tokenizer, folder, fingerprint="f" * 64, shard_tokens=shard_tokens)
    return TokenShards(folder)


def counted(*lengths: int) -> list[list[int]]:
    """Documents of these lengths whose ids count up from 1 through all of them, so that none comes twice."""
    ends = np.cumsum(lengths).tolist()
    return [list(range(end - length + 1, end + 1)) for length, end in zip(lengths, ends, strict=True)]


def read_batch(shards: TokenShards, starts: Sequence[int], seq_len: int, document_mask: bool) -> Batch:
    """The language-model batch of windows that begin at given places."""
    return next_tokens(read_rows(shards, starts, seq_len, document_mask), np.random.default_rng(0))
