"""The fast encoder: words are looked up, and only words never seen before are merged.

Encoding is a few passes over blocks of words: split the text (`split.py`), find the entry of each word in a
table of the words met so far (`words.py`), merge the words that have just got theirs, write out the ids of all.
An entry holds up to three ids, which are what most words have; more are kept aside. A word of some bytes is merged by
looking for the pair of smallest rank again and again, a long one through a heap, so that a megabyte of one
letter takes n log n steps and not n squared. The ids are those of `reference.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hornbook.tokenizer.jit import Bytes, Int32s, Int64s, Integer, UInt64s, jit
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.words import ABSENT, Texts, WordTable, lay_out

MEMORY_BYTES = 1 << 25
"""A memory of more bytes is forgotten, and the room for ids is given back."""
REMEMBERED = 128
"""Words of more bytes are merged each time; they seldom come back."""
INLINE = 3
"""The ids that an entry has room for."""

SHORT = 96
"""Words of fewer bytes are merged without a heap."""
NEVER = np.int64(np.iinfo(np.int64).max)
"""The value of a pair that no merge makes."""
FREE = np.int64(-1)
LOW_HALF = np.int64(0xFFFFFFFF)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Merges(NamedTuple):
    """The merges as tables; a value is the rank in the high half and the token made in the low one."""

    byte_ids: Int32s
    """The id of each byte."""
    byte_pairs: Int64s
    """The value of each pair of bytes, by the first times 256 plus the second."""
    pairs: Int64s
    """An open hash table: a pair, left token in the high half and right one in the low half, or FREE; its value."""


class Memory:
    """The words that one thread has met, and their ids; and its room to work in."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.out = np.empty(1 << 12, np.int32)
        """The ids of the texts at hand."""
        self.numbers, self.fresh = np.empty(0, np.int32), np.empty(0, np.int32)
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.words = WordTable(longest=self._longest)
        self.ids = np.empty(1 << 12, np.int32)
        """The ids of words that have more than an entry takes."""
        self.n_ids = 0

    def make_room(self, n_words: int, n_bytes: int, n_out: int) -> None:
        """Make room for a block: no word has more ids than bytes."""
        if n_words > len(self.numbers):
            self.numbers, self.fresh = np.empty(2 * n_words, np.int32), np.empty(2 * n_words, np.int32)
        if n_out + n_bytes + INLINE > len(self.out):
            self.out = _larger(self.out, n_out, n_bytes)

    def make_room_aside(self, n_bytes: int) -> None:
        """Make room for the ids of fresh words of so many bytes; each may be led by their count."""
        if self.n_ids + 2 * n_bytes + INLINE > len(self.ids):
            self.ids = _larger(self.ids, self.n_ids, 2 * n_bytes)

    def is_large(self) -> bool:
        """Whether it should be forgotten."""
        return self.words.n_bytes + self.ids.nbytes > MEMORY_BYTES

    def rest(self) -> None:
        """Keep no more room than the next text will probably need."""
        if self.out.nbytes > MEMORY_BYTES:
            self.out = np.empty(1 << 12, np.int32)


def _larger(array: Int32s, used: int, more: int) -> Int32s:
    larger = np.empty(2 * (used + more + INLINE), np.int32)
    larger[:used] = array[:used]
    return larger


