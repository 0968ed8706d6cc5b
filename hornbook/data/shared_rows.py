"""A batch whose rows are shared out between several objectives, in exact proportion at every step.

collate = SharedRows((spans, continued), (3, 1))     # of 16 rows, 12 and 4
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hornbook.data.batch import Batch, Collate, Rows


@dataclass(frozen=True)
class SharedRows:
    """Each objective gets its share of the rows, the first ones the first objective."""

    collates: Sequence[Collate]
    """What makes a batch of the rows of each."""
    weights: Sequence[float]
    """The shares, as numbers that stand to one another as these do."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        found: Batch | None = None
        begin = len(rows.tokens)
        counts = share_out(begin, self.weights)
        for part, (collate, count) in reversed(list(enumerate(zip(self.collates, counts, strict=True)))):
            begin -= count
            if count:
                own = collate(rows.part(slice(begin, begin + count)), generator)
                found = replace(own, part=part, others=found)
        assert found is not None, "a batch has a row"
        return found


def share_out(n_rows: int, weights: Sequence[float]) -> list[int]:
    """Share rows out by weights: whole numbers that sum up, each less than one off."""
    exact = [n_rows * weight / sum(weights) for weight in weights]
    counts = [int(share + 1e-9) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: n_rows - sum(counts)]:
        counts[i] += 1
    return counts
