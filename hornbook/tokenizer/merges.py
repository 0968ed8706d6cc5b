"""The compiled half of training: which pair is the most frequent, and what a merge changes.

All distinct words lie one after another in one array of tokens, a place for each byte. A place holds a
token or, once its token was merged into the one before, nothing; links lead to the next and the
previous token of the word. The places where a pair begins form a list, so that a merge touches the
places where its pair occurs and no others, and the counts of the pairs around them are kept up to date.
The most frequent pair comes from a heap whose entries may be out of date: a count only falls, so an entry
is corrected when it comes to the top.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hornbook.tokenizer.jit import Int32s, Int64s, Integer, jit
from hornbook.tokenizer.words import Texts

NONE = np.int32(-1)


class Places(NamedTuple):
    """The distinct words, token by token."""

    tokens: Int32s
    after: Int32s
    """The place of the next token of the word, or NONE."""
    before: Int32s
    weights: Int64s
    """How often the word of this place occurs in the text."""
    pairs: Int32s
    """The number of the pair that begins here, or NONE."""
    later: Int32s
    """The next place in the list of this pair, or NONE."""
    earlier: Int32s


class Pairs(NamedTuple):
    """The pairs met so far, numbered, with a hash table from pair to number; and the heap over them."""

    slots: Int32s
    names: Int64s
    """Left token in the high half, right token in the low one."""
    counts: Int64s
    first: Int32s
    """The first place in the list of a pair, or NONE."""
    n_places: Int32s
    """The length of that list."""
    heap_counts: Int64s
    heap_pairs: Int32s
    sizes: Int64s
    """How many pairs there are, and how many heap entries."""


N_PAIRS, N_HEAP = 0, 1


def lay_out(words: Texts, counts: Int64s, byte_ids: Int32s) -> Places:
    """Return the words as places, without pairs yet."""
    ends, n_places = words.bounds, int(words.bounds[-1])
    assert n_places < np.iinfo(np.int32).max
    places = np.arange(n_places, dtype=np.int32)
    after, before = places + 1, places - 1
    after[ends - 1] = NONE
    before[0] = NONE
    before[ends[:-1]] = NONE
    nothing = np.full(n_places, NONE, np.int32)
    return Places(
        byte_ids[words.data[:n_places]], after, before, np.repeat(counts, np.diff(ends, prepend=0)),
        nothing, nothing.copy(), nothing.copy(),
    )  # fmt: skip


def allocate(n_pairs: int, n_heap: int) -> Pairs:
    """Return room for so many pairs and heap entries."""
    return Pairs(
        slots=np.full(1 << (2 * n_pairs).bit_length(), NONE, np.int32),
        names=np.empty(n_pairs, np.int64),
        counts=np.zeros(n_pairs, np.int64),
        first=np.full(n_pairs, NONE, np.int32),
        n_places=np.zeros(n_pairs, np.int32),
        heap_counts=np.empty(n_heap, np.int64),
        heap_pairs=np.empty(n_heap, np.int32),
        sizes=np.zeros(2, np.int64),
    )


def with_room(pairs: Pairs, n_more: int) -> Pairs:
    """Return the same pairs with room for more, at least doubled where it is too small."""
    n_pairs, n_heap = pairs.sizes.tolist()
    if n_pairs + n_more <= len(pairs.names) and n_heap + n_more <= len(pairs.heap_pairs):
        return pairs
    larger = allocate(2 * (n_pairs + n_more), 2 * (n_heap + n_more))
    for name in ("names", "counts", "first", "n_places"):
        getattr(larger, name)[:n_pairs] = getattr(pairs, name)[:n_pairs]
    for name in ("heap_counts", "heap_pairs"):
        getattr(larger, name)[:n_heap] = getattr(pairs, name)[:n_heap]
    larger.sizes[:] = pairs.sizes
    _fill_slots(larger)
    return larger


@jit
def _slot(pairs: Pairs, name: Integer) -> Integer:
    """The slot of a pair, or the free one where it belongs."""
    mask = np.uint64(len(pairs.slots) - 1)
    slot = ((np.uint64(name) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while pairs.slots[slot] != NONE and pairs.names[pairs.slots[slot]] != name:
        slot = (slot + np.uint64(1)) & mask
    return slot


@jit
def _fill_slots(pairs: Pairs) -> None:
    for pair in range(pairs.sizes[N_PAIRS]):
        pairs.slots[_slot(pairs, pairs.names[pair])] = pair


@jit
def _link(places: Places, pairs: Pairs, at: Integer) -> Integer:
    """Count the pair that begins at a place, and return its number; NONE where the word ends."""
    following = places.after[at]
    if following == NONE:
        return NONE
    name = np.int64(places.tokens[at]) << 32 | np.int64(places.tokens[following])
    slot = _slot(pairs, name)
    pair: Integer = pairs.slots[slot]
    if pair == NONE:
        pair = np.int32(pairs.sizes[N_PAIRS])
        pairs.sizes[N_PAIRS] += 1
        pairs.slots[slot] = pair
        pairs.names[pair] = name
    head = pairs.first[pair]
    places.pairs[at], places.later[at], places.earlier[at] = pair, head, NONE
    if head != NONE:
        places.earlier[head] = at
    pairs.first[pair] = at
    pairs.counts[pair] += places.weights[at]
    pairs.n_places[pair] += 1
    return pair


@jit
def _unlink(places: Places, pairs: Pairs, at: Integer) -> None:
    """Take a place out of the list and the count of its pair."""
    pair = places.pairs[at]
    if pair == NONE:
        return
    earlier, later = places.earlier[at], places.later[at]
    if earlier == NONE:
        pairs.first[pair] = later
    else:
        places.later[earlier] = later
    if later != NONE:
        places.earlier[later] = earlier
    places.pairs[at] = NONE
    pairs.counts[pair] -= places.weights[at]
    pairs.n_places[pair] -= 1


@jit
def _above(pairs: Pairs, count: Integer, pair: Integer, at: Integer) -> bool:
    """Whether an entry ranks before the one at a place in the heap: more frequent, or the smaller ids."""
    if count != pairs.heap_counts[at]:
        return bool(count > pairs.heap_counts[at])
    return bool(pairs.names[pair] < pairs.names[pairs.heap_pairs[at]])


@jit
def _push(pairs: Pairs, pair: Integer) -> None:
    """Enter a pair into the heap with its present count."""
    count = pairs.counts[pair]
    at = pairs.sizes[N_HEAP]
    pairs.sizes[N_HEAP] += 1
    while at > 0 and _above(pairs, count, pair, (at - 1) // 2):
        pairs.heap_counts[at] = pairs.heap_counts[(at - 1) // 2]
        pairs.heap_pairs[at] = pairs.heap_pairs[(at - 1) // 2]
        at = (at - 1) // 2
    pairs.heap_counts[at], pairs.heap_pairs[at] = count, pair


@jit
def _drop_first(pairs: Pairs) -> None:
    """Take the first entry off the heap."""
    pairs.sizes[N_HEAP] -= 1
    size = pairs.sizes[N_HEAP]
    count, pair = pairs.heap_counts[size], pairs.heap_pairs[size]
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        right = child + 1
        if right < size and _above(pairs, pairs.heap_counts[right], pairs.heap_pairs[right], child):
            child = right
        if _above(pairs, count, pair, child):
            break
        pairs.heap_counts[at], pairs.heap_pairs[at] = pairs.heap_counts[child], pairs.heap_pairs[child]
        at = child
    pairs.heap_counts[at], pairs.heap_pairs[at] = count, pair


@jit
def count_all(places: Places, pairs: Pairs) -> None:
    """Count the pairs of all words and enter them into the heap; at first there are pairs of bytes alone."""
    for at in range(len(places.tokens)):
        _link(places, pairs, at)
    for pair in range(pairs.sizes[N_PAIRS]):
        _push(pairs, pair)


@jit
def pop_best(pairs: Pairs) -> Integer:
    """Take the most frequent pair off the heap and return its number; NONE when there is none left."""
    while pairs.sizes[N_HEAP] > 0:
        count, pair = pairs.heap_counts[0], pairs.heap_pairs[0]
        _drop_first(pairs)
        present = pairs.counts[pair]
        if count == present:
            return pair
        if 0 < present < count:
            _push(pairs, pair)
    return NONE


@jit
def merge(places: Places, pairs: Pairs, pair: Integer, token: Integer) -> None:
    """Make a pair one token wherever it occurs, and enter the pairs that arise into the heap."""
    left, right = pairs.names[pair] >> 32, pairs.names[pair] & 0xFFFFFFFF
    touched = np.empty(2 * pairs.n_places[pair], np.int32)
    n_touched = 0
    while pairs.first[pair] != NONE:
        at: Integer = pairs.first[pair]
        # In a run of one letter the pairs overlap, and the leftmost one is to be merged.
        while left == right and places.before[at] != NONE and places.pairs[places.before[at]] == pair:
            at = places.before[at]
        while at != NONE and places.pairs[at] == pair:
            gone, before = places.after[at], places.before[at]
            if before != NONE:
                _unlink(places, pairs, before)
            _unlink(places, pairs, at)
            _unlink(places, pairs, gone)
            places.tokens[at] = token
            places.after[at] = places.after[gone]
            if places.after[at] != NONE:
                places.before[places.after[at]] = at
            if before != NONE:
                touched[n_touched] = _link(places, pairs, before)
                n_touched += 1
            touched[n_touched] = _link(places, pairs, at)
            n_touched += 1
            # Only a run goes on at once; other occurrences come from the list.
            at = places.after[at] if left == right else NONE
    _enter(pairs, touched[:n_touched])


@jit
def _enter(pairs: Pairs, touched: Int32s) -> None:
    """Push each of some pairs once, now that their counts are final."""
    touched.sort()
    last = NONE
    for pair in touched:
        if pair != last and pairs.counts[pair] > 0:
            _push(pairs, pair)
        last = pair
