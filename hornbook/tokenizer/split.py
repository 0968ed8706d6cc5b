"""The compiled splitters: the published patterns as loops over UTF-8 bytes.

ASCII, which most text is, goes through an automaton that takes two bytes at a time (`automaton.py`). Other
text, and the last word of each text, is cut by functions that look at a character and decide by its flags
(`characters.py`) what the pattern's alternatives decide by trying. Texts lie one after another in one array,
and words never cross from one text into the next. A splitter stops when its array of word ends is full and
goes on from there, so that a text of any size needs little memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hornbook.tokenizer.automaton import (
    AFTER_LINE,
    BEFORE,
    BEFORE_SECOND,
    LINE,
    LINE_FIRST,
    N_KINDS,
    N_PAIRS,
    NEXT,
    ONE_EARLIER,
    SELDOM,
    TWO_EARLIER,
    Automaton,
)
from hornbook.tokenizer.characters import LETTER, LOWER, NEWLINE, NUMBER, SIGN, SPACE, UPPER
from hornbook.tokenizer.jit import Bytes, Int64s, Integer, inlined, jit

Word = Callable[[Bytes, Integer, Integer, Bytes], Integer]
"""Where the word ends that begins at an offset of a text's bytes, given the text's end and the flags."""
Split = Callable[[Bytes, Int64s, Int64s, Bytes, Automaton, Int64s], int]
"""Writes where words end to the last array until it is nearly full or all texts are done; returns their
number. The texts lie one after another in the first array and end at the bounds in the second; the third is
the text and the offset to go on from, and is moved on.
"""

AT_ONCE = 6
"""The room for word ends that is asked for at a time: two steps of an automaton end at most four words, and a
function cuts one more.
"""

APOSTROPHE, BLANK, SLASH = ord("'"), ord(" "), ord("/")
CASE = 0x20
"""The bit that tells small ASCII letters from capitals."""
S, T, M, D, R, E, V, L = (ord(letter) for letter in "stmdrevl")
LONG_S = (0xC5, 0xBF)
"""The UTF-8 of U+017F, which is an s when case does not matter."""


@inlined
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


@inlined
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
    """Where the contraction ends, such as 's or 'll, whose apostrophe is at an offset; else that offset."""
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
def _white_space(
    data: Bytes, at: Integer, end: Integer, flags: Bytes, by_lines: bool, whole_tail: bool
) -> Integer:
    """Where a word of white space ends.

    It ends after the last line end of the run where lines count (but not in a tail that is one word), else
    before the last character of the run, which goes to the word that follows, if there is one and the run is
    longer.
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
    if by_lines and after_line > first and not (whole_tail and at == end):
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
        return _white_space(data, at, end, flags, False, False)
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


@inlined
def _modern_word(
    data: Bytes, at: Integer, end: Integer, flags: Bytes, digits: Integer, whole_tail: bool
) -> Integer:
    """A word of GPT-4, Llama 3 or Qwen, of so many digits at most; white space at the end may be one word."""
    if data[at] == APOSTROPHE:
        after = _contraction(data, at, end, True)
        if after > at:
            return after
    found, after = _character(data, at, flags)
    if found & NUMBER:
        return _digits(data, after, end, flags, digits - 1)
    following = np.int64(0)
    if after < end:
        following, _ = _character(data, after, flags)
    if found & LETTER or (following & LETTER and not found & NEWLINE):
        return _run(data, after, end, LETTER, flags)
    if found & SIGN or (data[at] == BLANK and following & SIGN):
        return _signs(data, after, end, flags, False)
    return _white_space(data, at, end, flags, True, whole_tail)


