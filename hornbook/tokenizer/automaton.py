"""The published patterns as automata over ASCII: what one more character tells about where words end.

A splitter that tries alternatives looks at a character several times and must guess, where a table just
tells. A state says what has been read since the last known end of a word; a step takes one character and
gives the next state and the word ends that are certain by now. These lie before the character, or one or two
characters earlier, or after the last line end of a run of white space. Text beyond ASCII, and the last word
of a text, are left to the functions of `split.py`, which know all rules; tests hold both to the same regular
expressions.

The rules are written as functions from a state and a kind of character; `automaton` runs them for all of
both, and joins every two steps into one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hornbook.tokenizer.jit import Bytes, Int32s

BEFORE, ONE_EARLIER, TWO_EARLIER, AFTER_LINE = 1 << 16, 1 << 17, 1 << 18, 1 << 19
"""Where a word ends: before the character, one or two earlier, or after the last line end."""
LINE = 1 << 20
"""The character is a line end."""
BEFORE_SECOND, LINE_FIRST, SELDOM = 1 << 21, 1 << 22, 1 << 23
"""Of two characters: a word ends between them; the first is a line end, and LINE the second; and what
happens so seldom that they are better taken one by one. BEFORE and ONE_EARLIER are seen from the first.
"""
NEXT = (1 << 16) - 1
"""The number of the next state; after two characters the place where its rows begin."""

Step = tuple[str, int]
"""The next state, and the word ends that became certain."""


def kind_of(letter: str) -> str:
    """The kind of an ASCII character: a letter by its case and its part in contractions, or another kind."""
    if letter.isalpha():
        part = next((part for part in ("stmd", "rv", "e", "l") if letter.lower() in part), "other")
        return f"{part} {'capital' if letter.isupper() else 'small'}"
    others = {" ": "blank", "'": "apostrophe", "/": "slash", "\r": "line", "\n": "line"}
    if letter in "\t\v\f":
        return "tab"
    return "digit" if letter.isdigit() else others.get(letter, "sign")


KINDS = sorted({kind_of(chr(code)) for code in range(128)})
N_KINDS = len(KINDS)
N_PAIRS = N_KINDS * N_KINDS


def _is_letter(kind: str) -> bool:
    return kind.endswith(("capital", "small"))


def _is_sign(kind: str) -> bool:
    return kind in ("sign", "slash", "apostrophe")


def _ends(kind: str, begin: Callable[[str], str]) -> Step:
    """A word ends before a character, which begins the next one."""
    return begin(kind), BEFORE


def _after_white_space(state: str, kind: str, step: Callable[[str, str], Step]) -> Step | None:
    """A step from white space that is more than one blank or tab; None from another state.

    `line` is a run that ends with a line end; `line+` one more character, `line++` two or more; `run` two or
    more without a line end. The last character is a blank or a tab, and goes to the next word.
    """
    where, _, last = state.partition(" ")
    if where not in ("line", "line+", "line++", "run"):
        return None
    if kind == "line":
        return "line", 0
    if kind in ("blank", "tab"):
        longer = {"line": "line+", "line+": "line++", "line++": "line++", "run": "run"}
        return f"{longer[where]} {kind}", 0
    if where == "line":
        return step("start", kind)[0], BEFORE
    following, ends = step(last, kind)
    return following, ends | ONE_EARLIER | (AFTER_LINE if where == "line++" else 0)


def gpt2(state: str, kind: str) -> Step:
    """GPT-2's rules. A line end is a tab to them."""
    kind = "tab" if kind == "line" else kind
    if state == "start":
        runs = {"digit": "digits", "apostrophe": "apostrophe", "blank": "blank", "tab": "tab"}
        return ("word" if _is_letter(kind) else runs.get(kind, "signs")), 0
    ends = gpt2("start", kind)[0], BEFORE
    if state in ("blank", "tab") and kind in ("blank", "tab"):
        return f"run {kind}", 0
    if state == "blank":
        # A blank leads any word; the apostrophe after it begins no contraction.
        return ("signs" if _is_sign(kind) else ends[0]), 0
    if (state == "word" and _is_letter(kind)) or (state == "digits" and kind == "digit"):
        return state, 0
    if state in ("signs", "apostrophe") and _is_sign(kind):
        return "signs", 0
    if state == "apostrophe" and kind.endswith(" small"):
        opened = {"stmd small": "contraction", "rv small": "'r", "l small": "'l"}
        return (opened[kind], 0) if kind in opened else ends
    if state in ("'r", "'l"):
        if kind == {"'r": "e small", "'l": "l small"}[state]:
            return "contraction", 0
        following, more = gpt2("word", kind)
        return following, more | ONE_EARLIER
    return _after_white_space(state, kind, gpt2) or ends


