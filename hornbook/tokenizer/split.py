"""The compiled splitters: the published patterns as loops over UTF-8 bytes.

Each takes one look at a character and decides by its flags (`characters.py`) what the pattern's alternatives decide
by trying. Runs of ASCII letters, which most words are, are measured eight bytes at a time. Texts lie one after another in one array, followed by a few bytes that belong to none, and words never
cross from one text into the next. A splitter stops when its array of word ends is full and goes on from there, so
that a text of any size needs little memory.
"""

from __future__ import annotations

import numpy as np

from hornbook.tokenizer.characters import LETTER, LOWER, NEWLINE, NUMBER, SIGN, SPACE, UPPER
from hornbook.tokenizer.jit import Bytes, Int64s, Integer, UInt64s, inlined, jit

GPT2, CL100K, LLAMA3, QWEN2, O200K = range(5)
"""The rules: the last three but one differ in how many digits make a word and in white space that ends a text."""

APOSTROPHE, BLANK, SLASH = ord("'"), ord(" "), ord("/")
CASE = 0x20
"""The bit that tells small ASCII letters from capitals."""
S, T, M, D, R, E, V, L = (ord(letter) for letter in "stmdrevl")
A_SMALL, Z_SMALL = ord("a"), ord("z")
EACH = np.uint64(0x0101010101010101)
HIGH_BITS = EACH * np.uint64(0x80)
CASES = EACH * np.uint64(CASE)
ONE = np.uint64(1)
LONG_S = (0xC5, 0xBF)
"""The UTF-8 of U+017F, which is an s when case does not matter."""


@inlined
def _chunk(chunks: UInt64s, at: Integer) -> Integer:
    """The eight bytes at an offset as one number, the first one lowest."""
    place, shift = np.uint64(at) >> np.uint64(3), (np.uint64(at) & np.uint64(7)) << np.uint64(3)
    # Shifted in two steps, since a shift by 64 is not defined.
    return chunks[place] >> shift | (chunks[place + ONE] << ONE) << (np.uint64(63) - shift)


@inlined
def _between(chunk: Integer, first: Integer, last: Integer) -> Integer:
    """The highest bit of each byte of a chunk that is ASCII and between two letters."""
    ascii_part = chunk & ~HIGH_BITS
    above = ascii_part + np.uint64(0x80 - first) * EACH
    beyond = ascii_part + np.uint64(0x7F - last) * EACH
    return above & ~beyond & ~chunk & HIGH_BITS


@inlined
def _n_first(marks: Integer) -> Integer:
    """How many bytes from the first one on have their highest bit set, without a break."""
    lowest_gap = ~marks & HIGH_BITS
    below = (lowest_gap & (~lowest_gap + ONE)) - ONE
    return np.int64((((below >> np.uint64(7)) & EACH) * EACH) >> np.uint64(56)) if lowest_gap else np.int64(8)


@inlined
def _run_of_letters(chunks: UInt64s, at: Integer, case: Integer) -> Integer:
    """Where the run of small ASCII letters at an offset ends, or of all with CASES; perhaps in the next text."""
    while True:
        n_letters = _n_first(_between(_chunk(chunks, at) | case, A_SMALL, Z_SMALL))
        at += n_letters
        if n_letters < 8:
            return at


@jit
def _character(data: Bytes, at: Integer, flags: Bytes) -> tuple[Integer, Integer]:
    """The flags of the character at an offset, and the offset of the next one."""
    byte = np.int64(data[at])
    if byte < 0x80:
        return np.int64(flags[byte]), at + 1
    if byte < 0xE0:
        return np.int64(flags[(byte & 0x1F) << 6 | (data[at + 1] & 0x3F)]), at + 2
    point = np.int64(data[at + 1] & 0x3F) << 6 | np.int64(data[at + 2] & 0x3F)
    if byte < 0xF0:
        return np.int64(flags[(byte & 0x0F) << 12 | point]), at + 3
    point = (byte & 0x07) << 18 | point << 6 | np.int64(data[at + 3] & 0x3F)
    return np.int64(flags[point]), at + 4


