"""What is asked of models that write: spans that are missing from a text, and how it goes on.

    collate = Spans(sentinels=(299, 298, 297), start=256, end=256, longest=512)
    batch = collate(rows, generator)

Every piece of a document in a row is a pair of texts for itself: the source that an encoder reads, and the
target that is written. The pairs of a row stand side by side, numbered alike, so that each is written beside
its own source. A pair that has no room in a row of `longest` tokens is left out; windows that are cut
elsewhere in the next epoch bring it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.data.batch import IGNORED, PADDING, Batch, Rows, next_tokens

Ints = NDArray[np.int64]
Pair: TypeAlias = tuple[Ints, Ints]
"""A source and its target."""


@dataclass(frozen=True)
class Spans:
    """Spans of a text are replaced by sentinels and asked for (Raffel et al. 2020, section 3.1.4).

    The source has a sentinel in the place of each span, the target each sentinel and its span; both end with
    `end`, which stands in the target for the last sentinel of the paper.
    """

    sentinels: Sequence[int]
    """Ids that stand for the first span of a text, the second and so on: as many as a row can have."""
    start: int
    """What every target begins with, and is not asked for."""
    end: int
    """What ends a text."""
    longest: int
    """Most tokens of a row, of the source and of the target."""
    density: float = 0.15
    """Share of a text that is asked for."""
    mean_length: float = 3.0
    """Tokens in a span, on average."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        def pair(tokens: Ints, is_end: bool) -> Pair | None:
            if len(tokens) < 2:
                return None
            spans = draw_spans(len(tokens), self.density, self.mean_length, generator)
            return self.denoised(tokens, spans)

        return _side_by_side(rows, pair, self.start, self.longest)

    def denoised(self, tokens: Ints, spans: Sequence[tuple[int, int]]) -> Pair:
        """A text without some spans, each given by where it begins and ends, and these spans."""
        source: list[Ints] = []
        target: list[Ints] = []
        after = 0
        for (begin, stop), sentinel in zip(spans, self.sentinels, strict=False):
            mark = np.array([sentinel])
            source += [tokens[after:begin], mark]
            target += [mark, tokens[begin:stop]]
            after = stop
        end = np.array([self.end])
        return np.concatenate([*source, tokens[after:], end]), np.concatenate([*target, end])


@dataclass(frozen=True)
class Continued:
    """A text is cut where chance will: an encoder reads the beginning, and the rest is asked for.

    The source ends with `end`, and the target where the document ends.
    """

    start: int
    """What every target begins with, and is not asked for."""
    end: int
    """What ends a text."""
    longest: int
    """Most tokens of a row, of the source and of the target."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        def pair(tokens: Ints, is_end: bool) -> Pair | None:
            if len(tokens) < 2:
                return None
            cut, end = int(generator.integers(1, len(tokens))), np.array([self.end])
            rest = [tokens[cut:], end] if is_end else [tokens[cut:]]
            return np.concatenate([tokens[:cut], end]), np.concatenate(rest)

        return _side_by_side(rows, pair, self.start, self.longest)


@dataclass(frozen=True)
class Unprompted:
    """A text is written from its beginning, after an empty one: what an encoder reads is `end` alone.

    Tokens and targets are those of `next_tokens`, so the loss is that of a decoder. Every document has an
    empty source of its own.
    """

    end: int
    """What ends a text."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        batch = next_tokens(rows, generator)
        if batch.documents is None:
            return replace(batch, source=torch.full((len(batch.tokens), 1), self.end))
        own = [[row[begin] for begin, _ in pieces(row)] for row in batch.documents.numpy()]
        numbers = np.full((len(own), max(1, *map(len, own))), PADDING, dtype=np.int64)
        for row, found in zip(numbers, own, strict=True):
            row[: len(found)] = found
        source = torch.full(numbers.shape, self.end)
        return replace(batch, source=source, source_documents=torch.from_numpy(numbers))


