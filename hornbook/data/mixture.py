"""Several texts mixed in exact shares, each going through epochs of its own.

Of the first n rows each source has given its share of n to within one row, for every n: not by chance but
by a rule (Tijdeman 1980, "The chairman assignment problem"). At each turn those sources are candidates that
have fallen behind by a little, and the one that must come soonest is taken. Shares are ten-thousandths, so
after ten thousand rows at most the turns repeat, and any row is found by its number.
`data.reference.turns` is the rule to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from hornbook.data.batch import Rows
from hornbook.data.config import TEN_THOUSAND
from hornbook.data.loader import Source


class Mixture:
    """Rows of several sources in turn; a source of rows itself. Shares are in ten-thousandths."""

    def __init__(self, sources: Mapping[str, Source], shares: Mapping[str, int]) -> None:
        assert sources.keys() == shares.keys() and sum(shares.values()) == TEN_THOUSAND
        self.sources, self.shares = sources, shares
        common = gcd(*shares.values())
        self._parts = [shares[name] // common for name in sources]
        self._turns = turns(self._parts)
        # How many rows each source has given before each turn of a round.
        given = self._turns[:, None] == np.arange(len(self._parts))
        self._before = np.cumsum(given, axis=0) - given

    @property
    def n_rows(self) -> int:
        """Rows in an epoch: as many as all sources have together."""
        return sum(source.n_rows for source in self.sources.values())

    def describe(self) -> str:
        """The shares, and what each source has to say."""
        said = []
        for name, source in self.sources.items():
            share, about = self.shares[name] / TEN_THOUSAND, source.describe()
            said.append(f"{name} {share:.4g}, from {about or f'{source.n_rows:,} sequences'}")
        return "mixture: " + "; ".join(said)

    def rows(self, numbers: Sequence[int]) -> Rows:
        """The rows of these numbers, counted from 0 without end."""
        sources = list(self.sources.values())
        found = [sources[index].rows([row]) for index, row in map(self.place, numbers)]
        tokens, documents = ([getattr(rows, key) for rows in found] for key in ("tokens", "numbers"))
        return Rows(np.concatenate(tokens), np.concatenate(documents))

    def require(self, n_rows: int) -> None:
        """Refuse sources that have not enough rows for their part of a batch."""
        for name, source in self.sources.items():
            source.require(-(-self.shares[name] * n_rows // TEN_THOUSAND))

    def place(self, number: int) -> tuple[int, int]:
        """Which source gives a row, and which of its rows it is."""
        rounds, turn = divmod(number, len(self._turns))
        index = int(self._turns[turn])
        return index, rounds * self._parts[index] + int(self._before[turn, index])


def turns(parts: Sequence[int]) -> NDArray[np.int64]:
    """Whose turn it is in a round, in which each source has as many turns as it has parts."""
    total, slack = sum(parts), max(1, 2 * len(parts) - 2)
    given = [0] * len(parts)
    found = np.empty(total, np.int64)
    for turn in range(total):
        # With a share s and g turns given: s * (turn + 1) - g >= 1 / slack, in whole numbers.
        behind = [
            i for i, part in enumerate(parts) if slack * (part * (turn + 1) - total * given[i]) >= total
        ]
        # Its next turn must come before (g + 1 - 1 / slack) / s.
        found[turn] = chosen = min(behind, key=lambda i: (slack * (given[i] + 1) - 1) / parts[i])
        given[chosen] += 1
    return found
