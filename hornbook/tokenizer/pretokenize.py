"""From text to words: the published patterns, and splitters that cut a text by them.

Merges never cross a word, so the pattern decides what a token can be. `resolve` turns a published name
or any regular expression of the `regex` package into an expression; `splitter` returns the function
that cuts by it: a compiled one for the published patterns, else the `regex` package, slower and just as
exact. Text that an expression does not match becomes words of its own between the matches, so that no
text is ever lost. This module knows nothing of tokens.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
import regex

from hornbook.base.errors import ConfigError, TextError, did_you_mean
from hornbook.tokenizer.automaton import automaton
from hornbook.tokenizer.characters import character_flags
from hornbook.tokenizer.jit import Int64s

if TYPE_CHECKING:
    from hornbook.tokenizer.words import Texts

logger = logging.getLogger(__name__)

BLOCK = 1 << 15
"""How many words are worked on at once."""

PATTERNS: dict[str, str] = {
    # GPT-2 and r50k: contractions; letters, digits or signs, each with the space before them; spaces.
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # GPT-4: any sign may lead a word, digits go by threes, line ends stay with the signs before them.
    # Written without possessive quantifiers, which regex engines do not agree about.
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?![\s\S])|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    # GPT-4o: a capital begins a new word, marks belong to letters, contractions stay with their word.
    "o200k": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    # Llama 3, and cl100k as it was first published: white space that ends a text is cut like any other.
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    # Qwen 2 and 3: as Llama 3, but each digit is a word.
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""The published patterns by name."""


class Splitter(Protocol):
    """Cuts texts into words."""

    def __call__(self, texts: Texts) -> Iterator[Int64s]:
        """Yield where words end, block by block; a block is good until the next one is asked for."""


def resolve(pattern: str) -> str:
    """Return the expression for a published name, or the expression itself when it compiles."""
    if pattern in PATTERNS:
        return PATTERNS[pattern]
    if re.fullmatch(r"[\w-]*", pattern):
        known = did_you_mean(pattern, PATTERNS)
        raise ConfigError(f"there is no pattern {pattern!r}; {known}; a regular expression is taken too")
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise ConfigError(f"the pattern {pattern!r} is not a regular expression: {error}") from None
    if compiled.flags & regex.REVERSE:
        raise ConfigError(f"the pattern {pattern!r} goes through text backwards; leave out the flag (?r)")
    return pattern


def name_of(expression: str) -> str:
    """Return the published name of an expression, or the expression itself."""
    return next((name for name, known in PATTERNS.items() if known == expression), expression)


def utf8(text: str) -> tuple[str, bytes]:
    """Return the text and its UTF-8, surrogates mended: pairs joined, a lone one becomes U+FFFD.

    Python strings can hold halves of UTF-16 pairs, which UTF-8 cannot; tiktoken mends them the same way.
    """
    if not isinstance(text, str):
        raise TextError(f"the tokenizer takes text (str), not {type(text).__name__}")
    try:
        return text, text.encode("utf-8")
    except UnicodeEncodeError:
        mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return mended, mended.encode("utf-8")


def splitter(expression: str) -> Splitter:
    """Return the fastest exact splitter for an expression."""
    if name_of(expression) in PATTERNS:
        return _Compiled(name_of(expression))
    _say(expression)
    return _ByRegex(expression)


@functools.cache
def _say(expression: str) -> None:
    """Say once that an expression is slow."""
    logger.warning(
        "the pattern %r has no compiled splitter: text is cut by the regex package, slower and as exactly",
        expression,
    )


class _Compiled:
    """A published pattern, compiled."""

    def __init__(self, name: str) -> None:
        self._name, self._automaton = name, automaton(name)

    def __call__(self, texts: Texts) -> Iterator[Int64s]:
        from hornbook.tokenizer.split import AT_ONCE, SPLITS

        split, place = SPLITS[self._name], np.zeros(2, np.int64)
        n_texts, n_bytes = len(texts.bounds), int(texts.bounds[-1]) if len(texts.bounds) else 0
        ends = np.empty(min(BLOCK, n_bytes) + AT_ONCE, np.int64)
        while place[0] < n_texts:
            n_words = split(texts.data, texts.bounds, place, character_flags(), self._automaton, ends)
            if n_words:
                yield ends[:n_words]


class _ByRegex:
    """Any expression, by the `regex` package."""

    def __init__(self, expression: str) -> None:
        self._compiled = regex.compile(expression)

    def __call__(self, texts: Texts) -> Iterator[Int64s]:
        start = 0
        for end in texts.bounds.tolist():
            if end > start:
                text = texts.data[start:end].tobytes().decode("utf-8")
                ends = np.fromiter(self._ends(text), dtype=np.int64)
                ends = start + (ends if len(text) == end - start else _byte_offsets(text)[ends])
                for first in range(0, len(ends), BLOCK):
                    yield ends[first : first + BLOCK]
            start = end

    def _ends(self, text: str) -> list[int]:
        """Where the words end, in characters; a gap between two matches is a word."""
        ends: list[int] = []
        last = 0
        for match in self._compiled.finditer(text):
            start, end = match.span()
            if start > last:
                ends.append(start)
            if end > start:
                ends.append(end)
            last = max(last, end)
        return ends if last == len(text) else [*ends, len(text)]


def _byte_offsets(text: str) -> Int64s:
    """The offset in UTF-8 of each character of a text, and of its end."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    lengths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
