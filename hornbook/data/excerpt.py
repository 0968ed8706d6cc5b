"""Some documents of a long text, spread evenly over it: what is measured where all would take too long.

    some = excerpt(shards, most_tokens=10_000_000)

It is read as token shards are. The same text and number always give the same documents.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hornbook.data.shards import TokenShards

FEWEST = 8
"""About how many documents an excerpt takes at least, where a text has so many."""


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

    The longest are cut, all to one length, where the chosen ones come to more. Of one document this is its
    beginning.
    """
    if len(shards) <= most_tokens:
        return None
    lengths = np.diff(shards.offsets, append=len(shards))
    counted = int(np.minimum(lengths, max(1, most_tokens // FEWEST)).sum())
    every = -(-counted // most_tokens)
    starts, lengths = shards.offsets[::every], lengths[::every]
    # The greatest length to which all can be cut.
    longest = bisect_right(
        range(1, most_tokens + 1), most_tokens, key=lambda length: int(np.minimum(lengths, length).sum())
    )
    lengths = np.minimum(lengths, longest)
    places = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
    return Excerpt([shards.read(start, stop) for start, stop in places])
