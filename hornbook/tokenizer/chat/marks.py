"""Marks: single characters put into the strings of a conversation, to see where a template writes them.

A mark is a private-use character that occurs nowhere else. A template that does not look at it carries it
along like a letter, so the text without its marks is the text it would have written anyway, and the marks
say where each string begins and ends in it. Whether that is so is for the reader of the marks to check.
This module puts marks into messages and reads them from text; it knows no roles and no templates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hornbook.base.errors import TextError

Path = tuple[str | int, ...]
"""The keys and indices that lead to a string in a message."""
Message = Mapping[str, Any]

PRIVATE_USE = range(0xF0000, 0xFFFFE)
"""Plane 15 of Unicode, whose characters never get a meaning."""
NAMES = ("role", "type", "id", "tool_call_id")
"""Keys whose strings are labels that templates compare, not text."""


@dataclass(frozen=True)
class Place:
    """A position in a string of a message."""

    message: int
    path: Path
    position: int
    begins: bool = False
    """Whether only white space is before it in the string."""
    ends: bool = False
    """Whether only white space is after it."""

    def moved(self, by: int) -> Place:
        """The place some characters further."""
        return replace(self, position=self.position + by)


Found = list[tuple[int, Place]]
"""Positions in a text with the places whose marks stood there, in the order of the text."""


class Ink:
    """A supply of characters that occur in none of some texts; marks are made of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._used: set[str] = set().union(*texts)

    def free(self, count: int) -> list[str]:
        """Return so many of the characters."""
        free = list(islice((chr(point) for point in PRIVATE_USE if chr(point) not in self._used), count))
        if len(free) < count:
            raise TextError(f"the conversation is too long to trace its turns: it has {count} places to mark")
        return free

    def mark(
        self, messages: Sequence[Message], places: Sequence[Place]
    ) -> tuple[list[Message], dict[str, Place]]:
        """Return the messages with a mark at each place, and which sign stands for which place."""
        signs = dict(zip(self.free(len(places)), places, strict=True))
        of_message: dict[int, dict[Path, list[tuple[int, str]]]] = {}
        for sign, place in signs.items():
            of_path = of_message.setdefault(place.message, {})
            of_path.setdefault(place.path, []).append((place.position, sign))
        marked = list(messages)
        for index, of_path in of_message.items():
            marked[index] = _inserted(messages[index], (), of_path)
        return marked, signs


def _inserted(value: Any, path: Path, signs: Mapping[Path, list[tuple[int, str]]]) -> Any:
    """A copy of plain data with signs in its strings."""
    if isinstance(value, Mapping):
        return {key: _inserted(item, (*path, key), signs) for key, item in value.items()}
    if isinstance(value, list):
        return [_inserted(item, (*path, index), signs) for index, item in enumerate(value)]
    for position, sign in sorted(signs.get(path, ()), reverse=True):
        value = value[:position] + sign + value[position:]
    return value


def read(text: str, signs: Mapping[str, Place]) -> tuple[str, Found]:
    """Take the marks out of a text; return it without them, and where they were."""
    if not signs:
        return text, []
    parts = re.split("([" + "".join(signs) + "])", text)
    found: Found = []
    length = 0
    for index, part in enumerate(parts):
        if index % 2:
            found.append((length, signs[part]))
        else:
            length += len(part)
    return "".join(parts[::2]), found


def strings(value: Any, path: Path = (), without: Collection[str] = ()) -> Iterator[tuple[Path, str]]:
    """The strings in plain data with their paths, those under the keys in `without` left out."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in without:
                yield from strings(item, (*path, key), without)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index), without)


def borders(index: int, path: Path, text: str, words: re.Pattern[str]) -> list[Place]:
    """Where a string begins and ends, white space aside, and where words that a template may cut at do.

    Never in such a word, and never in white space, so that a template finds and trims what it did before.
    """
    start, end = core(text)
    edges = {start, end}
    for match in words.finditer(text):
        before, after = match.span()
        while before > start and text[before - 1].isspace():
            before -= 1
        while after < end and text[after].isspace():
            after += 1
        edges |= {before, after}
    return [
        Place(index, path, edge, begins=edge == start, ends=edge == end)
        for edge in sorted(edges)
        if start <= edge <= end
    ]


def core(text: str) -> tuple[int, int]:
    """Where the text between leading and trailing white space begins and ends; (0, 0) if there is none."""
    start = len(text) - len(text.lstrip())
    return (start, len(text.rstrip())) if start < len(text) else (0, 0)


def landmark(index: int, path: Path, text: str, words: re.Pattern[str]) -> list[Place]:
    """A place near the end of a string, between two letters: its beginning and end stay as they are.

    None in a string that is too short, and none in one of the words.
    """
    start, end = core(text)
    taken = {position for match in words.finditer(text) for position in range(match.start() + 1, match.end())}
    for position in range(end - 1, start, -1):
        if position not in taken and not text[position - 1].isspace():
            return [Place(index, path, position)]
    return []