@jit
def _run(data: Bytes, at: Integer, end: Integer, wanted: Integer, flags: Bytes) -> Integer:
    """Where the run of characters that have a wanted flag ends."""
    while at < end:
        found, after = _character(data, at, flags)
        if not found & wanted:
            break
        at = after
    return at


@jit
def _contraction(data: Bytes, at: Integer, end: Integer, any_case: bool) -> Integer:
    """Where a contraction such as 's or 'll ends that begins with the apostrophe at an offset; else that offset."""
    if at + 1 >= end:
        return at
    fold = CASE if any_case else 0
    first = data[at + 1] | fold
    if first in (S, T, M, D):
        return at + 2
    if at + 2 < end:
        second = data[at + 2] | fold
        if (first in (R, V) and second == E) or (first == L and second == L):
            return at + 3
        if any_case and data[at + 1] == LONG_S[0] and data[at + 2] == LONG_S[1]:
            return at + 3
    return at


@jit
def _white_space(data: Bytes, at: Integer, end: Integer, flags: Bytes, by_lines: bool) -> Integer:
    """Where a word of white space ends.

    It ends after the last line end of the run where lines count, else before the last character of the run,
    which goes to the word that follows, if there is one and the run is longer.
    """
    first = at
    last = at
    after_line = at
    while at < end:
        found, after = _character(data, at, flags)
        if not found & SPACE:
            break
        last = at
        at = after
        if found & NEWLINE:
            after_line = at
    if by_lines and after_line > first:
        return after_line
    return last if at < end and last > first else at


