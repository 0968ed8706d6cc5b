"""Batches by number: the loader's whole state is one integer, the step.

`loader.batch(step)` is a pure function: the same step gives the same batch, in any process, today or after a
crash, so a run resumes by counting on. The token stream is cut into windows of `seq_len`; every epoch
shifts the cuts and draws the windows in a new order, from a random stream of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.base.errors import TextError
from hornbook.base.randomness import stream
from hornbook.data.batch import IGNORED, Batch, Collate, Rows, next_tokens
from hornbook.data.shards import TokenShards


@runtime_checkable
class Loader(Protocol):
    """What gives a run its batches."""

    @property
    def steps_per_epoch(self) -> float:
        """How many steps go once through the text."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0: the same for the same step, whatever was asked before."""


class WindowLoader:
    """Shuffled windows over token shards, addressed by step."""

    def __init__(
        self,
        shards: TokenShards,
        *,
        seq_len: int,
        batch_size: int,
        seed: int,
        document_mask: bool,
        collate: Collate = next_tokens,
    ) -> None:
        self.shards, self.seq_len, self.batch_size, self.seed = shards, seq_len, batch_size, seed
        self.document_mask, self.collate = document_mask, collate
        # One window is given up so that every epoch can shift its cuts by up to seq_len - 1 tokens.
        self.n_windows = (len(shards) - 1) // seq_len - 1
        if self.n_windows < batch_size:
            needed = (batch_size + 1) * seq_len + 1
            raise TextError(
                f"the text has {len(shards):,} training tokens, but one batch of {batch_size} sequences of "
                f"{seq_len} needs {needed:,}; give more text, or a smaller data.batch_size or data.seq_len"
            )
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def steps_per_epoch(self) -> float:
        """How many steps go once through the text."""
        return self.n_windows / self.batch_size

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        first = step * self.batch_size
        starts = [self._start(i) for i in range(first, first + self.batch_size)]
        rows = read_rows(self.shards, starts, self.seq_len, self.document_mask)
        return self.collate(rows, stream(self.seed, "objective", step))

    def _start(self, number: int) -> int:
        """Where window `number`, counted through all epochs, begins."""
        epoch, within = divmod(number, self.n_windows)
        shift, order = self._order(epoch)
        return shift + int(order[within]) * self.seq_len

    def _shuffle(self, epoch: int) -> tuple[int, NDArray[np.int64]]:
        generator = stream(self.seed, "data", epoch)
        return int(generator.integers(self.seq_len)), generator.permutation(self.n_windows)


def read_rows(shards: TokenShards, starts: Sequence[int], seq_len: int, document_mask: bool) -> Rows:
    """Windows that begin at the given places of the token stream; without the mask all are one document."""
    tokens = np.stack([shards.read(start, start + seq_len + 1) for start in starts])
    if not document_mask:
        return Rows(tokens)
    return Rows(tokens, np.stack([shards.document_numbers(start, start + seq_len + 1) for start in starts]))


def held_out_batches(shards: TokenShards, *, seq_len: int, batch_size: int, overlap: int) -> Iterator[Batch]:
    """Every token of every document predicted once, each with at least `overlap` tokens before it.

    Windows advance by seq_len - overlap within a document; tokens a former window has predicted already
    are only looked at (their targets are IGNORED), and short windows are filled up on the right with
    ignored targets. The end of one document is not predicted from it: each stands alone.
    """
    assert 0 <= overlap < seq_len
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for document in shards.documents():
        rows.extend(_windows(document, seq_len, overlap))
    for start in range(0, len(rows), batch_size):
        tokens, targets = zip(*rows[start : start + batch_size], strict=True)
        yield Batch(torch.from_numpy(np.stack(tokens)), torch.from_numpy(np.stack(targets)))


def _windows(
    document: NDArray[np.int64], seq_len: int, overlap: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Overlapping windows over one document that score each of its tokens but the first once."""
    scored = 1
    while scored < len(document):
        start = max(0, scored - 1 - overlap)
        stop = min(start + seq_len, len(document) - 1)
        tokens, targets = np.zeros(seq_len, np.int64), np.full(seq_len, IGNORED, np.int64)
        tokens[: stop - start] = document[start:stop]
        targets[scored - 1 - start : stop - start] = document[scored : stop + 1]
        yield tokens, targets
        scored = stop + 1
