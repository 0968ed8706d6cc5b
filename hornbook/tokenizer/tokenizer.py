"""The tokenizer: text to ids and back, trained, loaded and saved.

    tokenizer = Tokenizer.train(texts, vocab_size=4096)
    ids = tokenizer.encode("Hello world")
    assert tokenizer.decode(ids) == "Hello world"

Ids of a tokenizer trained here are the 256 bytes in GPT-2's order, the merged tokens as they were learned,
and the special tokens last. One that is loaded keeps the ids of its file, wherever its special tokens
stand. Compiled code is loaded at the first encoding, not at import. This module knows no file format and
no algorithm: see `formats.py`, `train.py`, `encode.py`, and `reference.py` to read.
"""

from __future__ import annotations

import functools
import operator
import os
import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hornbook.base.errors import ConfigError, TextError, did_you_mean
from hornbook.base.progress import Progress, silent
from hornbook.tokenizer import formats
from hornbook.tokenizer.alphabet import BYTES
from hornbook.tokenizer.jit import Int32s
from hornbook.tokenizer.pretokenize import Splitter, name_of, resolve, splitter, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.encode import Encoder, Memory

END_OF_TEXT = "<|endoftext|>"
Specials = Collection[str] | Literal["all"]
"""Special tokens by their texts, or all of them."""


