"""Merging words: from the bytes of words that are new to the ids of their tokens, compiled.

A word of some bytes is merged by looking for the pair of smallest rank again and again, a long one through a
heap, so that a megabyte of one letter takes n log n steps and not n squared. The ids are those of
`reference.encode`. What the merges are is laid out once for each vocabulary; which words are new, and where
their ids go, is the business of `encode.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hornbook.base.errors import ConfigError
from hornbook.tokenizer.jit import Bools, Bytes, Int32s, Int64s, Integer, UInt32s, UInt64s, inlined, jit
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.words import Texts, lay_out

INLINE = 3
"""The ids that an entry has room for."""

TOKEN_BITS, RANK_BITS, PLACE_BITS = 22, 20, 7
"""The widths of a token and a rank in a slot of the table of merges, and of a place in a short word."""
SHORT = 1 << PLACE_BITS
"""Words of fewer bytes are merged without a heap."""
NO_RANK = (1 << RANK_BITS) - 1
"""The rank of a pair that is not merged."""
NEVER = np.int32(NO_RANK << PLACE_BITS)
"""From this on, an order is that of a pair that is not merged."""
FREE = np.uint32(0xFFFFFFFF)
NO_TOKEN = (1 << TOKEN_BITS) - 1
"""What stands beyond the ends of a word; no merge has it."""
LOW_HALF = np.int64(0xFFFFFFFF)
GOLDEN, ONE = np.uint64(0x9E3779B97F4A7C15), np.uint64(1)


class Merges(NamedTuple):
    """The merges as tables. A rank here is one of the numbers 0, 1, 2 ... in the order of the vocabulary's
    ranks.
    """

    byte_ids: Int32s
    """The id of each byte."""
    byte_ranks: Int32s
    """The rank of each pair of bytes, by the first times 256 plus the second, or NO_RANK."""
    marked_ranks: UInt32s
    """An open hash table: the rank of a pair in the low bits and a few bits of the pair's hash above; or
    FREE.
    """
    pairs: UInt64s
    """The pairs themselves, slot by slot: left token in the high bits, right token in the low ones."""
    made: Int32s
    """The token that each rank makes."""


def merges_of(vocabulary: Vocabulary) -> Merges:
    """Lay out the merges of a vocabulary for the compiled code, without those that are never done."""
    ids = vocabulary.ordinary_ids()
    byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.int32)
    left, right, made = vocabulary.left, vocabulary.right, vocabulary.merged()
    different, ranks = np.unique(vocabulary.ranks, return_inverse=True)
    if len(different) > NO_RANK or len(vocabulary.tokens) > NO_TOKEN:
        raise ConfigError(
            f"the vocabulary has {len(different)} merges and {len(vocabulary.tokens)} ids; "
            f"at most {NO_RANK} and {NO_TOKEN} can be used"
        )
    merges = _tables(byte_ids, left, right, made, ranks)
    if len(different) == len(ranks):
        return merges
    used = _used(lay_out([vocabulary.tokens[token] for token in merges.made]), merges, left, right, ranks)
    return _tables(byte_ids, left[used], right[used], made[used], ranks[used])


def _tables(byte_ids: Int32s, left: Int32s, right: Int32s, made: Int32s, ranks: Int64s) -> Merges:
    """Lay out merges for the compiled code."""
    n_slots = 1 << (2 * len(ranks)).bit_length()
    by_rank = np.zeros(int(ranks.max(initial=-1)) + 1, np.int32)
    by_rank[ranks] = made
    merges = Merges(
        byte_ids, np.empty(1 << 16, np.int32), np.full(n_slots, FREE, np.uint32),
        np.zeros(n_slots, np.uint64), by_rank,
    )  # fmt: skip
    _fill(merges, left, right, ranks)
    return merges


@inlined
def _rank(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The rank of a pair, or NO_RANK.

    What is waited for is the small table, which a processor's cache may hold; the check of the pair in the
    large one is expected to succeed, so that work goes on meanwhile.
    """
    pair = np.uint64(left) << TOKEN_BITS | np.uint64(right)
    mixed = pair * GOLDEN
    mask = np.uint64(len(merges.pairs) - 1)
    slot, mark = (mixed >> np.uint64(24)) & mask, np.uint32(mixed >> np.uint64(52))
    while merges.marked_ranks[slot] != FREE:
        marked = merges.marked_ranks[slot]
        if marked >> RANK_BITS == mark and merges.pairs[slot] == pair:
            return np.int64(marked & NO_RANK)
        slot = (slot + ONE) & mask
    return np.int64(NO_RANK)


