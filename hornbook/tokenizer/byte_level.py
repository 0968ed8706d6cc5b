"""The engine for byte-level BPE: a vocabulary, its splitter and its compiled encoder, ready for many threads.

Compiled code is loaded at the first encoding, not before.
"""

from __future__ import annotations

import functools
import operator
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbook.base.errors import TextError
from hornbook.tokenizer.jit import Int32s
from hornbook.tokenizer.pretokenize import Splitter, name_of, splitter, utf8
from hornbook.tokenizer.stream import StreamDecoder
from hornbook.tokenizer.tokenizer_json import to_tokenizer_json
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.encode import Encoder, Memory


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
        encoder, split = self._encoder, self._splitter
        if self.vocabulary.normalizer is not None:
            text = unicodedata.normalize(self.vocabulary.normalizer, text)
        text, raw = utf8(text)
        data = np.frombuffer(raw, np.uint8)
        # A memory belongs to one thread while it is out of the list.
        try:
            memory = self._memories.pop()
        except IndexError:
            memory = _memory()
        ids = encoder.encode(data, split(text, data), memory)
        if not memory.is_large():
            self._memories.append(memory)
        return ids

    def encode_many(self, texts: Sequence[str], threads: int) -> list[list[int]]:
        """Return the ids of such texts, encoded in so many threads."""

        def encode(part: Sequence[str]) -> list[list[int]]:
            return [self.encode(text).tolist() for text in part]

        if min(threads, len(texts)) <= 1:
            return encode(texts)
        encode([""])  # Load the compiled code once, before the threads.
        size = -(-len(texts) // (4 * threads))
        parts = [texts[first : first + size] for first in range(0, len(texts), size)]
        with ThreadPoolExecutor(threads) as pool:
            return [ids for part in pool.map(encode, parts) for ids in part]

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

    def stream(self) -> StreamDecoder:
        """Return a decoder for ids that arrive one at a time."""
        return StreamDecoder(self)

    def to_tokenizer_json(self) -> dict[str, Any]:
        """Return the vocabulary as the content of a `tokenizer.json`."""
        return to_tokenizer_json(self.vocabulary)

    @functools.cached_property
    def _encoder(self) -> Encoder:
        from hornbook.tokenizer.encode import Encoder

        return Encoder(self.vocabulary)

    @functools.cached_property
    def _splitter(self) -> Splitter:
        return splitter(self.vocabulary.pattern)


def _memory() -> Memory:
    from hornbook.tokenizer.encode import Memory

    return Memory()
