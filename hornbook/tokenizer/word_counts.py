"""Counting the distinct words of a stream of texts, in threads and in bounded memory.

The stream is cut into batches of texts. Each batch is counted by itself, in a thread and without the GIL; the
batches are added up in their order. So the result is the same for any number of threads. Where a bound on the
distinct words is given, the rarest are dropped whenever a batch takes their number above it; what was lost
is counted.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer.jit import Int64s
from hornbook.tokenizer.pretokenize import BLOCK, Splitter, splitter, utf8
from hornbook.tokenizer.words import COUNT, WordTable, lay_out, tally

logger = logging.getLogger(__name__)

BATCH = 1 << 21
"""How many characters of text are counted at a time."""


def count_words(
    texts: Iterable[str], expression: str, threads: int = 1, max_words: int | None = None
) -> tuple[WordTable, Int64s]:
    """Return the distinct words of some texts and how often each occurs.

    With `max_words`, at most so many words are kept after each batch, the most frequent ones; a warning in
    the log says what was dropped.
    """
    if max_words is not None and max_words < 1:
        raise ConfigError(f"max_words={max_words} must be at least 1, or None for no bound")
    split, total, dropped = splitter(expression), WordTable(), np.zeros(2, np.int64)
    for counted in _in_threads(split, _batches(texts), threads):
        _add(total, counted)
        if max_words is not None and len(total) > max_words:
            total = _without_rarest(total, max_words, dropped)
    if len(total) == 0:
        raise TextError("there is no text to train the tokenizer on: every text given is empty")
    counts = total.entries[: len(total), COUNT].astype(np.int64)
    if dropped[0]:
        share = dropped[1] / (dropped[1] + counts.sum())
        logger.warning(
            "to keep at most max_words=%d distinct words, rare ones were dropped %d times on the way, "
            "with %d occurrences (%.2f%% of the text's words)",
            max_words, *dropped, 100 * share,
        )  # fmt: skip
    return total, counts


def _batches(texts: Iterable[str]) -> Iterator[list[bytes]]:
    """Group texts, as UTF-8, into batches of about the same size."""
    batch: list[bytes] = []
    n_bytes = 0
    for text in texts:
        batch.append(utf8(text)[1])
        n_bytes += len(batch[-1])
        if n_bytes >= BATCH:
            yield batch
            batch, n_bytes = [], 0
    yield batch


def _in_threads(split: Splitter, batches: Iterator[list[bytes]], threads: int) -> Iterator[WordTable]:
    """Count batches, a few at the same time; yield what was counted in the order of the batches."""
    if threads == 1:
        yield from (_counted(split, batch) for batch in batches)
        return
    waiting: deque[Future[WordTable]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            waiting.append(pool.submit(_counted, split, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _counted(split: Splitter, batch: list[bytes]) -> WordTable:
    """The words of one batch with their counts."""
    texts, table = lay_out(batch), WordTable()
    numbers, fresh = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32)
    start = 0
    for ends in split(texts):
        if len(ends) > len(numbers):
            numbers, fresh = np.empty(len(ends), np.int32), np.empty(len(ends), np.int32)
        table.enter(texts.chunks, start, ends, numbers, fresh)
        tally(numbers[: len(ends)], table.entries)
        start = int(ends[-1])
    return table


def _add(total: WordTable, more: WordTable) -> None:
    """Add the counts of a table to another one."""
    words = more.spelled()
    if len(more):
        numbers = np.empty(len(more), np.int32)
        total.enter(words.chunks, 0, words.bounds, numbers, numbers.copy())
        total.entries[numbers, COUNT] += more.entries[: len(more), COUNT]


def _without_rarest(table: WordTable, max_words: int, dropped: Int64s) -> WordTable:
    """Keep the words more frequent than the first one too many, at most three quarters of the bound.

    So the next batches find room, and words of equal counts share one fate; where all counts are equal, the
    words seen first stay.
    """
    counts = table.entries[: len(table), COUNT]
    n_kept = max(3 * max_words // 4, 1)
    least = np.partition(counts, len(counts) - n_kept)[len(counts) - n_kept]
    keep = counts > least
    if not keep.any():
        keep = counts >= least
        keep[np.flatnonzero(keep)[max_words:]] = False
    dropped += np.array([np.count_nonzero(~keep), counts[~keep].sum()], np.int64)
    return table.only(keep)