class Encoder:
    """Encodes words by the merges of one vocabulary, for many threads at once, each with its own `Memory`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids = vocabulary.ordinary_ids()
        byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.int32)
        values = vocabulary.ranks.astype(np.int64) << 32 | vocabulary.merged()
        pairs = _pair_table(vocabulary.left, vocabulary.right, values)
        byte_pairs = np.empty(1 << 16, np.int64)
        _look_up_bytes(byte_ids, pairs, byte_pairs)
        self._merges = Merges(byte_ids, byte_pairs, pairs)
        self._whole = _token_table(ids) if vocabulary.whole_words else None
        self._longest = max(REMEMBERED, max(map(len, ids)))

    def memory(self) -> Memory:
        """Return a new memory; it takes words as long as any token, since these may be whole words."""
        return Memory(self._longest)

    def encode(self, texts: Texts, blocks: Iterator[Int64s], memory: Memory) -> tuple[Int32s, Int64s]:
        """Return the ids of some texts one after another, a view into the memory, and where each text's end.

        `blocks` are the ends of the words.
        """
        # The text that is being written, how many bytes are read and how many ids are written.
        state = np.zeros(3, np.int64)
        stops = np.empty(len(texts.bounds), np.int64)
        start = n_out = 0
        for ends in blocks:
            if memory.is_large():
                memory.forget()
            memory.make_room(len(ends), int(ends[-1]) - start, n_out)
            numbers = memory.numbers
            n_fresh = memory.words.enter(texts.chunks, start, ends, numbers, memory.fresh)
            n_kept = memory.n_ids
            if n_fresh:
                n_kept = self._merge_fresh(texts, start, ends, memory, memory.fresh[:n_fresh])
            _write_out(ends, texts.bounds, numbers, memory.words.entries, memory.ids, memory.out, stops, state)
            memory.n_ids = n_kept
            _, start, n_out = state.tolist()
        stops[state[0] :] = n_out
        return memory.out[:n_out], stops

    def _merge_fresh(self, texts: Texts, start: int, ends: Int64s, memory: Memory, fresh: Int32s) -> int:
        """Find the ids of words that are new to a memory; return how many ids aside are to be kept."""
        starts, stops = np.where(fresh > 0, ends[fresh - 1], start), ends[fresh]
        memory.make_room_aside(int((stops - starts).sum()))
        whole = np.full(len(fresh), ABSENT, np.int32)
        if self._whole is not None:
            numbers = self._whole.find(texts.chunks, starts, stops)
            whole = np.where(numbers >= 0, self._whole.entries[numbers, 2].astype(np.int32), np.int32(ABSENT))
        return _merge_fresh(
            texts.data, starts, stops, fresh, whole, self._merges,
            memory.numbers, memory.words.entries, memory.ids, memory.n_ids,
        )  # fmt: skip


def _token_table(ids: dict[bytes, int]) -> WordTable:
    """All tokens as words, with their ids."""
    texts = lay_out(list(ids))
    table, numbers = WordTable(len(ids)), np.empty(len(ids), np.int32)
    table.enter(texts.chunks, 0, texts.bounds, numbers, numbers.copy())
    table.entries[numbers, 2] = np.fromiter(ids.values(), np.uint64, len(ids))
    return table


def _pair_table(left: Int32s, right: Int32s, values: Int64s) -> Int64s:
    """A hash table from a pair of tokens to rank and merged token, at most half full."""
    pairs = np.full(2 << (2 * len(left) + 2).bit_length(), FREE, np.int64)
    pairs[1::2] = NEVER
    _fill(pairs, left.astype(np.int64) << 32 | right, values)
    return pairs


@jit
def _slot(pairs: Int64s, pair: Integer) -> Integer:
    """Where a pair stands in a table, or the free place where it belongs."""
    mask = np.uint64(len(pairs) - 2)
    slot = ((np.uint64(pair) * GOLDEN) >> np.uint64(31)) & mask
    while pairs[slot] != pair and pairs[slot] != FREE:
        slot = (slot + np.uint64(2)) & mask
    return slot


@jit
def _fill(table: Int64s, pairs: Int64s, values: Int64s) -> None:
    for index in range(len(pairs)):
        slot = _slot(table, pairs[index])
        table[slot], table[slot + np.uint64(1)] = pairs[index], values[index]


@jit
def _value(pairs: Int64s, left: Integer, right: Integer) -> Integer:
    """The rank of a pair in the high half and the token it makes in the low one."""
    return pairs[_slot(pairs, np.int64(left) << 32 | np.int64(right)) + np.uint64(1)]


@jit
def _look_up_bytes(byte_ids: Int32s, pairs: Int64s, byte_pairs: Int64s) -> None:
    for left in range(256):
        for right in range(256):
            byte_pairs[left << 8 | right] = _value(pairs, byte_ids[left], byte_ids[right])


@jit
def _merge_short(
    data: Bytes, start: Integer, n_ids: Integer, merges: Merges, ids: Int32s, links: Int32s, order: Int64s
) -> Integer:
    """The ids of a word of few bytes: all pairs are looked at in every round."""
    n_places = n_ids
    made, after, before = links[0], links[1], links[2]
    for at in range(n_places):
        ids[at] = merges.byte_ids[data[start + at]]
        after[at], before[at] = at + 1, at - 1
    order[n_places - 1] = NEVER
    for at in range(n_places - 1):
        value = merges.byte_pairs[np.int64(data[start + at]) << 8 | np.int64(data[start + at + 1])]
        made[at] = value & LOW_HALF
        order[at] = NEVER if value == NEVER else (value >> 32) << 32 | at
    while True:
        # Rank and place in one number: the smallest is the leftmost pair of the smallest rank.
        best = NEVER
        for at in range(n_places):
            best = min(best, order[at])
        if best == NEVER:
            break
        place = best & LOW_HALF
        ids[place] = made[place]
        gone = after[place]
        after[place] = after[gone]
        order[gone] = NEVER
        n_ids -= 1
        if after[place] < n_places:
            before[after[place]] = place
        for changed in (before[place], np.int32(place)):
            if changed >= 0:
                order[changed] = NEVER
                if after[changed] < n_places:
                    value = _value(merges.pairs, ids[changed], ids[after[changed]])
                    if value != NEVER:
                        made[changed] = value & LOW_HALF
                        order[changed] = (value >> 32) << 32 | np.int64(changed)
    at = 0
    for index in range(n_ids):
        ids[index] = ids[at]
        at = after[at]
    return n_ids


@jit
def _push(heap: Int64s, n_items: Integer, item: Integer) -> Integer:
    """Add an item to a heap whose smallest item is the first; return the number of items."""
    at = n_items
    while at > 0 and heap[(at - 1) // 2] > item:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = item
    return n_items + 1


@jit
def _drop_first(heap: Int64s, n_items: Integer) -> Integer:
    """Take the smallest item off a heap; return the number of items."""
    n_items -= 1
    item = heap[n_items]
    at = 0
    while 2 * at + 1 < n_items:
        child = 2 * at + 1
        if child + 1 < n_items and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= item:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = item
    return n_items


@jit
def _merge_long(data: Bytes, start: Integer, n_ids: Integer, merges: Merges, ids: Int32s) -> Integer:
    """The same for words of any length: a heap of (rank, place), and links over the places merged away."""
    for at in range(n_ids):
        ids[at] = merges.byte_ids[data[start + at]]
    after = np.arange(1, n_ids + 1)
    before = np.arange(-1, n_ids - 1)
    pairs = np.full(n_ids, NEVER, np.int64)
    # Each merge takes a pair away and adds two at most.
    heap = np.empty(3 * n_ids, np.int64)
    n_items = 0
    for at in range(n_ids - 1):
        pairs[at] = _value(merges.pairs, ids[at], ids[at + 1])
        if pairs[at] != NEVER:
            n_items = _push(heap, n_items, (pairs[at] >> 32) << 32 | at)
    n_places = n_ids
    while n_items > 0:
        rank, at = heap[0] >> 32, heap[0] & LOW_HALF
        n_items = _drop_first(heap, n_items)
        if pairs[at] == NEVER or pairs[at] >> 32 != rank:
            continue  # One of the two tokens was merged with another meanwhile.
        gone = after[at]
        ids[at] = pairs[at] & LOW_HALF
        pairs[gone] = NEVER
        after[at] = after[gone]
        n_ids -= 1
        if after[at] < n_places:
            before[after[at]] = at
        for changed in (before[at], at):
            if changed >= 0:
                following = after[changed]
                pairs[changed] = NEVER
                if following < n_places:
                    pairs[changed] = _value(merges.pairs, ids[changed], ids[following])
                if pairs[changed] != NEVER:
                    n_items = _push(heap, n_items, (pairs[changed] >> 32) << 32 | changed)
    at = 0
    for index in range(n_ids):
        ids[index] = ids[at]
        at = after[at]
    return n_ids


@jit
def _merge(
    data: Bytes, start: Integer, n_bytes: Integer, merges: Merges, ids: Int32s, links: Int32s, order: Int64s
) -> Integer:
    """Write the ids of a word to `ids` and return how many; `links` and `order` are scratch."""
    if n_bytes < SHORT:
        return _merge_short(data, start, n_bytes, merges, ids, links, order)
    return _merge_long(data, start, n_bytes, merges, ids)


@jit
def _merge_fresh(
    data: Bytes, starts: Int64s, stops: Int64s, fresh: Int32s, whole: Int32s, merges: Merges,
    numbers: Int32s, entries: UInt64s, ids: Int32s, n_ids: Integer,
) -> Integer:  # fmt: skip
    """Find the ids of words that have just been met and write them into their entries, or aside where these are too small.

    A word without an entry gets all its ids aside, their count first, and in the place of its number stands
    where: -2 for the first place, -3 for the second ... Return how many ids aside belong to entries.
    """
    links, order = np.empty((3, SHORT), np.int32), np.empty(SHORT, np.int64)
    for with_number in (True, False):
        n_kept = n_ids
        for index in range(len(fresh)):
            word = fresh[index]
            if (numbers[word] >= 0) != with_number:
                continue
            place = ids[n_ids:] if with_number else ids[n_ids + 1 :]
            count = np.int64(1)
            if whole[index] >= 0:
                place[0] = whole[index]
            else:
                n_bytes = stops[index] - starts[index]
                count = _merge(data, starts[index], n_bytes, merges, place, links, order)
            if not with_number:
                ids[n_ids] = count
                numbers[word] = -2 - n_ids
                n_ids += count + 1
                continue
            first, second = np.uint64(n_ids), np.uint64(count) << np.uint64(32)
            if count > INLINE:
                n_ids += count
            else:
                place[count:INLINE] = 0
                first = np.uint64(place[0]) | np.uint64(place[1]) << np.uint64(32)
                second |= np.uint64(place[2])
            entries[numbers[word], 2], entries[numbers[word], 3] = first, second
    return n_kept


@jit
def _write_out(
    ends: Int64s, bounds: Int64s, numbers: Int32s, entries: UInt64s, ids: Int32s, out: Int32s, stops: Int64s,
    state: Int64s,
) -> None:  # fmt: skip
    """Write the ids of a block of words, and where each text that ends in it has its last."""
    text, start, n_out = state
    bound = bounds[text]
    for word in range(len(ends)):
        # The text before this word, and empty ones after it, are over.
        while start >= bound:
            stops[text] = n_out
            text += 1
            bound = bounds[text]
        start = ends[word]
        number = np.int64(numbers[word])
        if number < 0:
            first = -2 - number + 1
            count = np.int64(ids[first - 1])
        else:
            low, high = entries[number, 2], entries[number, 3]
            first, count = np.int64(low), np.int64(high >> np.uint64(32))
            if count <= INLINE:
                out[n_out] = np.int32(low)
                out[n_out + 1] = np.int32(low >> np.uint64(32))
                out[n_out + 2] = np.int32(high)
                n_out += count
                continue
        for at in range(count):
            out[n_out + at] = ids[first + at]
        n_out += count
    state[0], state[1], state[2] = text, start, n_out
