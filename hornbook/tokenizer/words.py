"""A table of distinct words, each with two numbers of its user's: the memory of training and of encoding.

Training keeps with each word how often it was seen, encoding keeps the word's ids. It is an open hash table
in plain arrays: `slots` lead from a hash to an entry, and the entries stand in the order of first sight, so
that those of frequent words lie close together. An entry is four numbers, two that tell the word and two that
belong to the user. A word of up to 15 bytes is its two numbers: the bytes themselves and, in the highest
byte, their count. A longer one is its hash and the place of its bytes in an arena, where they are compared,
so that equal hashes never mix two words.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from hornbook.tokenizer.jit import Bools, Bytes, Int32s, Int64s, Integer, UInt64s, inlined, jit

PADDING = 16
"""How many bytes must follow the last word of a text, since words are read eight bytes at a time."""

SHORT = 15
"""Words of so many bytes fit into an entry."""
LONG = np.uint64(0xFF << 56)
"""The highest byte of the second number of a longer word."""
PLACE = np.uint64((1 << 56) - 1)
"""The other bytes of it: where in the arena the word is."""
ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
SPREAD = np.uint64(0xC2B2AE3D27D4EB4F)

ABSENT = -1
"""What stands for the number of a word that is not in a table."""

GROUP = 64
"""How many words are looked up together."""

COUNT = 2
"""The column of an entry in which training counts."""

N_WORDS, N_CHUNKS, TOUCHED = 0, 1, 2
"""What stands in the sizes of a table: its words, the chunks of its arena that are taken, and a sum that
nobody reads, so that what is only touched is not left out by the compiler."""


class Arrays(NamedTuple):
    """The arrays of a table."""

    entries: UInt64s
    """The words by their numbers; the last two columns are the user's."""
    slots: Int32s
    """A word's number plus one, or 0 where a slot is free."""
    arena: UInt64s
    """The bytes of long words in chunks, the length of each before it."""


class WordTable:
    """Numbers distinct words from 0 on, and keeps two numbers of its user's with each."""

    def __init__(self, n_words: int = 1 << 12, longest: int | None = None) -> None:
        self.longest = np.iinfo(np.int64).max if longest is None else longest
        """Words of more bytes are not taken in."""
        self._arrays = Arrays(
            np.zeros((n_words, 4), np.uint64),
            np.zeros(_power_of_two(2 * n_words), np.int32),
            np.zeros(n_words, np.uint64),
        )
        self._sizes = np.array([0, 1, 0])

    def __len__(self) -> int:
        return int(self._sizes[N_WORDS])

    @property
    def entries(self) -> UInt64s:
        """The words by their numbers; the last two columns are the user's. There are more than words."""
        return self._arrays.entries

    def clear(self) -> None:
        """Forget all words, and keep the room they had."""
        self._arrays.slots[:] = 0
        self._sizes[:] = 0, 1, 0

    @property
    def n_bytes(self) -> int:
        """The memory it holds."""
        return sum(array.nbytes for array in self._arrays)

    def enter(self, chunks: UInt64s, start: int, ends: Int64s, numbers: Int32s, fresh: Int32s) -> int:
        """Write the number of each word to `numbers`, taking in those not met before; return how many are
        fresh.

        The words lie one after another in `chunks` from the byte `start` on and end at `ends`. Fresh words
        are those taken in now, and those that are too long to be: their number is ABSENT each time. Their
        places are written to `fresh`.
        """
        self._make_room(len(ends), int(ends[-1]) - start)
        return _enter(chunks, start, ends, numbers, fresh, self._arrays, self._sizes, self.longest)

    def take_over(self, numbers: Int32s, fresh: Int32s, known: WordTable) -> int:
        """Give fresh words that another table knows the two numbers they have there; return how many it does
        not know. Their places come first in `fresh` then.
        """
        chunks = _chunks_of(self._arrays.arena)
        return _take_over(chunks, numbers, fresh, self._arrays, known._arrays, self._sizes)

    @property
    def n_letters(self) -> int:
        """The length of all words together, in bytes."""
        return int(_lengths(self.entries[: len(self)], self._arrays.arena).sum())

    def spelled(self) -> Texts:
        """Return the words by their numbers as texts one after another."""
        n_words = len(self)
        bounds = np.cumsum(_lengths(self.entries[:n_words], self._arrays.arena))
        n_bytes = int(bounds[-1]) if n_words else 0
        data = np.zeros(n_bytes + PADDING + -n_bytes % 8, np.uint8)
        _spell(self.entries, self._arrays.arena, data, bounds)
        return Texts(data, _chunks_of(data), bounds)

    def only(self, keep: Bools) -> WordTable:
        """Return a table of some of the words, which keep their order."""
        words = self.spelled()
        smaller = WordTable(longest=self.longest)
        starts = np.concatenate([np.zeros(1, np.int64), words.bounds[:-1]])[keep]
        kept = lay_out([words.data[a:b].tobytes() for a, b in zip(starts, words.bounds[keep], strict=True)])
        numbers = np.empty(len(starts), np.int32)
        if len(starts):
            smaller.enter(kept.chunks, 0, kept.bounds, numbers, numbers.copy())
        smaller.entries[: len(smaller), 2:] = self.entries[: len(self), 2:][keep]
        return smaller

    def _make_room(self, n_words: int, n_bytes: int) -> None:
        """Grow where so many words could be too many: to twice of what is used."""
        entries, slots, arena = self._arrays
        used, used_chunks, _ = self._sizes.tolist()
        n_entries, n_chunks = used + n_words, used_chunks + n_bytes // 8 + 2 * n_words
        if n_entries > len(entries):
            entries = _enlarged(entries, used, 2 * n_entries)
        if 3 * n_entries > 2 * len(slots):
            slots = np.zeros(_power_of_two(2 * n_entries), np.int32)
            _fill_slots(entries, used, slots)
        if n_chunks > len(arena):
            arena = _enlarged(arena, used_chunks, 2 * n_chunks)
        self._arrays = Arrays(entries, slots, arena)


