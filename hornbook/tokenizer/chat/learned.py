"""From spans of text to tokens: which tokens hold any character of the spans.

Special tokens cut a text into segments that are encoded on their own, so each segment is looked at by
itself. Where its tokens spell it, perhaps with spaces before it that the tokenizer adds, their characters are
counted. Where they do not, since the tokenizer brings text to a Unicode form, a border inside the segment
must fall between two tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from hornbook.base.errors import ConfigError
from hornbook.tokenizer.offsets import offsets

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer

Span = tuple[int, int]


def tokens_in(tokenizer: Tokenizer, text: str, ids: Sequence[int], spans: Sequence[Span]) -> list[bool]:
    """Return for each of the ids of a text whether it holds any character of the spans.

    `ids` are those of `tokenizer.encode(text, allowed_special="all")`; the spans ascend and do not overlap.
    """
    taken = [False] * len(ids)
    segments = list(_segments(tokenizer, text, ids))
    first = 0
    for start, end in spans:
        while first < len(segments) and segments[first].end <= start:
            first += 1
        for segment in segments[first:]:
            if segment.start >= end:
                break
            for index in segment.tokens_between(tokenizer, start, end):
                taken[index] = True
    return taken


@dataclass(frozen=True)
class _Segment:
    """A special token, or the text between two of them, with its ids."""

    text: str
    start: int
    """Where it begins in the whole text."""
    ids: list[int]
    index: int
    """The index of its first token."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def tokens_between(self, tokenizer: Tokenizer, start: int, end: int) -> Iterator[int]:
        """The indices of the tokens that hold characters from `start` to `end` of the whole text."""
        first, last = max(start - self.start, 0), min(end - self.start, len(self.text))
        if (first, last) == (0, len(self.text)):
            yield from range(self.index, self.index + len(self.ids))
            return
        spelled = [tokenizer.token_bytes(token) for token in self.ids]
        whole, text = b"".join(spelled), self.text.encode()
        added = whole.removesuffix(text)
        if whole.endswith(text) and not added.strip(b" "):
            for number, (begin, stop) in enumerate(offsets(spelled), self.index):
                if begin < last + len(added) and first + len(added) < stop:
                    yield number
            return
        cuts = [self._tokens_before(tokenizer, cut) for cut in (first, last)]
        yield from range(self.index + cuts[0], self.index + cuts[1])

    def _tokens_before(self, tokenizer: Tokenizer, cut: int) -> int:
        """How many tokens stand before a character, if a token begins there."""
        before = tokenizer.encode(self.text[:cut], allowed_special="all")
        after = tokenizer.encode(self.text[cut:], allowed_special="all")
        if [*before, *after] != self.ids:
            raise ConfigError(
                "the tokens to learn cannot be told: the tokenizer changes the text "
                f"{self.text[:40]!r}, and a turn begins or ends inside a token of it"
            )
        return len(before)


def _segments(tokenizer: Tokenizer, text: str, ids: Sequence[int]) -> Iterator[_Segment]:
    """Cut a text and its ids at the special tokens."""
    names = {token: name for name, token in tokenizer.special_tokens.items()}
    at = index = 0
    pending: list[int] = []
    for number, token in enumerate(chain(ids, [None])):
        name = names.get(token) if token is not None else ""
        if name is None:
            pending.append(ids[number])
            continue
        # The first special token of this name must be the one: text between special tokens holds none.
        found = text.find(name, at) if token is not None else len(text)
        if found < 0:
            raise ConfigError(
                "the tokens to learn cannot be told: "
                f"the tokenizer writes {name!r} for text that it does not know"
            )
        yield _Segment(text[at:found], at, pending, index)
        if token is not None:
            yield _Segment(name, found, [token], number)
        at, index, pending = found + len(name), number + 1, []
