"""How a text becomes ids, step by step: to look at, not to run.

    for word in trace(tokenizer, "the thing"):
        for step in word.steps:
            print(step.tokens, "->", step.merged)

First the special and the added tokens are cut out of the text, all of them; then the pattern cuts what is
left into words; then each word begins as single bytes and is merged, pair by pair. The ids are those of
`tokenizer.encode(text, allowed_special="all")`, and a test holds them together. Only a byte-level BPE can
be traced; `pieces` shows the ids of any vocabulary. Nothing here prints.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from hornbook.base.errors import TextError
from hornbook.tokenizer.pretokenize import Splitter, splitter, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer

LONGEST = 2000
"""A word of more bytes is not traced: the tokens before each of its steps are too many to keep."""


@dataclass(frozen=True)
class Step:
    """One merge in a word."""

    tokens: tuple[bytes, ...]
    """The tokens of the word before the merge."""
    place: int
    """Which of them is the left one of the pair; the right one follows it."""
    merged: bytes
    """The token that the pair becomes."""
    rank: int
    """The rank of the merge: no other pair of neighbours has a smaller one."""


@dataclass(frozen=True)
class TracedWord:
    """A piece of the text that no merge crosses, and how it became ids."""

    text: str
    """The word; where the vocabulary has a normalizer, in its Unicode form."""
    data: bytes
    """The word in UTF-8; its single bytes are the tokens that merging begins with."""
    kind: Literal["word", "special", "added"]
    """Whether the pattern cut it, or it was cut out before as a special or an added token."""
    whole: bool
    """Whether the vocabulary took it as one token without looking at its merges."""
    too_long: bool
    """Whether it has more than `LONGEST` bytes and was not merged: its steps, ids and tokens are empty."""
    steps: tuple[Step, ...]
    """The merges in the order in which they are done."""
    ids: tuple[int, ...]
    tokens: tuple[bytes, ...]
    """The bytes of each id."""


def trace(tokenizer: Tokenizer, text: str, *, skip_long: bool = False) -> list[TracedWord]:
    """Return the words of a text, each with its merges and its ids.

    A word that takes merging and has more than `LONGEST` bytes is a `TextError`, or with `skip_long` has no
    steps and no ids. A tokenizer that is not a byte-level BPE is a `ConfigError`.
    """
    tracer = _Tracer(tokenizer.vocabulary, skip_long)
    return [word for part in _cut(text, tracer.apart) for word in tracer.words(part)]


def has_bytes(tokenizer: Tokenizer) -> bool:
    """Whether every id stands for bytes; not where words are written without the spaces between them."""
    try:
        return len(tokenizer.byte_lengths) == tokenizer.vocab_size
    except TextError:
        return False


def pieces(tokenizer: Tokenizer, ids: Iterable[int]) -> list[bytes]:
    """Return the bytes of each id; where ids have none of their own, those of the text of each id alone."""
    if has_bytes(tokenizer):
        return [tokenizer.token_bytes(token) for token in ids]
    return [tokenizer.decode_bytes([token]) for token in ids]


def _cut(text: str, apart: Mapping[str, int]) -> list[str]:
    """The text in parts, each one either a token that stands apart, the longest possible, or free of them."""
    if not isinstance(text, str):
        raise TextError(f"the tokenizer takes text (str), not {type(text).__name__}")
    longest_first = sorted(apart, key=len, reverse=True)
    return re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text) if apart else [text]


class _Tracer:
    """Traces by one vocabulary."""

    def __init__(self, vocabulary: Vocabulary, skip_long: bool) -> None:
        self._skip_long = skip_long
        self.apart = {**vocabulary.special_tokens, **vocabulary.added_tokens}
        self._vocabulary = vocabulary
        self._ids = vocabulary.ordinary_ids()
        self._split: Splitter = splitter(vocabulary.pattern)
        pairs = zip(vocabulary.left.tolist(), vocabulary.right.tolist(), strict=True)
        tokens = vocabulary.tokens
        spelled = [(tokens[left], tokens[right]) for left, right in pairs]
        self._ranks = dict(zip(spelled, vocabulary.ranks.tolist(), strict=True))

    def words(self, part: str) -> Iterator[TracedWord]:
        """The words of a part: itself where it is a token that stands apart."""
        if part in self.apart:
            yield self._apart(part)
            return
        if self._vocabulary.normalizer is not None:
            part = unicodedata.normalize(self._vocabulary.normalizer, part)
        raw = utf8(part)[1]
        start = 0
        for end in self._ends(raw):
            yield self._word(raw[start:end])
            start = end

    def _apart(self, text: str) -> TracedWord:
        """A special or an added token."""
        token, data = self.apart[text], text.encode()
        special = text in self._vocabulary.special_tokens
        return TracedWord(text, data, "special" if special else "added", True, False, (), (token,), (data,))

    def _ends(self, raw: bytes) -> list[int]:
        """Where the words of a text end, by the splitter that encoding has."""
        from hornbook.tokenizer.words import lay_out

        return [end for block in self._split(lay_out([raw])) for end in block.tolist()]

    def _word(self, data: bytes) -> TracedWord:
        """One word, merged."""
        text = data.decode()
        if self._vocabulary.whole_words and data in self._ids:
            return TracedWord(text, data, "word", True, False, (), (self._ids[data],), (data,))
        if len(data) > LONGEST:
            if self._skip_long:
                return TracedWord(text, data, "word", False, True, (), (), ())
            raise TextError(
                f"a word of {len(data)} bytes, beginning {text[:20]!r}, is too long to trace: "
                f"{LONGEST} bytes at most; give a shorter text"
            )
        tokens, steps = self._merge(tuple(bytes([byte]) for byte in data))
        ids = tuple(self._ids[each] for each in tokens)
        return TracedWord(text, data, "word", False, False, steps, ids, tokens)

    def _merge(self, tokens: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], tuple[Step, ...]]:
        """The tokens that are left when no pair can be merged any more, and how they came about."""
        steps: list[Step] = []
        while True:
            pairs = enumerate(pairwise(tokens))
            known = [(self._ranks[pair], at) for at, pair in pairs if pair in self._ranks]
            if not known:
                return tokens, tuple(steps)
            # The smallest rank; where it occurs twice, the left one.
            rank, at = min(known)
            merged = tokens[at] + tokens[at + 1]
            steps.append(Step(tokens, at, merged, rank))
            tokens = (*tokens[:at], merged, *tokens[at + 2 :])
