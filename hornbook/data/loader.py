"""Batches by number: the loader's whole state is one integer, the step.

`loader.batch(step)` is a pure function: the same step gives the same batch, in any process, today or after a
crash, so a run resumes by counting on. A `Source` is what the rows come from: windows, packed documents, or a
mixture of several texts. Its rows are numbered through all epochs, so a step's rows are those of as many
numbers as the batch has, and any other way of cutting numbers into steps serves the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.base.randomness import stream
from hornbook.data.batch import IGNORED, Batch, Collate, Rows, next_tokens
from hornbook.data.excerpt import Excerpt
from hornbook.data.ramps import Stages, cut
from hornbook.data.shards import TokenShards


@runtime_checkable
class Source(Protocol):
    """What rows come from: every row of an epoch once, then every one again in another order."""

    @property
    def n_rows(self) -> int:
        """Rows in an epoch."""

    def describe(self) -> str:
        """What a person should know before training; empty where there is nothing to say."""

    def rows(self, numbers: Sequence[int]) -> Rows:
        """The rows of these numbers, counted from 0 through all epochs."""

    def require(self, n_rows: int) -> None:
        """Raise a `TextError` unless there are as many different rows as a batch wants."""


@runtime_checkable
class Loader(Protocol):
    """What gives a run its batches."""

    @property
    def steps_per_epoch(self) -> float:
        """How many steps go once through the text."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0: the same for the same step, whatever was asked before."""


class SourceLoader:
    """Batches from a source, addressed by step: of one size, or of sizes that grow in the beginning."""

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        collate: Collate = next_tokens,
        batches: Stages | None = None,
        lengths: Stages | None = None,
    ) -> None:
        self.source, self.batch_size, self.seed, self.collate = source, batch_size, seed, collate
        self.batches, self.lengths = batches or Stages(batch_size, batch_size, 1), lengths
        source.require(batch_size)

    @property
    def steps_per_epoch(self) -> float:
        """How many steps go once through the text, with batches that are whole."""
        return self.source.n_rows / self.batch_size

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        first = self.batches.before(step)
        rows = self.source.rows(range(first, first + self.batches.size(step)))
        if self.lengths is not None:
            rows = cut(rows, self.lengths.size(step))
        return self.collate(rows, stream(self.seed, "objective", step))


class Prefetched:
    """A loader that makes the next batch in a thread while the model learns from this one.

    For a CUDA GPU batches are `pinned`, so that it fetches them while it computes.
    """

    def __init__(self, loader: Loader, *, pinned: bool = False) -> None:
        self.loader, self.pinned = loader, pinned
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._last = -1
        self._ahead: tuple[int, Future[Batch]] | None = None

    @property
    def steps_per_epoch(self) -> float:
        """How many steps go once through the text."""
        return self.loader.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """The batch of a step; that of the next step is begun, unless this one is out of turn."""
        ahead, last, self._last = self._ahead, self._last, step
        if ahead is not None and step not in (ahead[0], last + 1):
            return self._make(step)  # What was begun stays for its turn.
        self._ahead = None
        found = ahead[1].result() if ahead is not None and ahead[0] == step else self._make(step)
        self._ahead = step + 1, self._thread.submit(self._make, step + 1)
        return found

    def _make(self, step: int) -> Batch:
        batch = self.loader.batch(step)
        return batch.pinned() if self.pinned else batch


def held_out_batches(
    shards: TokenShards | Excerpt, *, seq_len: int, batch_size: int, overlap: int
) -> Iterator[Batch]:
    """Every token of every document predicted once, each with at least `overlap` tokens before it.

    Windows advance by seq_len - overlap within a document; tokens a former window has predicted already
    are only looked at (their targets are IGNORED), and short windows are filled up on the right with
    ignored targets. The end of one document is not predicted from it: each stands alone.
    """
    assert 0 <= overlap < seq_len
    rows = chain.from_iterable(_windows(document, seq_len, overlap) for document in shards.documents())
    while some := list(islice(rows, batch_size)):
        tokens, targets = zip(*some, strict=True)
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
