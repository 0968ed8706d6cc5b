"""Ramps: batches and sequences that start small and double, stage after stage, until they are whole.

Early gradients are large and alike, so a small batch shows the way as well as a large one and costs less
(McCandlish et al. 2018); short sequences are cheaper and steadier to begin with (Li et al. 2022). Sizes
follow from the step's number alone, and so does the number of the first row: any step's batch can be named
without counting up to it.

A ramp of the batch takes fewer rows. A ramp of the length takes as many, and cuts each into pieces, so that
no token is left out and every step reads as many tokens as it would without.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hornbook.data.batch import Rows


@dataclass(frozen=True)
class Stages:
    """A size that begins with `first` and has doubled to `whole` after `steps`, in equal stages."""

    first: int
    whole: int
    steps: int

    @property
    def n_doublings(self) -> int:
        """How often it doubles."""
        return (self.whole // self.first).bit_length() - 1

    def size(self, step: int) -> int:
        """The size at a step, counted from 0."""
        return self.first << min(step * self.n_doublings // self.steps, self.n_doublings)

    def before(self, step: int) -> int:
        """The sizes of all steps before this one together."""
        total = begun = 0
        for stage in range(self.n_doublings):
            # The first step of the next stage: where step * n_doublings reaches (stage + 1) * steps.
            end = min(step, -(-(stage + 1) * self.steps // self.n_doublings))
            total += (end - begun) * (self.first << stage)
            begun = end
        return total + (step - begun) * self.whole


def cut(rows: Rows, length: int) -> Rows:
    """Rows cut into pieces of `length` tokens and the one that follows, in the order of the text."""
    documents = None if rows.documents is None else _pieces(rows.documents, length)
    return Rows(_pieces(rows.tokens, length), documents)


def _pieces(values: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """[batch, n * length + 1] as [batch * n, length + 1]: neighbours share the token at their border."""
    starts = range(0, values.shape[1] - 1, length)
    return np.stack([values[:, start : start + length + 1] for start in starts], 1).reshape(-1, length + 1)