def cl100k(state: str, kind: str, digits: int = 3) -> Step:
    """The rules of GPT-4, Llama 3 and Qwen, which put so many digits into a word."""
    if state == "start":
        runs = {
            "digit": "digit 1",
            "apostrophe": "apostrophe",
            "blank": "blank",
            "tab": "tab",
            "line": "line",
        }
        return ("word" if _is_letter(kind) else runs.get(kind, "sign")), 0
    ends = cl100k("start", kind)[0], BEFORE
    opened = {"stmd": "contraction", "rv": "'r", "l": "'l"}
    part = kind.split(" ")[0]
    if state == "apostrophe" and part in opened and _is_letter(kind):
        return opened[part], 0
    if (state, part) in (("'r", "e"), ("'l", "l")):
        return "contraction", 0
    if _is_letter(kind) and state in ("word", "sign", "apostrophe", "blank", "tab", "'r", "'l"):
        return "word", 0
    if state.startswith("digit ") and kind == "digit" and int(state[6:]) < digits:
        return f"digit {int(state[6:]) + 1}", 0
    return _signs(state, kind) or _after_white_space(state, kind, cl100k) or ends


def qwen2(state: str, kind: str) -> Step:
    """The same with one digit."""
    return cl100k(state, kind, digits=1)


def _signs(state: str, kind: str) -> Step | None:
    """A step within signs and the line ends after them, or from one blank or tab to more."""
    if _is_sign(kind) and state in ("sign", "apostrophe", "signs", "blank"):
        return "signs", 0
    if kind == "line" and state in ("sign", "apostrophe", "signs", "signs+lines"):
        return "signs+lines", 0
    if state in ("blank", "tab") and kind in ("blank", "tab", "line"):
        return ("line" if kind == "line" else f"run {kind}"), 0
    return None


def o200k(state: str, kind: str) -> Step:
    """GPT-4o's rules: capitals and then small letters make a word, and a contraction belongs to it."""
    case = kind.rpartition(" ")[2]
    if state == "start":
        runs = {"digit": "digit 1", "blank": "blank", "tab": "tab", "line": "line"}
        return (case if _is_letter(kind) else runs.get(kind, "sign")), 0
    ends = o200k("start", kind)[0], BEFORE
    if _is_letter(kind) and (state in ("sign", "blank", "tab", "capital") or state == case == "small"):
        return case, 0
    if state in ("capital", "small") and kind == "apostrophe":
        return "word'", 0
    if state.startswith("word'"):
        return _contraction(state, kind)
    if state.startswith("digit ") and kind == "digit" and state != "digit 3":
        return f"digit {int(state[6:]) + 1}", 0
    if state == "signs+lines" and kind == "slash":
        return state, 0
    return _signs(state, kind) or _after_white_space(state, kind, o200k) or ends


def _contraction(state: str, kind: str) -> Step:
    """A step after a word and an apostrophe, and perhaps an r, v or l of either case."""
    part, _, case = kind.partition(" ")
    if state == "word'":
        if part == "stmd":
            return "contraction", 0
        if part in ("rv", "l") and case:
            return f"word'{part} {case}", 0
        following, ends = o200k("sign", kind)
        return following, ends | ONE_EARLIER
    seen, _, case_seen = state.removeprefix("word'").partition(" ")
    if (seen, part) in (("rv", "e"), ("l", "l")):
        return "contraction", 0
    following, ends = o200k(case_seen, kind)
    return following, ends | TWO_EARLIER


RULES: dict[str, Callable[[str, str], Step]] = {
    "gpt2": gpt2, "cl100k": cl100k, "llama3": cl100k, "qwen2": qwen2, "o200k": o200k,
}  # fmt: skip
"""The rules of each published pattern. What ends a text is not told here, so some share theirs."""


class Automaton(NamedTuple):
    """A pattern's tables, as compiled code needs them."""

    kinds: Bytes
    """The number of each ASCII character's kind."""
    steps: Int32s
    """The step from each state, the start first, by a character of each kind."""
    double_steps: Int32s
    """The same by two characters at once."""


@functools.cache
def automaton(name: str) -> Automaton:
    """The automaton of a published pattern."""
    kinds = np.array([KINDS.index(kind_of(chr(code))) for code in range(128)], np.uint8)
    states, rows = ["start"], []
    for state in states:  # It grows while it is gone through.
        row = [0] * N_KINDS
        for number, kind in enumerate(KINDS):
            following, ends = RULES[name](state, kind)
            if following not in states:
                states.append(following)
            row[number] = states.index(following) | ends | (LINE if kind == "line" else 0)
        rows.append(row)
    steps = np.array(rows, np.int32)
    return Automaton(kinds, steps.reshape(-1), _double(steps).reshape(-1))


def _double(steps: Int32s) -> Int32s:
    """The steps by two characters, [state, kind of the first, kind of the second]."""
    first, second = steps[:, :, None], steps[steps & NEXT]

    def where(flag: int, meaning: int, those: Int32s) -> Int32s:
        return np.where(those & flag, np.int32(meaning), np.int32(0))

    return (
        (second & NEXT) * N_PAIRS
        | where(ONE_EARLIER, ONE_EARLIER, first)
        | where(BEFORE, BEFORE, first) | where(ONE_EARLIER, BEFORE, second)
        | where(BEFORE, BEFORE_SECOND, second)
        | where(LINE, LINE_FIRST, first) | where(LINE, LINE, second)
        | where(AFTER_LINE | TWO_EARLIER, SELDOM, first) | where(AFTER_LINE | TWO_EARLIER, SELDOM, second)
    )  # fmt: skip