def _enlarged(array: UInt64s, used: int, size: int) -> UInt64s:
    larger = np.zeros((size, *array.shape[1:]), np.uint64)
    larger[:used] = array[:used]
    return larger


class Texts(NamedTuple):
    """Texts in UTF-8, one after another, as compiled code needs them."""

    data: Bytes
    """The bytes, and PADDING more."""
    chunks: UInt64s
    """The same memory: the eight bytes from each offset on as one number, the first one lowest."""
    bounds: Int64s
    """Where each text ends."""


def lay_out(texts: Sequence[bytes]) -> Texts:
    """Lay texts one after another."""
    bounds = np.array([*accumulate(map(len, texts))], np.int64)
    n_bytes = int(bounds[-1]) if texts else 0
    memory = b"".join((*texts, bytes(PADDING + -n_bytes % 8)))
    return Texts(np.frombuffer(memory, np.uint8), _chunks_of(memory), bounds)


def _chunks_of(memory: bytes | Bytes | UInt64s) -> UInt64s:
    """A view of memory as `Texts.chunks`. Its numbers are not aligned, which the processors allow that Numba
    compiles for.
    """
    n_bytes = len(memory) if isinstance(memory, bytes) else memory.nbytes
    return np.ndarray(n_bytes - 7, np.uint64, memory, strides=1)


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 1).bit_length()


@inlined
def _low_bytes(chunk: Integer, n_bytes: Integer) -> Integer:
    """The first 1 to 8 bytes of a chunk, the others zero."""
    return chunk & (ALL >> np.uint64((8 - n_bytes) << 3))


@inlined
def _mixed(value: Integer) -> Integer:
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(29))


@jit
def _long_hash(chunks: UInt64s, start: Integer, n_bytes: Integer) -> Integer:
    value = np.uint64(n_bytes)
    at = np.int64(0)
    while n_bytes - at > 8:
        value = _mixed(value ^ chunks[start + at])
        at += 8
    return _mixed(value ^ _low_bytes(chunks[start + at], n_bytes - at))


