"""The fast encoder: words are looked up, and only words never seen before are merged.

Encoding a text is four passes over arrays: split it into words, number the words (`words.py`), merge
the words that have just got their number, gather the ids of all. A short word is merged by looking for
the pair of smallest rank again and again; a long one through a heap, so that a megabyte of one letter
takes n log n steps and not n squared. The ids are those of `reference.py`.
"""

from __future__ import annotations

import numpy as np

from hornbook.tokenizer.jit import Bytes, Int32s, Int64s, Integer, jit
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.words import WordTable

MEMORY_WORDS = 1 << 20
MEMORY_BYTES = 1 << 24
"""A memory larger than this after a text is forgotten."""

SHORT = 96
"""Words of fewer bytes are merged without a heap."""
NEVER = np.int64(np.iinfo(np.int64).max)
"""The value of a pair that no merge makes."""
FREE = np.int64(-1)
LOW_HALF = np.int64(0xFFFFFFFF)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Memory:
    """The words one thread has met, and their ids."""

    def __init__(self) -> None:
        self.words = WordTable()
        self.ids = np.empty(1 << 12, np.int32)
        self.starts = np.zeros((1 << 10) + 1, np.int64)
        """Where the ids of each word begin in `ids`."""
        self.n_words = 0

    def reserve(self) -> None:
        """Make room for the ids of all words: no word has more ids than bytes."""
        n_words = len(self.words)
        n_ids = int(self.starts[self.n_words] + len(self.words.arena) - self.words.starts[self.n_words])
        if n_ids > len(self.ids):
            self.ids = np.concatenate([self.ids, np.empty(2 * n_ids - len(self.ids), np.int32)])
        if n_words >= len(self.starts):
            self.starts = np.concatenate([self.starts, np.zeros(2 * n_words - len(self.starts), np.int64)])

    def is_large(self) -> bool:
        """Whether it should be forgotten."""
        return self.n_words > MEMORY_WORDS or len(self.words.arena) > MEMORY_BYTES


