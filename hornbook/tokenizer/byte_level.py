"""The engine for byte-level BPE: a vocabulary, its splitter and its compiled encoder, ready for many threads.

Compiled code is loaded at the first encoding, not before.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbook.base.errors import TextError
from hornbook.tokenizer.files.tokenizer_json import to_tokenizer_json
from hornbook.tokenizer.jit import Int32s, Int64s
from hornbook.tokenizer.offsets import offsets
from hornbook.tokenizer.pretokenize import Splitter, name_of, splitter, utf8
from hornbook.tokenizer.stream import StreamDecoder
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.encode import Encoder, Memory
    from hornbook.tokenizer.numbers import Numbers

BATCH = 1 << 19
"""How many characters of text a thread takes at a time."""


class ByteLevel:
    """Encodes by the merges of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._memories: list[Memory] = []

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return len(self.vocabulary.tokens)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The id of each special token."""
        return self.vocabulary.special_tokens

    @property
    def added_tokens(self) -> Mapping[str, int]:
        """The id of each text that is always one token."""
        return self.vocabulary.added_tokens

    @property
    def pattern(self) -> str:
        """The name of the published pattern that cuts text into words, or the expression."""
        return name_of(self.vocabulary.pattern)

    def encode(self, text: str) -> Int32s:
        """Return the ids of a text that has neither special nor added tokens."""
        ids, _, memory = self._ids_of([text])
        kept = ids.copy()
        self._give_back(memory)
        return kept

    def encode_between(self, text: str, cut_out: Collection[str]) -> Int32s:
        """Encode the text between tokens that are cut out, and these as their ids; the longest one wins."""
        ids = {**self.special_tokens, **self.added_tokens}
        longest_first = sorted(cut_out, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        arrays = [
            np.array([ids[part]], np.int32) if place % 2 else self.encode(part)
            for place, part in enumerate(parts)
        ]
        return np.concatenate(arrays)

    def listed(self, ids: Int32s) -> list[int]:
        """Return ids as a list."""
        return self._numbers.list_of(ids)

    def encode_many(self, texts: Sequence[str], threads: int) -> list[list[int]]:
        """Return the ids of such texts, encoded in so many threads."""
        parts = list(_batches(texts))
        if min(threads, len(parts)) <= 1:
            return [ids for part in parts for ids in self._lists_of(part)]
        self._lists_of(["a"])  # Load the compiled code once, before the threads.
        with ThreadPoolExecutor(threads) as pool:
            return [ids for part in pool.map(self._lists_of, parts) for ids in part]

    def _lists_of(self, texts: Sequence[str]) -> list[list[int]]:
        ids, stops, memory = self._ids_of(texts)
        lists = self._numbers.lists_of(ids, stops.tolist())
        self._give_back(memory)
        return lists

    def _ids_of(self, texts: Sequence[str]) -> tuple[Int32s, Int64s, Memory]:
        """The ids of some texts one after another, where each text's end, and the memory they lie in."""
        from hornbook.tokenizer.words import lay_out

        if self.vocabulary.normalizer is not None:
            texts = [unicodedata.normalize(self.vocabulary.normalizer, utf8(text)[0]) for text in texts]
        laid_out = lay_out([utf8(text)[1] for text in texts])
        # A memory belongs to one thread while it is out of the list.
        try:
            memory = self._memories.pop()
        except IndexError:
            memory = self._encoder.memory()
        ids, stops = self._encoder.encode(laid_out, self._splitter(laid_out), memory)
        return ids, stops, memory

    def _give_back(self, memory: Memory) -> None:
        memory.rest()
        self._memories.append(memory)

    def forget(self) -> None:
        """Forget the words met so far. Ids do not depend on them, only speed and memory do."""
        for _ in range(len(self._memories)):
            with contextlib.suppress(IndexError):  # A thread may have taken the last one meanwhile.
                memory = self._memories.pop(0)
                memory.forget()
                self._memories.append(memory)

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id; of a special token, its text."""
        place = operator.index(token)
        found = self.vocabulary.tokens[place] if 0 <= place < self.vocab_size else b""
        if not found:
            what = "unused" if 0 <= place < self.vocab_size else "out of range"
            raise TextError(f"the id {place} is {what}: this vocabulary has ids 0 to {self.vocab_size - 1}")
        return found

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of some ids."""
        return b"".join([self.token_bytes(token) for token in ids])

    def byte_lengths(self) -> Int32s:
        """Return how many bytes of text each id stands for, 0 for special and unused ones."""
        lengths = np.array([len(token) for token in self.vocabulary.tokens], np.int32)
        lengths[list(self.special_tokens.values())] = 0
        return lengths

    def offsets(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return where each id begins and ends in the decoded text, in characters."""
        return offsets([self.token_bytes(token) for token in ids])

    def stream(self) -> StreamDecoder:
        """Return a decoder for ids that arrive one at a time."""
        return StreamDecoder(self)

    def to_tokenizer_json(self) -> dict[str, Any]:
        """Return the vocabulary as the content of a `tokenizer.json`."""
        return to_tokenizer_json(self.vocabulary)

    @functools.cached_property
    def _numbers(self) -> Numbers:
        from hornbook.tokenizer.numbers import Numbers

        return Numbers(self.vocab_size)

    @functools.cached_property
    def _encoder(self) -> Encoder:
        from hornbook.tokenizer.encode import Encoder

        return Encoder(self.vocabulary)

    @functools.cached_property
    def _splitter(self) -> Splitter:
        return splitter(self.vocabulary.pattern)


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Group texts in their order so that each group is enough work for a while."""
    first = n_letters = 0
    for last, text in enumerate(texts, 1):
        n_letters += len(text)
        if n_letters >= BATCH:
            yield texts[first:last]
            first, n_letters = last, 0
    if first < len(texts):
        yield texts[first:]