@jit
def _same(chunks: UInt64s, start: Integer, n_bytes: Integer, arena: UInt64s, entry: Integer) -> bool:
    """Whether a long word is that of an entry: its length stands in the arena before its chunks."""
    if entry < LONG:
        return False
    place = np.int64(entry & PLACE)
    if arena[place] != np.uint64(n_bytes):
        return False
    at = np.int64(0)
    while n_bytes - at > 8:
        place += 1
        if arena[place] != chunks[start + at]:
            return False
        at += 8
    return bool(arena[place + 1] == _low_bytes(chunks[start + at], n_bytes - at))


@inlined
def _key(chunks: UInt64s, start: Integer, n_bytes: Integer) -> tuple[Integer, Integer]:
    """The two numbers of a word; of a long one the second is to be filled in."""
    if n_bytes > SHORT:
        return _long_hash(chunks, start, n_bytes), LONG
    # For short words without a branch on the length, which no processor can foresee.
    count = np.uint64(n_bytes) << np.uint64(56)
    in_first = np.uint64(min(n_bytes, 8)) << np.uint64(3)
    in_second = np.uint64(max(n_bytes - 8, 0)) << np.uint64(3)
    low = chunks[start] & (ALL >> (np.uint64(64) - in_first))
    return low, (chunks[start + 8] & ((ONE << in_second) - ONE)) | count


@inlined
def _home(low: Integer, high: Integer, slots: Int32s) -> Integer:
    """The slot where a search for a word begins."""
    return _mixed(low + high * SPREAD) & np.uint64(len(slots) - 1)


@inlined
def _seek(
    chunks: UInt64s,
    start: Integer,
    n_bytes: Integer,
    low: Integer,
    high: Integer,
    slot: Integer,
    table: Arrays,
) -> Integer:
    """The slot that leads to a word, or the free one where it belongs; the search begins at a slot."""
    entries, slots, arena = table
    mask = np.uint64(len(slots) - 1)
    while slots[slot] > 0:
        entry = np.uint64(slots[slot]) - ONE
        if entries[entry, 0] == low:
            # No place in the arena is 0, so that LONG alone is never the second number of an entry.
            if entries[entry, 1] == high:
                return slot
            if high == LONG and _same(chunks, start, n_bytes, arena, entries[entry, 1]):
                return slot
        slot = (slot + ONE) & mask
    return slot


@jit
def _enter(
    chunks: UInt64s, start: Integer, ends: Int64s, numbers: Int32s, fresh: Int32s,
    table: Arrays, sizes: Int64s, longest: Integer,
) -> Integer:  # fmt: skip
    """What `WordTable.enter` does, for GROUP words at a time.

    First their slots are only touched, without a branch, so that the memory answers for many at once.
    """
    entries, slots, arena = table
    keys, homes = np.empty((GROUP, 2), np.uint64), np.empty(GROUP, np.uint64)
    touched = np.uint64(0)
    n_fresh = 0
    n_words = sizes[N_WORDS]
    first = np.int64(0)
    while first < len(ends):
        n_group: Integer = min(GROUP, len(ends) - first)
        begin = start
        for place in range(n_group):
            end = ends[first + place]
            low, high = _key(chunks, begin, end - begin)
            keys[place, 0], keys[place, 1] = low, high
            homes[place] = _home(low, high, slots)
            begin = end
        for place in range(n_group):
            touched += entries[np.uint64(slots[homes[place]] - (slots[homes[place]] > 0)), 0]
        for place in range(n_group):
            word = first + place
            end = ends[word]
            n_bytes = end - start
            low, high = keys[place, 0], keys[place, 1]
            slot = _seek(chunks, start, n_bytes, low, high, homes[place], table)
            numbers[word] = slots[slot] - 1
            if slots[slot] == 0 and n_bytes > longest:
                fresh[n_fresh] = word
                n_fresh += 1
            elif slots[slot] == 0:
                fresh[n_fresh] = word
                n_fresh += 1
                if high == LONG:
                    high |= np.uint64(_store(chunks, start, n_bytes, arena, sizes))
                entries[n_words, 0], entries[n_words, 1] = low, high
                numbers[word] = n_words
                n_words += 1
                slots[slot] = n_words
            start = end
        first += n_group
    sizes[N_WORDS] = n_words
    sizes[TOUCHED] = np.int64(touched)
    return n_fresh


