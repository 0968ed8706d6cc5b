"""A table of distinct words: each byte string gets a number, in the order of first sight.

Training counts words with it and encoding remembers words with it. It is an open hash table in plain
arrays: `slots` leads from a hash to a word number, `arena` holds the bytes of all words one after
another, and `starts` says where each begins. Words are compared byte by byte, so that equal hashes
never mix two words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hornbook.tokenizer.jit import Bytes, Int32s, Int64s, Integer, UInt64s, jit


class Arrays(NamedTuple):
    """The memory of a table with room for `len(hashes)` words of `len(arena)` bytes."""

    slots: Int32s
    """Word number or -1, twice as many as words; the length is a power of two."""
    hashes: UInt64s
    starts: Int64s
    """Where each word begins in the arena; one more than words."""
    arena: Bytes


class WordTable:
    """Numbers distinct words."""

    def __init__(self) -> None:
        self._arrays = _allocate(n_words=1 << 10, n_bytes=1 << 13)
        self._n_words = 0

    def __len__(self) -> int:
        return self._n_words

    @property
    def starts(self) -> Int64s:
        """Where each word begins in `arena`, and where the last one ends."""
        return self._arrays.starts[: self._n_words + 1]

    @property
    def arena(self) -> Bytes:
        """The bytes of all words, one after another."""
        return self._arrays.arena[: self._arrays.starts[self._n_words]]

    def number(self, data: Bytes, ends: Int64s) -> Int32s:
        """Return the number of each word of a text, giving new numbers to words not seen before.

        `ends` are the offsets in `data` at which the words end.
        """
        numbers = np.empty(len(ends), np.int32)
        done = 0
        while True:
            done, self._n_words = _number(data, ends, done, numbers, self._arrays, self._n_words)
            if done == len(ends):
                return numbers
            start = int(ends[done - 1]) if done else 0
            self._grow(int(ends[done]) - start)

    def find(self, data: Bytes, ends: Int64s) -> Int32s:
        """Return the number of each word, -1 for words not in the table."""
        return _find(data, ends, self._arrays)

    def _grow(self, n_bytes: int) -> None:
        """Double the room, for a next word of so many bytes."""
        old, n_words = self._arrays, self._n_words
        new = _allocate(2 * len(old.hashes), 2 * max(len(old.arena), n_bytes))
        new.hashes[:n_words] = old.hashes[:n_words]
        new.starts[: n_words + 1] = self.starts
        new.arena[: len(self.arena)] = self.arena
        _place(new, n_words)
        self._arrays = new


def _allocate(n_words: int, n_bytes: int) -> Arrays:
    return Arrays(
        slots=np.full(2 * n_words, -1, np.int32),
        hashes=np.empty(n_words, np.uint64),
        starts=np.zeros(n_words + 1, np.int64),
        arena=np.empty(n_bytes, np.uint8),
    )


@jit
def _hash(data: Bytes, start: Integer, end: Integer) -> Integer:
    """FNV-1a over the bytes, its high half folded into the low one."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    return value ^ (value >> np.uint64(32))


@jit
def _same(data: Bytes, start: Integer, end: Integer, table: Arrays, word: Integer) -> bool:
    """Whether a word of a text is the word of that number."""
    begin = table.starts[word]
    if table.starts[word + 1] - begin != end - start:
        return False
    for offset in range(end - start):  # noqa: SIM110, a generator is slow in Numba.
        if data[start + offset] != table.arena[begin + offset]:
            return False
    return True


@jit
def _seek(data: Bytes, start: Integer, end: Integer, value: Integer, table: Arrays) -> Integer:
    """The slot of a word: the one that holds its number, or the free one where that belongs."""
    mask = np.uint64(len(table.slots) - 1)
    slot = value & mask
    while True:
        word = table.slots[slot]
        if word < 0 or (table.hashes[word] == value and _same(data, start, end, table, word)):
            return slot
        slot = (slot + np.uint64(1)) & mask


@jit
def _number(
    data: Bytes, ends: Int64s, first: Integer, numbers: Int32s, table: Arrays, n_words: Integer
) -> tuple[Integer, Integer]:
    """Number words from `first` on until done or the table is full; return the next word and `n_words`."""
    start = ends[first - 1] if first > 0 else 0
    for index in range(first, len(ends)):
        end = ends[index]
        value = _hash(data, start, end)
        slot = _seek(data, start, end, value, table)
        word = table.slots[slot]
        if word < 0:
            begin = table.starts[n_words]
            if n_words == len(table.hashes) or begin + end - start > len(table.arena):
                return index, n_words
            for offset in range(end - start):
                table.arena[begin + offset] = data[start + offset]
            table.starts[n_words + 1] = begin + end - start
            table.hashes[n_words] = value
            table.slots[slot] = n_words
            word = n_words
            n_words += 1
        numbers[index] = word
        start = end
    return len(ends), n_words


@jit
def _find(data: Bytes, ends: Int64s, table: Arrays) -> Int32s:
    numbers = np.empty(len(ends), np.int32)
    start = 0
    for index in range(len(ends)):
        slot = _seek(data, start, ends[index], _hash(data, start, ends[index]), table)
        numbers[index] = table.slots[slot]
        start = ends[index]
    return numbers


@jit
def _place(table: Arrays, n_words: Integer) -> None:
    """Fill empty slots with words that are known to differ."""
    mask = np.uint64(len(table.slots) - 1)
    for word in range(n_words):
        slot = table.hashes[word] & mask
        while table.slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table.slots[slot] = word
