"""The compiled splitter for GPT-2's pattern, on UTF-8 bytes.

One pass over the bytes: each character is a letter, a number, white space or another sign, and a word is
a run of one kind with the rules of the pattern about apostrophes and spaces. The kinds come from a
table over all of Unicode, made at first use by the `regex` package itself, so that both always agree.
"""

from __future__ import annotations

import functools

import numpy as np
import regex

from hornbook.tokenizer.jit import Bytes, Int64s, Integer, jit

OTHER, LETTER, NUMBER, SPACE = 0, 1, 2, 3
APOSTROPHE, BLANK = ord("'"), ord(" ")
S, T, M, D, R, E, V, L = (ord(letter) for letter in "stmdrevl")


def gpt2(data: Bytes) -> Int64s:
    """Return where the words of some valid UTF-8 end by GPT-2's pattern."""
    ends = np.empty(len(data), np.int64)
    return ends[: _split(data, character_kinds(), ends)].copy()


@functools.cache
def character_kinds() -> Bytes:
    """The kind of each Unicode code point, as `regex` sees it."""
    points = np.arange(0x110000, dtype="<u4")
    # Surrogates never come out of UTF-8; a sign holds their place so that indices are code points.
    points[0xD800:0xE000] = ord("!")
    every = points.tobytes().decode("utf-32-le")
    kinds = np.full(len(every), OTHER, np.uint8)
    for kind, expression in ((LETTER, r"\p{L}+"), (NUMBER, r"\p{N}+"), (SPACE, r"\s+")):
        for match in regex.finditer(expression, every):
            kinds[match.start() : match.end()] = kind
    return kinds


@jit
def _character(data: Bytes, at: Integer, kinds: Bytes) -> tuple[Integer, Integer]:
    """The kind of the character at an offset, and the offset of the next one."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return np.int64(kinds[byte]), at + 1
    if byte < 0xE0:
        return np.int64(kinds[(byte & 0x1F) << 6 | (data[at + 1] & 0x3F)]), at + 2
    point = np.int64(data[at + 1] & 0x3F) << 6 | np.int64(data[at + 2] & 0x3F)
    if byte < 0xF0:
        return np.int64(kinds[(byte & 0x0F) << 12 | point]), at + 3
    point = (byte & 0x07) << 18 | point << 6 | np.int64(data[at + 3] & 0x3F)
    return np.int64(kinds[point]), at + 4


@jit
def _contraction(data: Bytes, at: Integer) -> Integer:
    """The length of a contraction such as 's or 'll at an apostrophe, else 0."""
    if at + 1 < len(data):
        first = data[at + 1]
        if first in (S, T, M, D):
            return 2
        if at + 2 < len(data):
            second = data[at + 2]
            if (first in (R, V) and second == E) or (first == L and second == L):
                return 3
    return 0


@jit
def _run(data: Bytes, at: Integer, kind: Integer, kinds: Bytes) -> tuple[Integer, Integer]:
    """The end of the run of one kind from an offset on, and the start of its last character."""
    last = at
    while at < len(data):
        found, after = _character(data, at, kinds)
        if found != kind:
            break
        last = at
        at = after
    return at, last


@jit
def _split(data: Bytes, kinds: Bytes, ends: Int64s) -> Integer:
    """Write the end of each word to `ends` and return how many there are."""
    n_words = 0
    at = 0
    while at < len(data):
        length = _contraction(data, at) if data[at] == APOSTROPHE else 0
        if length > 0:
            at += length
        else:
            kind, after = _character(data, at, kinds)
            if data[at] == BLANK and after < len(data):
                following, _ = _character(data, after, kinds)
                if following != SPACE:
                    kind = following
            end, last = _run(data, after, kind, kinds)
            # White space leaves its last character to the word that follows, unless it is all it has.
            leaves_one = kind == SPACE and end < len(data) and end > after
            at = last if leaves_one else end
        ends[n_words] = at
        n_words += 1
    return n_words