@jit
def _take_over(
    chunks: UInt64s, numbers: Int32s, fresh: Int32s, table: Arrays, known: Arrays, sizes: Int64s
) -> Integer:
    """What `WordTable.take_over` does, in groups as `_enter`."""
    entries, _, arena = table
    keys, homes = np.empty((GROUP, 2), np.uint64), np.empty(GROUP, np.uint64)
    touched = np.uint64(0)
    n_unknown = 0
    for first in range(0, len(fresh), GROUP):
        n_group: Integer = min(GROUP, len(fresh) - first)
        for place in range(n_group):
            number = max(numbers[fresh[first + place]], 0)
            low, high = entries[number, 0], entries[number, 1]
            keys[place, 0], keys[place, 1] = low, high
            homes[place] = _home(low, min(high, LONG), known.slots)
        for place in range(n_group):
            slot = known.slots[homes[place]]
            touched += known.entries[np.uint64(slot - (slot > 0)), 0]
        for place in range(n_group):
            word = fresh[first + place]
            number = numbers[word]
            found = np.int32(0)
            if number >= 0:
                low, high = keys[place, 0], keys[place, 1]
                # Of a long word the length and the bytes stand in the arena.
                at = np.int64(high & PLACE) if high >= LONG else 0
                n_bytes = np.int64(arena[at])
                slot = _seek(chunks, (at + 1) << 3, n_bytes, low, min(high, LONG), homes[place], known)
                found = known.slots[slot]
            if found > 0:
                entries[number, 2] = known.entries[found - 1, 2]
                entries[number, 3] = known.entries[found - 1, 3]
            else:
                fresh[n_unknown] = word
                n_unknown += 1
    sizes[TOUCHED] = np.int64(touched)
    return n_unknown


@jit
def _store(chunks: UInt64s, start: Integer, n_bytes: Integer, arena: UInt64s, sizes: Int64s) -> Integer:
    """Write a long word to the arena, its length first; return the place."""
    place = sizes[N_CHUNKS]
    arena[place] = n_bytes
    at = np.int64(0)
    chunk = place + 1
    while n_bytes - at > 8:
        arena[chunk] = chunks[start + at]
        chunk += 1
        at += 8
    arena[chunk] = _low_bytes(chunks[start + at], n_bytes - at)
    sizes[N_CHUNKS] = chunk + 1
    return place


@jit
def _fill_slots(entries: UInt64s, n_words: Integer, slots: Int32s) -> None:
    """Enter words that are known to differ into empty slots."""
    mask = np.uint64(len(slots) - 1)
    for word in range(n_words):
        slot = _home(entries[word, 0], min(entries[word, 1], LONG), slots)
        while slots[slot] > 0:
            slot = (slot + ONE) & mask
        slots[slot] = word + 1


@jit
def tally(numbers: Int32s, entries: UInt64s) -> None:
    """Count one more of each word."""
    for number in numbers:
        entries[number, COUNT] += ONE


@jit
def _lengths(entries: UInt64s, arena: UInt64s) -> Int64s:
    """How many bytes each word has."""
    lengths = np.empty(len(entries), np.int64)
    for word in range(len(entries)):
        high = entries[word, 1]
        lengths[word] = arena[high & PLACE] if high >= LONG else high >> np.uint64(56)
    return lengths


@jit
def _spell(entries: UInt64s, arena: UInt64s, data: Bytes, bounds: Int64s) -> None:
    """Write the bytes of all words one after another."""
    at = np.int64(0)
    for word in range(len(bounds)):
        low, high = entries[word, 0], entries[word, 1]
        first = np.int64(high & PLACE) + 1
        for offset in range(bounds[word] - at):
            chunk = arena[first + offset // 8] if high >= LONG else (low if offset < 8 else high)
            data[at + offset] = (chunk >> np.uint64(offset % 8 * 8)) & np.uint64(0xFF)
        at = bounds[word]
