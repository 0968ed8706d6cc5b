"""How tokens are made: the merges of a vocabulary as a list, and the way from single bytes to one token.

The smallest rank is merged first, wherever in a word it stands. So inside those bytes of a word that end as
one token, the same merges are done in the same order as in a word of these bytes alone. A token therefore
has one way to be made, in all texts, and `Maker` finds it; other merges that spell the same token are
never done. `surgery.py` and `rank_table.py` stand on this. Plain Python, for vocabularies and not for texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from hornbook.tokenizer.vocabulary import Vocabulary


class Merge(NamedTuple):
    """One merge, by ids; sorted, merges are in the order in which they are done."""

    rank: int
    left: int
    right: int
    made: int


def merges_of(vocabulary: Vocabulary) -> list[Merge]:
    """Return the merges of a vocabulary, in the order it has them."""
    columns = (vocabulary.ranks, vocabulary.left, vocabulary.right, vocabulary.merged())
    return [Merge(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def splits(ids: Mapping[bytes, int]) -> Iterator[tuple[int, int, int]]:
    """Yield every two tokens that together are a token, and that one."""
    for token, made in ids.items():
        for cut in range(1, len(token)):
            left, right = ids.get(token[:cut]), ids.get(token[cut:])
            if left is not None and right is not None:
                yield left, right, made


class Maker:
    """Makes tokens from their bytes by the merges of one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ids = vocabulary.ordinary_ids()
        self._merges = {(merge.left, merge.right): merge for merge in merges_of(vocabulary)}

    def make(self, token: bytes) -> tuple[list[int], list[Merge]]:
        """Return the ids that a token's bytes become by merges alone, and these merges in their order.

        There is one id, the token's own, unless the merges stop before.
        """
        parts = [self.ids[bytes([byte])] for byte in token]
        way: list[Merge] = []
        while True:
            pairs = enumerate(pairwise(parts))
            known = [(self._merges[pair].rank, at) for at, pair in pairs if pair in self._merges]
            if not known:
                return parts, way
            _, at = min(known)
            way.append(self._merges[parts[at], parts[at + 1]])
            parts[at : at + 2] = [way[-1].made]
