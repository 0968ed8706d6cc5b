"""Sequences of whole documents: each document goes where it fits best, and nothing is cropped away.

A row has room for `seq_len` tokens. Documents are placed by decreasing length, each into the row that it
fills most nearly (best fit; Johnson 1974; for language models Ding et al. 2024, "Fewer truncations improve
language modeling"). A document longer than a row is cut into row-sized pieces and a rest, which is placed
like any other. After its tokens every row has one more, which is only ever predicted: what follows in a cut
document, else the end of the last one. So an epoch reads every token once, and predicts once what follows.

Nothing announces a rest, which begins in the middle of a document. Where one stands behind another piece,
two places are kept free between them: one for the end of that piece, one of padding.

How many rows there are, and which lengths share one, is the same in every epoch; which of several equally
long pieces it is, their order within a row, and the order of the rows are drawn anew. What is left of a row
belongs to the document PADDING. `data.reference.pack` is the same to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import TextError
from hornbook.base.randomness import stream
from hornbook.data.batch import PADDING, Rows
from hornbook.data.shards import TokenShards

Numbers = NDArray[np.int64]

BEFORE_A_REST = 2
"""Places between a piece and the rest of a document that follows it in a row."""


@dataclass(frozen=True)
class _Pieces:
    """Documents, cut where they are longer than a row."""

    starts: Numbers
    """Where each begins in the token stream."""
    lengths: Numbers
    """Tokens of each."""
    documents: Numbers
    """The document of each."""
    is_rest: NDArray[np.bool_]
    """Whether it begins in the middle of a document."""

    @classmethod
    def cut(cls, begins: Numbers, lengths: Numbers, room: int) -> _Pieces:
        """Cut documents that begin at these places into pieces of `room` tokens but the last."""
        counts = -(-lengths // room)
        documents = np.repeat(np.arange(len(lengths)), counts)
        passed = (np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)) * room
        here = np.minimum(room, lengths[documents] - passed)
        return cls(begins[documents] + passed, here, documents, passed > 0)

    def sizes(self, room: int) -> Numbers:
        """The places that each takes in a row, wherever it stands there."""
        return np.minimum(room, self.lengths + BEFORE_A_REST * self.is_rest)


@dataclass(frozen=True)
class _Epoch:
    """Which pieces share a row, for one epoch."""

    pieces: Numbers
    """All pieces, those of one row side by side."""
    borders: Numbers
    """Where each row begins in `pieces`, and one more for the end."""
    order: Numbers
    """The rows in the order in which they are served."""


class Packing:
    """The packed rows of one text, an epoch after the other; a source of rows."""

    def __init__(self, shards: TokenShards, *, seq_len: int, seed: int, document_mask: bool) -> None:
        self.shards, self.seq_len, self.seed, self.document_mask = shards, seq_len, seed, document_mask
        lengths = np.diff(shards.offsets, append=len(shards))
        self.n_cut = int(np.count_nonzero(lengths > seq_len))
        """Documents that are longer than a row."""
        self._pieces = _Pieces.cut(shards.offsets, lengths, seq_len)
        self._sizes = self._pieces.sizes(seq_len)
        self._row_of = best_fit((-np.sort(-self._sizes)).tolist(), seq_len)
        self.n_rows = int(self._row_of.max(initial=-1)) + 1
        self._epoch = lru_cache(maxsize=2)(self._shuffle)

    @property
    def padding(self) -> float:
        """The share of places in all rows that hold no text."""
        return 1 - len(self.shards) / (self.n_rows * self.seq_len)

    def describe(self) -> str:
        """What packing costs, to be said before training."""
        n_documents = len(self.shards.offsets)
        return (
            f"{n_documents:,} documents packed into {self.n_rows:,} sequences of {self.seq_len} tokens; "
            f"padding {self.padding:.2%}; longer than a sequence and cut: {self.n_cut:,} "
            f"({self.n_cut / n_documents:.2%})"
        )

    def rows(self, numbers: Sequence[int]) -> Rows:
        """The packed rows of these numbers, counted through all epochs."""
        shape = len(numbers), self.seq_len + 1
        tokens = np.full(shape, self.shards.end_of_text, np.int64)
        documents = np.full(shape, PADDING, np.int64)
        for row, number in enumerate(numbers):
            self._fill(tokens[row], documents[row], self._pieces_of(number))
        if not self.document_mask:
            documents[documents != PADDING] = 0
        return Rows(tokens, documents)

    def require(self, n_rows: int) -> None:
        """Refuse a text that fills fewer rows than that."""
        if self.n_rows < n_rows:
            raise TextError(
                f"packed into sequences of {self.seq_len}, the text fills {self.n_rows:,}, but one batch has "
                f"{n_rows}; give more text, or a smaller data.batch_size or data.seq_len"
            )

    def _fill(self, tokens: Numbers, documents: Numbers, pieces: Iterable[int]) -> None:
        """Put pieces side by side into a row."""
        all_pieces, place = self._pieces, 0
        for piece in pieces:
            start, length = int(all_pieces.starts[piece]), int(all_pieces.lengths[piece])
            if place and all_pieces.is_rest[piece]:
                place += BEFORE_A_REST
            # One more than the piece has: what follows it in the text, if not the end-of-text that is there.
            stop = min(start + length + 1, len(self.shards))
            tokens[place : place + stop - start] = self.shards.read(start, stop)
            documents[place : place + length + 1] = all_pieces.documents[piece]
            place += length

    def _pieces_of(self, number: int) -> list[int]:
        """The pieces of a row."""
        epoch, within = divmod(number, self.n_rows)
        drawn = self._epoch(epoch)
        row = drawn.order[within]
        pieces: list[int] = drawn.pieces[drawn.borders[row] : drawn.borders[row + 1]].tolist()
        return pieces

    def _shuffle(self, epoch: int) -> _Epoch:
        generator = stream(self.seed, "data", epoch)
        drawn = generator.permutation(len(self._sizes))
        # Equally long pieces stay in the order drawn: each time others take the same places.
        by_size = drawn[np.argsort(-self._sizes[drawn], kind="stable")]
        by_row = np.lexsort((generator.random(len(drawn)), self._row_of))
        borders = np.searchsorted(self._row_of[by_row], np.arange(self.n_rows + 1))
        return _Epoch(by_size[by_row], borders, generator.permutation(self.n_rows))


def best_fit(lengths: Sequence[int], room: int) -> Numbers:
    """The row that each of some lengths goes to, one after the other; the longest must come first.

    Each goes to the row with the least room that is enough, the oldest of several; else to a new row.
    """
    with_room: list[list[int]] = [[] for _ in range(room + 1)]
    open_rooms = 0  # Bit r is set where a row has room for r tokens: the least that is enough is a low bit.
    rows = np.empty(len(lengths), np.int64)
    n_rows = 0
    for place, length in enumerate(lengths):
        enough = open_rooms >> length
        if enough:
            found = length + (enough & -enough).bit_length() - 1
            row = heappop(with_room[found])
            if not with_room[found]:
                open_rooms ^= 1 << found
        else:
            found, row = room, n_rows
            n_rows += 1
        rows[place] = row
        if left := found - length:
            heappush(with_room[left], row)
            open_rooms |= 1 << left
    return rows