@jit
def _fill(merges: Merges, left: Int32s, right: Int32s, ranks: Int64s) -> None:
    """Enter all merges into the hash table, and those of bytes into their own table."""
    mask = np.uint64(len(merges.pairs) - 1)
    for merge in range(len(ranks)):
        pair = np.uint64(left[merge]) << TOKEN_BITS | np.uint64(right[merge])
        mixed = pair * GOLDEN
        slot = (mixed >> np.uint64(24)) & mask
        while merges.marked_ranks[slot] != FREE:
            slot = (slot + ONE) & mask
        merges.pairs[slot] = pair
        merges.marked_ranks[slot] = mixed >> np.uint64(52) << RANK_BITS | np.uint64(ranks[merge])
    for first in range(256):
        for second in range(256):
            rank = _rank(merges, merges.byte_ids[first], merges.byte_ids[second])
            merges.byte_ranks[first << 8 | second] = rank


@jit
def _used(texts: Texts, merges: Merges, left: Int32s, right: Int32s, ranks: Int64s) -> Bools:
    """Which merges of a table of ranks are ever done; `texts` are the tokens that the ranks make.

    Two tokens merge where their bytes are a token, so most tokens could be made in several ways. But where a
    token is made, its bytes were merged among themselves alone, and that goes the same way whatever stands
    around them: the pair they come down to is the one that makes it.
    """
    links, order = np.empty((3, SHORT + 1), np.int32), np.empty(SHORT + 16, np.int32)
    ids, parts = np.empty(SHORT, np.int32), np.full((len(texts.bounds), 2), NO_TOKEN, np.int32)
    start = np.int64(0)
    for rank in range(len(texts.bounds)):
        n_bytes = texts.bounds[rank] - start
        if n_bytes < SHORT:
            _merge_short(texts.data, start, n_bytes, merges, ids, links, order, 2)
            parts[rank] = ids[:2]
        start = texts.bounds[rank]
    used = np.empty(len(ranks), np.bool_)
    for merge in range(len(ranks)):
        first, second = parts[ranks[merge], 0], parts[ranks[merge], 1]
        used[merge] = first == NO_TOKEN or (first == left[merge] and second == right[merge])
    return used


