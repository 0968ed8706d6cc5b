"""Sequences as windows over the token stream: the textbook's loader, shuffled.

Windows advance by a stride, of a whole sequence or less. Every epoch shifts the cuts and draws the windows in
a new order, from a random stream of its own. `data.reference.windows` is the same to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import TextError
from hornbook.base.randomness import stream
from hornbook.data.batch import Rows
from hornbook.data.shards import TokenShards


class Windows:
    """The windows of one text, an epoch after the other; a source of rows."""

    def __init__(
        self,
        shards: TokenShards,
        *,
        seq_len: int,
        seed: int,
        document_mask: bool,
        stride: int | None = None,
    ) -> None:
        self.shards, self.seq_len, self.seed, self.document_mask = shards, seq_len, seed, document_mask
        self.stride = stride or seq_len
        assert self.stride <= seq_len, "text between the windows would be lost"
        # One stride is given up so that every epoch can shift its cuts by up to stride - 1 tokens.
        self.n_rows = max(0, len(shards) - 1 - seq_len) // self.stride
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def rows(self, numbers: Sequence[int]) -> Rows:
        """The windows of these numbers, counted through all epochs."""
        starts = [self._start(number) for number in numbers]
        return read_rows(self.shards, starts, self.seq_len, self.document_mask)

    def require(self, n_rows: int) -> None:
        """Refuse a text that has fewer windows than that."""
        if self.n_rows < n_rows:
            needed = n_rows * self.stride + self.seq_len + 1
            raise TextError(
                f"the text has {len(self.shards):,} training tokens, but one batch of {n_rows} sequences of "
                f"{self.seq_len} needs {needed:,}; give more text, or a smaller data.batch_size or "
                "data.seq_len"
            )

    def describe(self) -> str:
        """What is to be said before training: nothing where windows stand side by side."""
        if self.stride == self.seq_len:
            return ""
        times = f"{self.seq_len / self.stride:.3g}"
        return f"windows of {self.seq_len} tokens every {self.stride}: an epoch reads the text {times} times"

    def _start(self, number: int) -> int:
        """Where a window begins in the token stream."""
        epoch, within = divmod(number, self.n_rows)
        shift, order = self._order(epoch)
        return shift + int(order[within]) * self.stride

    def _shuffle(self, epoch: int) -> tuple[int, NDArray[np.int64]]:
        generator = stream(self.seed, "data", epoch)
        return int(generator.integers(self.stride)), generator.permutation(self.n_rows)


def read_rows(shards: TokenShards, starts: Sequence[int], seq_len: int, document_mask: bool) -> Rows:
    """Windows that begin at the given places of the token stream; without the mask all are one document."""
    tokens = np.stack([shards.read(start, start + seq_len + 1) for start in starts])
    if not document_mask:
        return Rows(tokens)
    return Rows(tokens, np.stack([shards.document_numbers(start, start + seq_len + 1) for start in starts]))