@jit
def _cl100k_word(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    return _modern_word(data, at, end, flags, 3, True)


@jit
def _llama3_word(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    return _modern_word(data, at, end, flags, 3, False)


@jit
def _qwen2_word(data: Bytes, at: Integer, end: Integer, flags: Bytes) -> Integer:
    return _modern_word(data, at, end, flags, 1, False)


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
    return _white_space(data, at, end, flags, True, False)


@inlined
def _step(
    byte: Integer, at: Integer, state: Integer, after_line: Integer, automaton: Automaton, ends: Int64s,
    n_words: Integer,
) -> tuple[Integer, Integer, Integer]:  # fmt: skip
    """Let an automaton take the byte at an offset: the next state, where the last line ended, how many words
    have ended.
    """
    step = np.int64(automaton.steps[state * N_KINDS + automaton.kinds[byte]])
    if step & (AFTER_LINE | TWO_EARLIER):
        ends[n_words] = after_line if step & AFTER_LINE else at - 2
        n_words += 1
    ends[n_words] = at - 1
    n_words += (step & ONE_EARLIER) != 0
    ends[n_words] = at
    n_words += (step & BEFORE) != 0
    return step & NEXT, at + 1 if step & LINE else after_line, n_words


@jit
def _ascii_words(
    data: Bytes, at: Integer, end: Integer, automaton: Automaton, ends: Int64s, n_words: Integer
) -> Integer:
    """Write where words end by an automaton, up to a byte beyond ASCII, the end, or the last room; return how
    many there are.

    Two bytes are taken at a time, and no branch depends on the text but for rare ones, since a processor
    cannot foresee words.
    """
    kinds, double_steps = automaton.kinds, automaton.double_steps
    rows = np.int64(0)
    after_line = at
    last = len(ends) - AT_ONCE
    while at + 1 < end and n_words <= last and (data[at] | data[at + 1]) < 0x80:
        step = np.int64(double_steps[rows + np.int64(kinds[data[at]]) * N_KINDS + kinds[data[at + 1]]])
        if step & SELDOM:
            state = rows // N_PAIRS
            for _ in range(2):
                state, after_line, n_words = _step(data[at], at, state, after_line, automaton, ends, n_words)
                at += 1
            rows = state * N_PAIRS
            continue
        rows = step & NEXT
        ends[n_words] = at - 1
        n_words += (step & ONE_EARLIER) != 0
        ends[n_words] = at
        n_words += (step & BEFORE) != 0
        ends[n_words] = at + 1
        n_words += (step & BEFORE_SECOND) != 0
        at += 2
        if step & (LINE_FIRST | LINE):
            after_line = at if step & LINE else at - 1
    if at < end and n_words <= last and data[at] < 0x80:
        _, _, n_words = _step(data[at], at, rows // N_PAIRS, after_line, automaton, ends, n_words)
    return n_words


@inlined
def _split(
    word: Word, data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    """Write where words end, by the function that knows a pattern's words; see `Split`."""
    n_words = np.int64(0)
    at = place[1]
    for text in range(place[0], len(bounds)):
        end = bounds[text]
        while at < end:
            if n_words + AT_ONCE > len(ends):
                place[0], place[1] = text, at
                return n_words
            # Text beyond ASCII is not worth a try: the automaton would stop at once.
            if data[at] < 0x80 and data[at + 1] < 0x80:
                before = n_words
                n_words = _ascii_words(data, at, end, automaton, ends, n_words)
                if n_words > before:
                    at = ends[n_words - 1]
            at = word(data, at, end, flags)
            ends[n_words] = at
            n_words += 1
    place[0], place[1] = len(bounds), at
    return n_words


@jit
def _gpt2(
    data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    return _split(_gpt2_word, data, bounds, place, flags, automaton, ends)


@jit
def _cl100k(
    data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    return _split(_cl100k_word, data, bounds, place, flags, automaton, ends)


@jit
def _llama3(
    data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    return _split(_llama3_word, data, bounds, place, flags, automaton, ends)


@jit
def _qwen2(
    data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    return _split(_qwen2_word, data, bounds, place, flags, automaton, ends)


@jit
def _o200k(
    data: Bytes, bounds: Int64s, place: Int64s, flags: Bytes, automaton: Automaton, ends: Int64s
) -> Integer:
    return _split(_o200k_word, data, bounds, place, flags, automaton, ends)


SPLITS: dict[str, Split] = {
    "gpt2": _gpt2, "cl100k": _cl100k, "llama3": _llama3, "qwen2": _qwen2, "o200k": _o200k
}  # fmt: skip
"""The compiled splitters by the names of their patterns; each is compiled when it is first used."""