@jit
def _merge_short(
    data: Bytes, start: Integer, n_ids: Integer, merges: Merges, ids: Int32s, links: Int32s, order: Int32s,
    fewest: Integer,
) -> Integer:  # fmt: skip
    """The ids of a word of few bytes, merged until there are so few: in every round all pairs are looked at.

    A place behind the last holds no token, so that the ends of the word need no branches, which a processor
    could not foresee.
    """
    tokens, after, before = links[0], links[1], links[2]
    n_places = n_ids
    for at in range(n_places):
        tokens[at] = merges.byte_ids[data[start + at]]
        after[at], before[at] = at + 1, at - 1
    tokens[n_places], after[n_places], before[0] = NO_TOKEN, n_places, n_places
    # Rank and place in one number: the smallest is the leftmost pair of the smallest rank.
    n_orders = (n_places + 15) & ~15
    for at in range(n_places - 1):
        rank = merges.byte_ranks[np.int64(data[start + at]) << 8 | np.int64(data[start + at + 1])]
        order[at] = rank << PLACE_BITS | at
    for at in range(n_places - 1, n_orders):
        order[at] = NEVER
    while n_ids > fewest:
        first = NEVER
        for at in range(n_orders):
            first = min(first, order[at])
        if first >= NEVER:
            break
        place = first & (SHORT - 1)
        tokens[place] = merges.made[first >> PLACE_BITS]
        gone, left = after[place], before[place]
        right = after[gone]
        after[place], before[right] = right, place
        order[gone] = NEVER
        n_ids -= 1
        rank = _rank(merges, tokens[place], tokens[right])
        order[place] = rank << PLACE_BITS | place
        rank = _rank(merges, tokens[left], tokens[place])
        order[left] = rank << PLACE_BITS | left
    at = 0
    for index in range(n_ids):
        ids[index] = tokens[at]
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
    ranks = np.full(n_ids, NO_RANK, np.int64)
    # Each merge takes a pair away and adds two at most.
    heap = np.empty(3 * n_ids, np.int64)
    n_items = 0
    for at in range(n_ids - 1):
        ranks[at] = _rank(merges, ids[at], ids[at + 1])
        if ranks[at] != NO_RANK:
            n_items = _push(heap, n_items, ranks[at] << 32 | at)
    n_places = n_ids
    while n_items > 0:
        rank, at = heap[0] >> 32, heap[0] & LOW_HALF
        n_items = _drop_first(heap, n_items)
        if ranks[at] != rank:
            continue  # One of the two tokens was merged with another meanwhile.
        gone = after[at]
        ids[at] = merges.made[rank]
        ranks[gone] = NO_RANK
        after[at] = after[gone]
        n_ids -= 1
        if after[at] < n_places:
            before[after[at]] = at
        for changed in (before[at], at):
            if changed >= 0:
                ranks[changed] = NO_RANK
                if after[changed] < n_places:
                    ranks[changed] = _rank(merges, ids[changed], ids[after[changed]])
                if ranks[changed] != NO_RANK:
                    n_items = _push(heap, n_items, ranks[changed] << 32 | changed)
    at = 0
    for index in range(n_ids):
        ids[index] = ids[at]
        at = after[at]
    return n_ids


@jit
def _merge(
    data: Bytes, start: Integer, n_bytes: Integer, merges: Merges, ids: Int32s, links: Int32s, order: Int32s
) -> Integer:
    """Write the ids of a word to `ids` and return how many; `links` and `order` are scratch."""
    if n_bytes < SHORT:
        return _merge_short(data, start, n_bytes, merges, ids, links, order, 1)
    return _merge_long(data, start, n_bytes, merges, ids)


@jit
def merge_fresh(
    data: Bytes, start: Integer, ends: Int64s, fresh: Int32s, merges: Merges,
    numbers: Int32s, entries: UInt64s, ids: Int32s, n_ids: Integer,
) -> Integer:  # fmt: skip
    """Find the ids of words just met and write them into their entries, or aside where these are too small.

    A word without an entry gets all its ids aside, their count first, and in the place of its number stands
    where: -2 for the first place, -3 for the second ... Return how many ids aside belong to entries.
    """
    links, order = np.empty((3, SHORT + 1), np.int32), np.empty(SHORT + 16, np.int32)
    for with_entry in (True, False):
        n_kept = n_ids
        for word in fresh:
            if (numbers[word] >= 0) != with_entry:
                continue
            first = ends[word - 1] if word > 0 else start
            place = ids[n_ids:] if with_entry else ids[n_ids + 1 :]
            count = _merge(data, first, ends[word] - first, merges, place, links, order)
            if not with_entry:
                ids[n_ids] = count
                numbers[word] = -2 - n_ids
                n_ids += count + 1
                continue
            low, high = np.uint64(n_ids), np.uint64(count) << np.uint64(32)
            if count > INLINE:
                n_ids += count
            else:
                place[count:INLINE] = 0
                low = np.uint64(place[0]) | np.uint64(place[1]) << np.uint64(32)
                high |= np.uint64(place[2])
            entries[numbers[word], 2], entries[numbers[word], 3] = low, high
    return n_kept