@jit
def _gpt2_word(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    if data[at] == APOSTROPHE:
        after = _contraction(data, at, end, False)
        if after > at:
            return after
    found, after = _character(data, at, flags)
    if data[at] == BLANK and after < end:
        following, beyond = _character(data, after, flags)
        if not following & SPACE:
            found, after = following, beyond
    if found & SPACE:
        return _white_space(data, at, end, flags, False)
    return _run(data, after, end, found & (LETTER | NUMBER | SIGN), flags)


@jit
def _signs(data: Bytes, at: Integer, end: Integer, flags: Bytes, slashes: bool) -> Integer:
    """Where a run of signs ends, with the line ends (and slashes) that follow it."""
    at = _run(data, at, end, SIGN, flags)
    while at < end and (flags[data[at]] & NEWLINE or (slashes and data[at] == SLASH)) and data[at] < 0x80:
        at += 1
    return at


@jit
def _digits(data: Bytes, at: Integer, end: Integer, flags: Bytes, most: Integer) -> Integer:
    """Where a group of so many digits at most ends."""
    for _ in range(most):
        if at < end:
            found, after = _character(data, at, flags)
            if found & NUMBER:
                at = after
    return at


@jit
def _cl100k_word(
    data: Bytes, at: Integer, end: Integer, flags: Bytes, digits: Integer, whole_tail: bool
) -> Integer:
    if data[at] == APOSTROPHE:
        after = _contraction(data, at, end, True)
        if after > at:
            return after
    found, after = _character(data, at, flags)
    if found & LETTER:
        return _run(data, after, end, LETTER, flags)
    if found & NUMBER:
        return _digits(data, after, end, flags, digits - 1)
    following = np.int64(0)
    if after < end:
        following, _ = _character(data, after, flags)
    if following & LETTER and not found & NEWLINE:
        return _run(data, after, end, LETTER, flags)
    if found & SIGN or (data[at] == BLANK and following & SIGN):
        return _signs(data, after, end, flags, False)
    if whole_tail and _run(data, after, end, SPACE, flags) == end:
        return end
    return _white_space(data, at, end, flags, True)


@jit
def _capitalised(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    """Where capitals and then small letters end; at least one small letter or mark is needed, else -1."""
    after_both = np.int64(-1)
    while at < end:
        found, after = _character(data, at, flags)
        if not found & UPPER:
            break
        at = after
        if found & LOWER:
            after_both = at
    small = _run(data, at, end, LOWER, flags)
    return small if small > at else after_both


@jit
def _o200k_word(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    found, after = _character(data, at, flags)
    if found & NUMBER:
        return _digits(data, after, end, flags, 2)
    # Any sign or blank may lead a word, a line end may not.
    leads = not found & (LETTER | NEWLINE)
    word = np.int64(-1)
    if leads:
        word = _capitalised(data, after, end, flags)
    if word < 0 and found & (UPPER | LOWER):
        word = _capitalised(data, at, end, flags)
    if word < 0 and (leads or found & UPPER):
        first = after if leads else at
        word = _run(data, first, end, UPPER, flags)
        if word == first:
            word = np.int64(-1)
    if word >= 0:
        if word < end and data[word] == APOSTROPHE:
            word = _contraction(data, word, end, True)
        return word
    if found & SIGN:
        return _signs(data, after, end, flags, True)
    if data[at] == BLANK and after < end:
        following, _ = _character(data, after, flags)
        if following & SIGN:
            return _signs(data, after, end, flags, True)
    return _white_space(data, at, end, flags, True)


@inlined
def _plain_word(
    rule: Integer, data: Bytes, chunks: UInt64s, at: Integer, end: Integer, flags: Bytes
) -> Integer:
    """Where a word of ASCII letters ends, with the sign or blank that leads it; its beginning where it is none.

    What is asked first is the length, and only then whether all was as supposed: a processor goes on with a
    length at once and answers questions that have mostly one answer in passing.
    """
    chunk = _chunk(chunks, at)
    if rule == O200K:
        capitals = _between(chunk, A_SMALL - CASE, Z_SMALL - CASE)
        small = _between(chunk, A_SMALL, Z_SMALL)
        lead = ~((capitals | small) >> np.uint64(7)) & ONE
        n_letters = _n_first(capitals >> (lead << np.uint64(3)))
        n_letters += _n_first(small >> ((lead + np.uint64(n_letters)) << np.uint64(3)))
    else:
        letters = _between(chunk | CASES, A_SMALL, Z_SMALL)
        lead = ~(letters >> np.uint64(7)) & ONE
        n_letters = _n_first(letters >> (lead << np.uint64(3)))
    if n_letters == 0:
        return at
    word = at + np.int64(lead) + n_letters
    if word - at == 8:
        if rule == O200K:
            if capitals >> np.uint64(63):
                return at
            word = _run_of_letters(chunks, word, np.uint64(0))
        else:
            word = _run_of_letters(chunks, word, CASES)
    if lead and data[at] != BLANK:
        leads = flags[data[at]] & (SPACE | SIGN | NEWLINE) in (SPACE, SIGN)
        if rule == GPT2 or data[at] >= 0x80 or data[at] == APOSTROPHE or not leads:
            return at
    word = min(word, end)
    if word < end:
        # A letter or a mark beyond ASCII may belong to the word.
        if data[word] >= 0x80:
            return at
        if rule == O200K and data[word] == APOSTROPHE:
            return _contraction(data, word, end, True)
    return word


@jit
def split(
    rule: Integer, data: Bytes, chunks: UInt64s, bounds: Int64s, place: Int64s, flags: Bytes, ends: Int64s
) -> Integer:
    """Write where words end to `ends` until it is full or all texts are done; return how many there are.

    `chunks` are the same bytes as `data`, eight in one; `bounds` says where each text ends in `data`; `place` is the text and the offset to go on from, and is
    moved on.
    """
    n_words = 0
    at = place[1]
    for text in range(place[0], len(bounds)):
        end = bounds[text]
        while at < end:
            if n_words == len(ends):
                place[0], place[1] = text, at
                return n_words
            after = _plain_word(rule, data, chunks, at, end, flags)
            if after > at:
                at = after
            elif rule == GPT2:
                at = _gpt2_word(data, at, end, flags)
            elif rule == O200K:
                at = _o200k_word(data, at, end, flags)
            else:
                at = _cl100k_word(data, at, end, flags, 1 if rule == QWEN2 else 3, rule == CL100K)
            ends[n_words] = at
            n_words += 1
    place[0], place[1] = len(bounds), at
    return n_words
