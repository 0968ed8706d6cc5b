"""Some documents of a long text, spread evenly over it: what is measured where all would take too long.

    some = excerpt(shards, most_tokens=10_000_000)

It is read as token shards are. The same text and number always give the same documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hornbook.data.shards import TokenShards


class Excerpt:
    """Documents of a text one after the other, in memory."""

    def __init__(self, documents: list[NDArray[np.int64]]) -> None:
        self._tokens = np.concatenate(documents)
        self._starts = np.cumsum([0, *map(len, documents)])

    def __len__(self) -> int:
        return len(self._tokens)

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Tokens [start, stop)."""
        return self._tokens[start:stop]

    def document_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """For tokens [start, stop): the number of the document each belongs to."""
        return self._starts.searchsorted(np.arange(start, stop), side="right") - 1

    def documents(self) -> Iterator[NDArray[np.int64]]:
        """The documents one by one, each with its leading end-of-text token."""
        for start, stop in pairwise(self._starts.tolist()):
            yield self._tokens[start:stop]


def excerpt(shards: TokenShards, most_tokens: int) -> Excerpt | None:
    """Documents at equal distances in a text that come to `most_tokens` at most; None: all of them do.

    Where even the first one is longer, it is cut.
    """
    if len(shards) <= most_tokens:
        return None
    ends = np.append(shards.offsets[1:], len(shards))
    lengths = ends - shards.offsets
    every = -(-len(shards) // most_tokens)
    while every < len(lengths) and lengths[::every].sum() > most_tokens:
        every += 1
    chosen = zip(shards.offsets[::every].tolist(), ends[::every].tolist(), strict=True)
    documents = [shards.read(start, min(end, start + most_tokens)) for start, end in chosen]
    return Excerpt(documents)