class Encoder:
    """Encodes words by the merges of one vocabulary, for many threads at once, each with its own `Memory`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids = vocabulary.ordinary_ids()
        self._byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.int32)
        values = vocabulary.ranks.astype(np.int64) << 32 | vocabulary.merged()
        self._keys, self._values = _pair_table(vocabulary.left, vocabulary.right, values)
        self._whole: WordTable | None = None
        if vocabulary.whole_words:
            self._whole = WordTable()
            self._whole_ids = np.fromiter(ids.values(), np.int32, len(ids))
            lengths = np.fromiter(map(len, ids), np.int64, len(ids))
            self._whole.number(np.frombuffer(b"".join(ids), np.uint8), np.cumsum(lengths))

    def encode(self, data: Bytes, ends: Int64s, memory: Memory) -> Int32s:
        """Return the ids of a text whose words end at `ends`."""
        numbers = memory.words.number(data, ends)
        if len(memory.words) > memory.n_words:
            memory.reserve()
            self._merge_new(memory)
        return _gather(numbers, memory.ids, memory.starts)

    def _merge_new(self, memory: Memory) -> None:
        """Find the ids of the words that were numbered last."""
        first = memory.n_words
        bounds = memory.words.starts[first:]
        whole = self._find_whole(memory.words.arena[bounds[0] :], bounds[1:] - bounds[0])
        _merge_words(
            memory.words.arena, bounds, whole, self._byte_ids, self._keys, self._values,
            memory.ids, memory.starts[first:],
        )  # fmt: skip
        memory.n_words = len(memory.words)

    def _find_whole(self, data: Bytes, ends: Int64s) -> Int32s:
        """The id of each word that is a token and need not be merged, -1 for the others."""
        if self._whole is None:
            return np.full(len(ends), -1, np.int32)
        found = self._whole.find(data, ends)
        return np.where(found >= 0, self._whole_ids[found], np.int32(-1)).astype(np.int32)


def _pair_table(left: Int32s, right: Int32s, values: Int64s) -> tuple[Int64s, Int64s]:
    """A hash table from a pair of tokens to rank and merged token, at most half full."""
    size = 1 << (2 * len(left) + 2).bit_length()
    keys = np.full(size, FREE, np.int64)
    table = np.full(size, NEVER, np.int64)
    _fill(keys, table, left.astype(np.int64) << 32 | right, values)
    return keys, table


@jit
def _slot(keys: Int64s, key: Integer) -> Integer:
    """The slot of a pair: the one that holds it, or the free one where it belongs."""
    mask = np.uint64(len(keys) - 1)
    slot = ((np.uint64(key) * GOLDEN) >> np.uint64(32)) & mask
    while keys[slot] != key and keys[slot] != FREE:
        slot = (slot + np.uint64(1)) & mask
    return slot


@jit
def _fill(keys: Int64s, table: Int64s, pairs: Int64s, values: Int64s) -> None:
    for index in range(len(pairs)):
        slot = _slot(keys, pairs[index])
        keys[slot] = pairs[index]
        table[slot] = values[index]


@jit
def _value(keys: Int64s, values: Int64s, left: Integer, right: Integer) -> Integer:
    """The rank of a pair in the high half and the token it makes in the low one."""
    return values[_slot(keys, np.int64(left) << 32 | np.int64(right))]


@jit
def _merge_short(ids: Int32s, n_ids: Integer, pairs: Int64s, keys: Int64s, values: Int64s) -> Integer:
    """Merge the ids of a word in place and return how many remain; `pairs` is scratch."""
    for at in range(n_ids - 1):
        pairs[at] = _value(keys, values, ids[at], ids[at + 1])
    while n_ids > 1:
        best = 0
        for at in range(1, n_ids - 1):
            if pairs[at] < pairs[best]:
                best = at
        if pairs[best] == NEVER:
            break
        ids[best] = pairs[best] & LOW_HALF
        n_ids -= 1
        for at in range(best + 1, n_ids):
            ids[at] = ids[at + 1]
            pairs[at - 1] = pairs[at]
        if best > 0:
            pairs[best - 1] = _value(keys, values, ids[best - 1], ids[best])
        if best + 1 < n_ids:
            pairs[best] = _value(keys, values, ids[best], ids[best + 1])
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
def _merge_long(ids: Int32s, n_ids: Integer, keys: Int64s, values: Int64s) -> Integer:
    """The same for words of any length: a heap of (rank, place), and links over the places merged away."""
    after = np.arange(1, n_ids + 1)
    before = np.arange(-1, n_ids - 1)
    pairs = np.full(n_ids, NEVER, np.int64)
    # Each merge takes a pair away and adds two at most.
    heap = np.empty(3 * n_ids, np.int64)
    n_items = 0
    for at in range(n_ids - 1):
        pairs[at] = _value(keys, values, ids[at], ids[at + 1])
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
                    pairs[changed] = _value(keys, values, ids[changed], ids[following])
                if pairs[changed] != NEVER:
                    n_items = _push(heap, n_items, (pairs[changed] >> 32) << 32 | changed)
    at = 0
    for index in range(n_ids):
        ids[index] = ids[at]
        at = after[at]
    return n_ids


@jit
def _merge_words(
    arena: Bytes, bounds: Int64s, whole: Int32s, byte_ids: Int32s, keys: Int64s, values: Int64s,
    ids: Int32s, starts: Int64s,
) -> None:  # fmt: skip
    """Write the ids of each word from `starts[0]` on, and where the ids of the next one begin."""
    pairs = np.empty(SHORT, np.int64)
    for word in range(len(whole)):
        first = starts[word]
        if whole[word] >= 0:
            ids[first] = whole[word]
            starts[word + 1] = first + 1
            continue
        n_ids = bounds[word + 1] - bounds[word]
        place = ids[first : first + n_ids]
        for at in range(n_ids):
            place[at] = byte_ids[arena[bounds[word] + at]]
        if n_ids < SHORT:
            n_ids = _merge_short(place, n_ids, pairs, keys, values)
        else:
            n_ids = _merge_long(place, n_ids, keys, values)
        starts[word + 1] = first + n_ids


@jit
def _gather(numbers: Int32s, ids: Int32s, starts: Int64s) -> Int32s:
    """The ids of a sequence of words."""
    total = 0
    for word in numbers:
        total += starts[word + 1] - starts[word]
    gathered = np.empty(total, np.int32)
    at = 0
    for word in numbers:
        for source in range(starts[word], starts[word + 1]):
            gathered[at] = ids[source]
            at += 1
    return gathered
