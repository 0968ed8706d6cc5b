"""The fast encoder: words are looked up, and only words never seen before are merged.

Encoding is three passes over blocks of words: split the text (`split.py`), find the entry of each word in a
table of the words met so far (`words.py`), and write out the ids. A word that has just got its entry takes
over its id where it is a token, and is merged else (`merging.py`). An entry holds up to three ids, which are
what most words have; more are kept aside. The ids are those of `reference.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hornbook.tokenizer.jit import Int32s, Int64s, UInt64s, jit
from hornbook.tokenizer.merging import INLINE, merge_fresh, merges_of
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.words import Texts, WordTable, lay_out

MEMORY_WORDS = 1 << 19
"""A memory of more words is forgotten."""
MEMORY_BYTES = 1 << 27
"""One of more bytes is given back after a text."""
ROOM = 1 << 22
"""More room than for so many ids is given back after a text."""
REMEMBERED = 128
"""Words of more bytes are merged each time; they seldom come back."""


class Memory:
    """The words that one thread has met, and their ids; and its room to work in."""

    def __init__(self, longest: int, known: WordTable | None = None) -> None:
        self.words, self.known = WordTable(longest=longest), known
        self.ids = np.empty(1 << 12, np.int32)
        """The ids of words that have more than an entry takes."""
        self.n_ids = 0
        self.out = np.empty(1 << 12, np.int32)
        """The ids of the texts at hand."""
        self.numbers, self.fresh = np.empty(0, np.int32), np.empty(0, np.int32)

    def forget(self) -> None:
        """Begin anew, in the room there is."""
        self.words.clear()
        self.n_ids = 0

    def learn(self, texts: Texts, start: int, ends: Int64s) -> int:
        """Number the words of a block, and make room for what they need; return how many are fresh."""
        n_words = len(ends)
        if n_words > len(self.numbers):
            self.numbers, self.fresh = np.empty(2 * n_words, np.int32), np.empty(2 * n_words, np.int32)
        n_fresh = self.words.enter(texts.chunks, start, ends, self.numbers, self.fresh)
        if n_fresh and self.known is not None:
            n_fresh = self.words.take_over(self.numbers, self.fresh[:n_fresh], self.known)
        if n_fresh:
            # No word has more ids than bytes, and where it has no entry their count goes before them.
            needed = self.n_ids + 2 * (int(ends[-1]) - start) + INLINE
            if needed > len(self.ids):
                self.ids = _larger(self.ids, self.n_ids, 2 * needed)
        return n_fresh

    def make_room(self, n_out: int, n_bytes: int) -> None:
        """Make room for the ids of a block after those that are written."""
        if n_out + n_bytes + INLINE > len(self.out):
            self.out = _larger(self.out, n_out, 2 * (n_out + n_bytes + INLINE))

    def is_full(self) -> bool:
        """Whether it should be forgotten."""
        return len(self.words) > MEMORY_WORDS or self.n_ids > 4 * MEMORY_WORDS

    def rest(self) -> None:
        """Keep no more room than the next text will probably need."""
        if self.words.n_bytes + self.ids.nbytes > MEMORY_BYTES:
            self.words = WordTable(longest=self.words.longest)
            self.ids, self.n_ids = np.empty(1 << 12, np.int32), 0
        if len(self.out) > ROOM:
            self.out = np.empty(1 << 12, np.int32)


def _larger(array: Int32s, used: int, size: int) -> Int32s:
    larger = np.empty(size, np.int32)
    larger[:used] = array[:used]
    return larger


class Encoder:
    """Encodes words by the merges of one vocabulary, for many threads at once, each with its own `Memory`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids = vocabulary.ordinary_ids()
        self._merges = merges_of(vocabulary)
        # A memory takes words as long as any token, since these may be whole words.
        self._longest = max(REMEMBERED, *map(len, ids))
        self._tokens = self._single_tokens(ids, vocabulary.whole_words)

    def memory(self) -> Memory:
        """Return a new memory, which knows the tokens."""
        return Memory(self._longest, self._tokens)

    def encode(self, texts: Texts, blocks: Iterator[Int64s], memory: Memory) -> tuple[Int32s, Int64s]:
        """Return the ids of some texts one after another, a view into the memory, and where each text's end.

        `blocks` are the ends of the words.
        """
        # The text that is being written, how many bytes are read and how many ids are written.
        state = np.zeros(3, np.int64)
        stops = np.empty(len(texts.bounds), np.int64)
        start = n_out = 0
        for ends in blocks:
            if memory.is_full():
                memory.forget()
            n_fresh = memory.learn(texts, start, ends)
            memory.make_room(n_out, int(ends[-1]) - start)
            if n_fresh:
                memory.n_ids = self._merge_fresh(texts, start, ends, memory, n_fresh)
            _write_ids(
                texts.bounds, ends, memory.numbers, memory.words.entries, memory.ids, memory.out, stops, state
            )
            _, start, n_out = state.tolist()
        stops[state[0] :] = n_out
        return memory.out[:n_out], stops

    def _merge_fresh(self, texts: Texts, start: int, ends: Int64s, memory: Memory, n_fresh: int) -> int:
        """Find the ids of the words that a memory has just met; return how many ids aside are to be kept."""
        return merge_fresh(
            texts.data, start, ends, memory.fresh[:n_fresh], self._merges,
            memory.numbers, memory.words.entries, memory.ids, memory.n_ids,
        )  # fmt: skip

    def _single_tokens(self, tokens: dict[bytes, int], whole_words: bool) -> WordTable:
        """The tokens as words: each its own id, or what its merges make of it where that is one token."""
        texts, memory = lay_out(list(tokens)), Memory(self._longest)
        n_words = memory.learn(texts, 0, texts.bounds)
        entries = memory.words.entries
        if whole_words:
            entries[:n_words, 2] = np.fromiter(tokens.values(), np.uint64, n_words)
            entries[:n_words, 3] = 1 << 32
            return memory.words
        self._merge_fresh(texts, 0, texts.bounds, memory, n_words)
        return memory.words.only(entries[:n_words, 3] >> np.uint64(32) == 1)


@jit
def _write_ids(
    bounds: Int64s, ends: Int64s, numbers: Int32s, entries: UInt64s, ids: Int32s, out: Int32s, stops: Int64s,
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