class Tokenizer:
    """A byte-level BPE tokenizer; safe to use from many threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.special_tokens: dict[str, int] = dict(vocabulary.special_tokens)
        self._memories: list[Memory] = []

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (END_OF_TEXT,),
        min_frequency: int = 2,
        progress: Progress = silent,
    ) -> Tokenizer:
        """Learn a tokenizer of `vocab_size` tokens, special ones included, from a stream of texts.

        `pattern` is "gpt2", "cl100k", "o200k" or a regular expression; pairs seen less than
        `min_frequency` times are not merged; `progress` is told each merge.
        """
        from hornbook.tokenizer.train import train

        if isinstance(texts, str):
            raise TextError("texts must be many texts, not one str; for a single text give [text]")
        _check_special(special_tokens)
        return cls(train(texts, resolve(pattern), vocab_size, special_tokens, min_frequency, progress))

    @classmethod
    def load(cls, path: str | os.PathLike[str], pattern: str | None = None) -> Tokenizer:
        """Load a folder of ours, a `tokenizer.json`, a `.tiktoken` rank file, or GPT-2's `vocab.bpe`.

        A rank file says nothing of how text is split: give `pattern`, a published name or an expression.
        """
        return cls(formats.load(Path(path), pattern))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which Hugging Face's libraries read too."""
        by_id = {place: text for text, place in self.special_tokens.items()}
        end = None if self.end_of_text is None else by_id[self.end_of_text]
        formats.save(self.vocabulary, Path(folder), end)

    # Text to ids

    def encode(
        self, text: str, allowed_special: Specials = frozenset(), disallowed_special: Specials = "all"
    ) -> list[int]:
        """Return the ids of a text.

        The text of a special token is refused, unless it is among `allowed_special` (and becomes its
        id) or not among `disallowed_special` (and is text like any other). Lone surrogates become U+FFFD.
        """
        ids: list[int] = self.encode_array(text, allowed_special, disallowed_special).tolist()
        return ids

    def encode_array(
        self, text: str, allowed_special: Specials = frozenset(), disallowed_special: Specials = "all"
    ) -> Int32s:
        """Return the ids of a text as an int32 array; the keywords are those of `encode`."""
        allowed = self._choose(allowed_special)
        forbidden = self._choose(disallowed_special) - allowed
        found = [special for special in self.special_tokens if special in forbidden and special in text]
        if found:
            raise TextError(
                f"the text contains the special token {found[0]!r}; pass allowed_special={{{found[0]!r}}} "
                "to make it that token, or disallowed_special=() to take it as plain text"
            )
        present = [special for special in allowed if special in text]
        return self._encode_between(text, present) if present else self._encode_plain(text)

    def encode_batch(
        self,
        texts: Iterable[str],
        threads: int | None = None,
        allowed_special: Specials = frozenset(),
        disallowed_special: Specials = "all",
    ) -> list[list[int]]:
        """Return the ids of each text, encoded in threads (None: one for each processor)."""
        if isinstance(texts, str):
            raise TextError("texts must be many texts, not one str; use encode for a single text")
        texts = list(texts)
        if threads is not None and threads < 1:
            raise ConfigError(f"threads={threads} must be at least 1, or None for one for each processor")
        n_threads = min(threads or os.cpu_count() or 1, len(texts))

        def encode(part: list[str]) -> list[list[int]]:
            return [self.encode(text, allowed_special, disallowed_special) for text in part]

        if n_threads <= 1:
            return encode(texts)
        encode([""])  # Load the compiled code once, before the threads.
        size = -(-len(texts) // (4 * n_threads))
        parts = [texts[first : first + size] for first in range(0, len(texts), size)]
        with ThreadPoolExecutor(n_threads) as pool:
            return [ids for part in pool.map(encode, parts) for ids in part]

    def _choose(self, specials: Specials) -> set[str]:
        """Special tokens given by name; an unknown one is an error."""
        if isinstance(specials, str):
            if specials != "all":
                raise ConfigError(f"special tokens are given as a set of texts or 'all', not as {specials!r}")
            return set(self.special_tokens)
        for special in specials:
            if special not in self.special_tokens:
                known = did_you_mean(special, self.special_tokens)
                raise ConfigError(f"there is no special token {special!r}, {known}")
        return set(specials)

    def _encode_between(self, text: str, specials: Iterable[str]) -> Int32s:
        """Encode the text between special tokens, and these as their ids; the longest one wins."""
        longest_first = sorted(specials, key=len, reverse=True)
        parts = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        arrays = [
            np.array([self.special_tokens[part]], np.int32) if place % 2 else self._encode_plain(part)
            for place, part in enumerate(parts)
        ]
        return np.concatenate(arrays)

    def _encode_plain(self, text: str) -> Int32s:
        """Encode a text that is nothing but text."""
        encoder, split = self._encoder, self._splitter
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

    @functools.cached_property
    def _encoder(self) -> Encoder:
        from hornbook.tokenizer.encode import Encoder

        return Encoder(self.vocabulary)

    @functools.cached_property
    def _splitter(self) -> Splitter:
        return splitter(self.vocabulary.pattern)

    # Ids to text

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, special tokens as their text; broken UTF-8 becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of some ids."""
        return b"".join([self.token_bytes(token) for token in ids])

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id; of a special token, its text."""
        place = operator.index(token)
        found = self.vocabulary.tokens[place] if 0 <= place < self.vocab_size else b""
        if not found:
            what = "unused" if 0 <= place < self.vocab_size else "out of range"
            raise TextError(f"the id {place} is {what}: this vocabulary has ids 0 to {self.vocab_size - 1}")
        return found

    # What it is

    @property
    def vocab_size(self) -> int:
        """The number of ids, special and unused ones included: one more than the largest."""
        return len(self.vocabulary.tokens)

    @property
    def pattern(self) -> str:
        """The name of the published pattern that cuts text into words, or the expression."""
        return name_of(self.vocabulary.pattern)

    @property
    def end_of_text(self) -> int | None:
        """The id of <|endoftext|>, None where there is none."""
        return self.special_tokens.get(END_OF_TEXT)

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pairs that are merged, in the order of their ranks."""
        tokens, vocabulary = self.vocabulary.tokens, self.vocabulary
        pairs = zip(vocabulary.left.tolist(), vocabulary.right.tolist(), strict=True)
        return [(tokens[left], tokens[right]) for left, right in pairs]

    @property
    def n_merges(self) -> int:
        """The number of pairs that are merged."""
        return len(self.vocabulary.ranks)

    @functools.cached_property
    def byte_lengths(self) -> Int32s:
        """How many bytes of text each id stands for, 0 for special and unused ones; int32 [vocab_size]."""
        lengths = np.array([len(token) for token in self.vocabulary.tokens], np.int32)
        lengths[list(self.special_tokens.values())] = 0
        lengths.flags.writeable = False
        return lengths

    def __repr__(self) -> str:
        special = list(self.special_tokens)
        return f"Tokenizer(vocab_size={self.vocab_size}, pattern={self.pattern!r}, special_tokens={special})"


def _memory() -> Memory:
    from hornbook.tokenizer.encode import Memory

    return Memory()


def _check_special(special_tokens: Sequence[str]) -> None:
    """Refuse special tokens that text could be taken for, or that occur twice."""
    if isinstance(special_tokens, str):
        raise ConfigError(f"special_tokens must be a list of texts; for one give [{special_tokens!r}]")
    for special in special_tokens:
        if not special or special in BYTES or utf8(special)[0] != special:
            reason = "it is empty, a surrogate, or a letter of GPT-2's byte alphabet"
            raise ConfigError(f"{special!r} cannot be a special token: {reason}")
        if list(special_tokens).count(special) > 1:
            raise ConfigError(f"the special token {special!r} is given twice")
