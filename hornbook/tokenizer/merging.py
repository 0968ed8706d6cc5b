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
from hornbook.tokenizer.jit import Bools, Bytes, Int32s, Int64s, Integer, UInt64s, inlined, jit
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.words import Texts, lay_out

INLINE = 3
"""The ids that an entry has room for."""

TOKEN_BITS, RANK_BITS, PLACE_BITS = 22, 20, 7
"""The widths of a token and of a rank, and of a place in a short word."""
SHORT = 1 << PLACE_BITS
"""Words of fewer bytes are merged without a heap."""
LANES = 16
"""How many short words are merged side by side."""
NO_RANK = (1 << RANK_BITS) - 1
"""The rank of a pair that is not merged."""
NEVER = np.int32(NO_RANK << PLACE_BITS)
"""From this on, an order is that of a pair that is not merged."""
FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
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
    pairs: UInt64s
    """An open hash table: left token, right token and rank in one number; or FREE."""
    sieve: Bytes
    """A bit for each value of a hash of a pair, set where such a pair merges, eight bits for each slot. Most
    pairs that are asked for do not merge, and this table, which a processor's cache holds, tells so.
    """
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
        byte_ids, np.empty(1 << 16, np.int32), np.full(n_slots, FREE), np.zeros(n_slots, np.uint8), by_rank
    )  # fmt: skip
    _fill(merges, left, right, ranks)
    return merges


@inlined
def _pair(left: Integer, right: Integer) -> Integer:
    """A pair of tokens as one number."""
    return np.uint64(left) << TOKEN_BITS | np.uint64(right)


@inlined
def _slot(pair: Integer, merges: Merges) -> Integer:
    """The slot where a search for a pair begins."""
    return (pair * GOLDEN >> np.uint64(24)) & np.uint64(len(merges.pairs) - 1)


@inlined
def _hole(pair: Integer, merges: Merges) -> tuple[Integer, Integer]:
    """The byte of the sieve and the bit in it that tell of a pair."""
    mixed = pair * GOLDEN >> np.uint64(40)
    return (mixed >> np.uint64(3)) & np.uint64(len(merges.sieve) - 1), mixed & np.uint64(7)


@inlined
def _may_merge(pair: Integer, merges: Merges) -> Integer:
    """1 where the sieve lets a pair through, else 0."""
    byte, bit = _hole(pair, merges)
    return merges.sieve[byte] >> bit & ONE


@inlined
def _sought(pair: Integer, slot: Integer, merges: Merges) -> Integer:
    """The rank of a pair, or NO_RANK; the search begins at a slot."""
    while merges.pairs[slot] != FREE:
        if merges.pairs[slot] >> RANK_BITS == pair:
            return np.int64(merges.pairs[slot] & NO_RANK)
        slot = (slot + ONE) & np.uint64(len(merges.pairs) - 1)
    return np.int64(NO_RANK)