def prefixed(rows: Rows, generator: np.random.Generator) -> Batch:
    """The beginning of each text is seen both ways, and what follows is asked for.

    Of n tokens of a document in a row the first 1 to n are its beginning, all lengths equally likely. They
    share one place in the order; each token after them has its own (Liu et al. 2018; Dong et al. 2019).
    """
    batch = next_tokens(rows, generator)
    order = np.tile(np.arange(batch.tokens.size(1)), (len(batch.tokens), 1))
    inside = np.zeros_like(order, dtype=bool)
    for row, numbers in enumerate(rows.numbers[:, :-1]):
        for begin, stop in pieces(numbers):
            cut = begin + int(generator.integers(1, stop - begin + 1))
            order[row, begin:cut] = begin
            inside[row, begin : cut - 1] = True  # These see what they would be asked for.
    targets = batch.targets.masked_fill(torch.from_numpy(inside), IGNORED)
    return replace(batch, targets=targets, order=torch.from_numpy(order))


def n_spans(n_tokens: int, density: float, mean_length: float) -> tuple[int, int]:
    """How many of some tokens, two at least, are missing, and in how many spans."""
    missing = min(max(round(n_tokens * density), 1), n_tokens - 1)
    return missing, min(max(round(missing / mean_length), 1), missing, n_tokens - missing)


def draw_spans(
    n_tokens: int, density: float, mean_length: float, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw where the missing spans of a text begin and end: text and span in turn, text first, span last."""
    missing, count = n_spans(n_tokens, density, mean_length)
    kept = _parts(n_tokens - missing, count, generator)
    lengths = _parts(missing, count, generator)
    ends = np.cumsum(kept + lengths)
    return list(zip((ends - lengths).tolist(), ends.tolist(), strict=True))


def pieces(numbers: Ints) -> Iterator[tuple[int, int]]:
    """Where each document of a row begins and ends, what fills up left out."""
    borders = np.flatnonzero(np.diff(numbers)) + 1
    for begin, stop in zip([0, *borders.tolist()], [*borders.tolist(), len(numbers)], strict=True):
        if numbers[begin] != PADDING:
            yield begin, stop


def _parts(total: int, count: int, generator: np.random.Generator) -> Ints:
    """Cut a number into so many parts of one at least, all ways equally likely."""
    cuts = np.sort(generator.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate(([0], cuts, [total]))).astype(np.int64)


def _side_by_side(rows: Rows, pair: Callable[[Ints, bool], Pair | None], start: int, longest: int) -> Batch:
    """The pairs of every row, which `pair` makes of a piece and of whether its document ends there."""
    found: list[list[Pair]] = []
    for tokens, numbers in zip(rows.tokens, rows.numbers, strict=True):
        own: list[Pair] = []
        room = [longest, longest]
        for begin, stop in pieces(numbers[:-1]):
            made = pair(tokens[begin:stop], bool(numbers[stop] != numbers[begin]))
            if made is None or any(len(text) > left for text, left in zip(made, room, strict=True)):
                continue
            own.append(made)
            room = [left - len(text) for text, left in zip(made, room, strict=True)]
        found.append(own)
    sources, source_documents = _filled([[source for source, _ in own] for own in found], 0)
    targets, documents = _filled([[target for _, target in own] for own in found], IGNORED)
    before = np.roll(targets, 1, axis=1)
    before[(np.diff(documents, axis=1, prepend=PADDING - 1) != 0) | (before == IGNORED)] = start
    alone = (
        all(len(own) == 1 for own in found) and PADDING not in documents and PADDING not in source_documents
    )
    return Batch(
        torch.from_numpy(before),
        torch.from_numpy(targets),
        documents=None if alone else torch.from_numpy(documents),
        source=torch.from_numpy(sources),
        source_documents=None if alone else torch.from_numpy(source_documents),
    )


def _filled(rows: Sequence[Sequence[Ints]], filler: int) -> tuple[Ints, Ints]:
    """Texts side by side in rows of one length, and their numbers in the row."""
    width = max(1, *(sum(map(len, texts)) for texts in rows))
    tokens = np.full((len(rows), width), filler, dtype=np.int64)
    numbers = np.full((len(rows), width), PADDING, dtype=np.int64)
    for row, texts in enumerate(rows):
        place = 0
        for number, text in enumerate(texts):
            tokens[row, place : place + len(text)] = text
            numbers[row, place : place + len(text)] = number
            place += len(text)
    return tokens, numbers
