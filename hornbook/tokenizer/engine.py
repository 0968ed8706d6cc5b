"""What stands behind a tokenizer: an engine turns plain text into ids and ids into bytes.

There are two. `ByteLevel` (`byte_level.py`) is ours: byte-level BPE, compiled. `Foreign` (`foreign.py`) wraps
the `tokenizers` library for the kinds of vocabulary that are not byte-level BPE. The class `Tokenizer` gives
both the same face and does what is the same for both: special tokens, threads, chat templates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from hornbook.tokenizer.jit import Int32s


@runtime_checkable
class TextStream(Protocol):
    """Text from ids that arrive one at a time, never half a character."""

    def push(self, token: int) -> str:
        """Take one id; return the characters that are complete now, often none."""

    def finish(self) -> str:
        """Return what is left and begin anew."""


class Engine(Protocol):
    """Encodes and decodes with one vocabulary; safe to use from many threads."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The id of each special token: refused in plain text, unless allowed."""

    @property
    def added_tokens(self) -> Mapping[str, int]:
        """The id of each text that is always one token, cut out of a text before anything else."""

    @property
    def pattern(self) -> str:
        """How text is cut into words, for people."""

    def encode(self, text: str) -> Int32s:
        """Return the ids of a text that has neither special nor added tokens."""

    def encode_between(self, text: str, cut_out: Collection[str]) -> Int32s:
        """Return the ids of a text in which these special and added tokens become their ids."""

    def listed(self, ids: Int32s) -> list[int]:
        """Return ids as a list."""

    def encode_many(self, texts: Sequence[str], threads: int) -> list[list[int]]:
        """Return the ids of such texts, encoded in so many threads."""

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes an id stands for; of a special token, its text."""

    def byte_lengths(self) -> Int32s:
        """Return how many bytes of text each id stands for, 0 for special and unused ones, as a new array."""

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 of some ids, whole or cut short."""

    def offsets(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return where each id begins and ends in the decoded text, in characters."""

    def stream(self) -> TextStream:
        """Return a decoder for ids that arrive one at a time."""

    def to_tokenizer_json(self) -> dict[str, Any]:
        """Return the content of a `tokenizer.json` that gives the same ids."""