@inlined
def _rank(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The rank of a pair, or NO_RANK."""
    pair = _pair(left, right)
    return _sought(pair, _slot(pair, merges), merges) if _may_merge(pair, merges) else np.int64(NO_RANK)


@jit
def _fill(merges: Merges, left: Int32s, right: Int32s, ranks: Int64s) -> None:
    """Enter all merges into the hash table and the sieve, and those of bytes into their own table.

    A pair that is listed twice has its last rank, as in the reference.
    """
    mask = np.uint64(len(merges.pairs) - 1)
    for merge in range(len(ranks)):
        pair = _pair(left[merge], right[merge])
        slot = _slot(pair, merges)
        while merges.pairs[slot] != FREE and merges.pairs[slot] >> RANK_BITS != pair:
            slot = (slot + ONE) & mask
        merges.pairs[slot] = pair << RANK_BITS | np.uint64(ranks[merge])
        byte, bit = _hole(pair, merges)
        merges.sieve[byte] |= ONE << bit
    for first in range(256):
        for second in range(256):
            rank = _rank(merges, merges.byte_ids[first], merges.byte_ids[second])
            merges.byte_ranks[first << 8 | second] = rank


class Lanes(NamedTuple):
    """Where short words are merged side by side, a row for each word."""

    tokens: Int32s
    """The tokens by their places. A place behind the last holds no token, so that the ends of a word need no
    branches, which a processor could not foresee.
    """
    after: Bytes
    """The place of the next token: some are merged away."""
    before: Bytes
    order: Int32s
    """Rank and place of each pair in one number: the smallest is the leftmost pair of the smallest rank."""
    n_orders: Int64s
    """How much of `order` is looked at."""
    n_ids: Int64s
    """How many tokens are left."""


@inlined
def _lanes() -> Lanes:
    return Lanes(
        np.empty((LANES, SHORT + 1), np.int32), np.empty((LANES, SHORT + 1), np.uint8),
        np.empty((LANES, SHORT + 1), np.uint8), np.empty((LANES, SHORT + 16), np.int32),
        np.zeros(LANES, np.int64), np.zeros(LANES, np.int64),
    )  # fmt: skip


@jit
def _used(texts: Texts, merges: Merges, left: Int32s, right: Int32s, ranks: Int64s) -> Bools:
    """Which merges are ever done; `texts` are the tokens that the ranks make.

    By a table of ranks, two tokens merge where their bytes are a token, so most tokens could be made in
    several ways. But where a token is made, its bytes were merged among themselves alone, and that goes the
    same way whatever stands around them: the pair they come down to is the one that makes it.
    """
    lanes, parts = _lanes(), np.full((len(texts.bounds), 2), NO_TOKEN, np.int32)
    in_lanes = np.empty(LANES, np.int64)
    start, n_lanes = np.int64(0), 0
    for rank in range(len(texts.bounds)):
        n_bytes = texts.bounds[rank] - start
        if n_bytes < SHORT:
            _begin(texts.data, start, n_bytes, merges, lanes, n_lanes)
            # The last merge is left out.
            lanes.n_ids[n_lanes] -= 1
            in_lanes[n_lanes] = rank
            n_lanes += 1
        start = texts.bounds[rank]
        if n_lanes == LANES or rank == len(texts.bounds) - 1:
            _merge_lanes(merges, lanes, n_lanes)
            for lane in range(n_lanes):
                parts[in_lanes[lane], 0] = lanes.tokens[lane, 0]
                parts[in_lanes[lane], 1] = lanes.tokens[lane, np.int64(lanes.after[lane, 0])]
            n_lanes = 0
    used = np.empty(len(ranks), np.bool_)
    for merge in range(len(ranks)):
        first, second = parts[ranks[merge], 0], parts[ranks[merge], 1]
        used[merge] = first == NO_TOKEN or (first == left[merge] and second == right[merge])
    return used


@inlined
def _begin(
    data: Bytes, start: Integer, n_bytes: Integer, merges: Merges, lanes: Lanes, lane: Integer
) -> None:
    """Lay the bytes of a word into a lane."""
    for at in range(n_bytes):
        lanes.tokens[lane, at] = merges.byte_ids[data[start + at]]
        lanes.after[lane, at], lanes.before[lane, at] = at + 1, at - 1
    lanes.tokens[lane, n_bytes], lanes.after[lane, n_bytes] = NO_TOKEN, n_bytes
    lanes.before[lane, 0] = n_bytes
    # Up to a multiple of 16, since the search for the smallest looks at many at once.
    n_orders = (n_bytes + 15) & ~15
    for at in range(n_bytes - 1):
        rank = merges.byte_ranks[np.int64(data[start + at]) << 8 | np.int64(data[start + at + 1])]
        lanes.order[lane, at] = rank << PLACE_BITS | at
    for at in range(n_bytes - 1, n_orders):
        lanes.order[lane, at] = NEVER
    lanes.n_orders[lane], lanes.n_ids[lane] = n_orders, n_bytes


@inlined
def _read(lanes: Lanes, lane: Integer, ids: Int32s) -> None:
    """Write the tokens that a lane holds."""
    at = np.int64(0)
    for index in range(lanes.n_ids[lane]):
        ids[index] = lanes.tokens[lane, at]
        at = np.int64(lanes.after[lane, at])


@jit
def _merge_lanes(merges: Merges, lanes: Lanes, n_lanes: Integer) -> Integer:
    """Merge words side by side until each is one token, or has no pair that merges.

    Every round does one merge of every word, in three steps through all words, so that what the memory is
    asked for in one step is there in the next, for many words at once. Return a sum that nobody reads, so
    that what is only touched is not left out by the compiler.
    """
    tokens, after, before, order, n_orders, n_ids = lanes
    busy, firsts, made = np.arange(LANES), np.empty(LANES, np.int64), np.empty(LANES, np.int32)
    # The new pairs that may merge, and where each stands.
    pairs, slots = np.empty(2 * LANES, np.uint64), np.empty(2 * LANES, np.uint64)
    in_lane, at_place = np.empty(2 * LANES, np.int64), np.empty(2 * LANES, np.int64)
    touched = np.uint64(0)
    n_busy = n_lanes
    while n_busy > 0:
        # Find the merge of each word, and leave out the words that have none.
        n_still = 0
        for index in range(n_busy):
            lane = busy[index]
            first = NEVER
            for at in range(n_orders[lane]):
                first = min(first, order[lane, at])
            busy[n_still], firsts[n_still] = lane, first
            if first < NEVER and n_ids[lane] > 1:
                made[n_still] = merges.made[first >> PLACE_BITS]
                n_still += 1
        n_busy = n_still
        # Do it, and sift the two new pairs.
        n_pairs = np.int64(0)
        for index in range(n_busy):
            lane, token = busy[index], made[index]
            place = firsts[index] & (SHORT - 1)
            gone, left = np.int64(after[lane, place]), np.int64(before[lane, place])
            right = np.int64(after[lane, gone])
            tokens[lane, place] = token
            after[lane, place], before[lane, right] = right, place
            order[lane, gone] = order[lane, place] = order[lane, left] = NEVER
            n_ids[lane] -= 1
            pair = _pair(token, tokens[lane, right])
            pairs[n_pairs], in_lane[n_pairs], at_place[n_pairs] = pair, lane, place
            n_pairs += np.int64(_may_merge(pair, merges))
            pair = _pair(tokens[lane, left], token)
            pairs[n_pairs], in_lane[n_pairs], at_place[n_pairs] = pair, lane, left
            n_pairs += np.int64(_may_merge(pair, merges))
        # Look up their ranks.
        for index in range(n_pairs):
            slots[index] = _slot(pairs[index], merges)
            touched += merges.pairs[slots[index]]
        for index in range(n_pairs):
            rank = _sought(pairs[index], slots[index], merges)
            order[in_lane[index], at_place[index]] = rank << PLACE_BITS | at_place[index]
    return touched


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
    """The ids of a word of any length: a heap of (rank, place), and links over the places merged away."""
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
def merge_fresh(
    data: Bytes, start: Integer, ends: Int64s, fresh: Int32s, merges: Merges,
    numbers: Int32s, entries: UInt64s, ids: Int32s, n_ids: Integer,
) -> Integer:  # fmt: skip
    """Find the ids of words just met and write them into their entries, or aside where these are too small.

    A word without an entry gets all its ids aside, their count first, and in the place of its number stands
    where: -2 for the first place, -3 for the second ... Return how many ids aside belong to entries.
    """
    lanes, in_lanes = _lanes(), np.empty(LANES, np.int64)
    n_lanes = 0
    for place in range(len(fresh)):
        word = fresh[place]
        first = ends[word - 1] if word > 0 else start
        n_bytes = ends[word] - first
        if numbers[word] >= 0 and n_bytes < SHORT:
            _begin(data, first, n_bytes, merges, lanes, n_lanes)
            in_lanes[n_lanes] = numbers[word]
            n_lanes += 1
        elif numbers[word] >= 0:
            count = _merge_long(data, first, n_bytes, merges, ids[n_ids:])
            n_ids += _keep(ids, n_ids, count, entries, numbers[word])
        if n_lanes == LANES or place == len(fresh) - 1:
            _merge_lanes(merges, lanes, n_lanes)
            for lane in range(n_lanes):
                _read(lanes, lane, ids[n_ids:])
                n_ids += _keep(ids, n_ids, lanes.n_ids[lane], entries, in_lanes[lane])
            n_lanes = 0
    n_kept = n_ids
    for word in fresh:
        if numbers[word] < 0:
            first = ends[word - 1] if word > 0 else start
            count = _merge_long(data, first, ends[word] - first, merges, ids[n_ids + 1 :])
            ids[n_ids] = count
            numbers[word] = -2 - n_ids
            n_ids += count + 1
    return n_kept


@inlined
def _keep(ids: Int32s, n_ids: Integer, count: Integer, entries: UInt64s, number: Integer) -> Integer:
    """Write into an entry the ids that stand behind those aside, or where they are; return how many of them
    stay aside.
    """
    low, high = np.uint64(n_ids), np.uint64(count) << np.uint64(32)
    if count <= INLINE:
        ids[n_ids + count : n_ids + INLINE] = 0
        low = np.uint64(ids[n_ids]) | np.uint64(ids[n_ids + 1]) << np.uint64(32)
        high |= np.uint64(ids[n_ids + 2])
    entries[number, 2], entries[number, 3] = low, high
    return count if count > INLINE else 0
