"""Special tokens in messages: refused, so that a message cannot end its turn and begin another.

The template writes the special tokens of a conversation. A message that spells one would become that
token, and its author could speak as the system or the assistant. It is not enough to look for whole tokens:
two parts of a message, or a message and the template's own text, may make one together. Such texts are
followed through the template by a mark (`marks.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hornbook.base.errors import HornbookError, TextError
from hornbook.tokenizer.chat.marks import Found, Ink, Place, core, read, strings
from hornbook.tokenizer.chat.turns import Script


@functools.lru_cache(maxsize=16)
def any_of(special: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any special token, the longest one where one begins another."""
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def refuse_spelled(script: Script, special: tuple[str, ...]) -> None:
    """Refuse messages and variables that spell a special token, in a key or a value."""
    pattern = any_of(special)
    for index, message in enumerate(script.messages):
        for spelled in _spelled(message):
            if found := pattern.search(spelled):
                raise _special_found(index, message, f"contains the special token {found.group()!r}")
    for name, value in script.variables.items():
        for spelled in _spelled(value) if not name.endswith("_token") else ():
            if found := pattern.search(spelled):
                raise TextError(
                    f"the variable {name!r} contains the special token {found.group()!r}{_REMEDY}"
                )


def refuse_joined(script: Script, text: str, special: tuple[str, ...]) -> None:
    """Refuse messages that make a special token together with what the template writes beside them."""
    pattern = any_of(special)
    for place in _suspects(script.messages, special):
        unmarked, marks = _rendered(script, text, place)
        matches = pattern.finditer(unmarked or "")
        inside = {at for match in matches for at in range(match.start() + 1, match.end())}
        if unmarked is None or any(at in inside for at, _ in marks):
            reason = "may become part of a special token, together with the text beside it"
            raise _special_found(place.message, script.messages[place.message], reason)


_REMEDY = (
    "; it is text and cannot end a turn: take it out, or pass allow_special_in_content=True to let it be "
    "that token"
)


def _special_found(index: int, message: Mapping[str, Any], reason: str) -> TextError:
    return TextError(f"message {index} ({message['role'][:40]}) {reason}{_REMEDY}")


def _spelled(value: Any) -> Iterator[str]:
    """All strings in plain data, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for item in value.values():
            yield from _spelled(item)
    elif isinstance(value, list):
        for item in value:
            yield from _spelled(item)


def _suspects(messages: Sequence[Mapping[str, Any]], special: tuple[str, ...]) -> Iterator[Place]:
    """The edges of texts that end as a special token begins, or begin as one ends."""
    heads, tails = _fragments(special)
    longest = max(map(len, special), default=0)
    for index, message in enumerate(messages):
        for path, text in strings(message, without=("role", "type")):
            start, end = core(text)
            if any(text[max(start, end - length) : end] in heads for length in range(1, longest)):
                yield Place(index, path, end)
            if any(text[start : min(start + length, end)] in tails for length in range(1, longest)):
                yield Place(index, path, start)


def _rendered(script: Script, text: str, place: Place) -> tuple[str | None, Found]:
    """The conversation rendered with a mark at one place, and where the mark is; None if it is refused so."""
    messages, signs = Ink([*script.every_text(), text]).mark(script.messages, [place])
    try:
        return read(replace(script, messages=messages).text(), signs)
    except HornbookError:
        return None, []


@functools.lru_cache(maxsize=16)
def _fragments(special: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """The beginnings of special tokens and their ends, not whole."""
    cuts = [(token, cut) for token in special for cut in range(1, len(token))]
    return {token[:cut] for token, cut in cuts}, {token[cut:] for token, cut in cuts}
