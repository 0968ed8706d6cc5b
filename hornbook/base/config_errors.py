"""The mistakes in a configuration, in words a person can act on.

pydantic finds the mistakes; `explain` tells for each of them the dotted name one would type, what is wrong
there and, where it can be guessed, what to write instead. `not_json` finds what pydantic cannot read at all.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any

import pydantic

from hornbook.base.config_types import alternatives, config_classes, kinds, type_inside
from hornbook.base.errors import did_you_mean

_DEEPEST = 100  # levels; pydantic reads about twice as many
_LONGEST = 60  # letters of a value in a message
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    list: "a list in square brackets",
    tuple: "a list in square brackets",
    dict: "an object in braces",
}
# What people type who think of Python.
_SPELLINGS = {"None": None, "none": None, "True": True, "False": False}


class _Place(typing.NamedTuple):
    """Where a mistake is."""

    path: tuple[str | int, ...]
    """The steps one would type."""
    type: Any
    """What is wanted there."""
    holder: Any
    """What is wanted one step above."""


def explain(cls: type[pydantic.BaseModel], error: pydantic.ValidationError) -> list[str]:
    """Every mistake that pydantic found in data for a config class, in our words."""
    found = [(_locate(cls, mistake["loc"]), mistake) for mistake in error.errors(include_url=False)]
    # A value that fits no alternative of a union is reported once for each of them, as a whole or for
    # what is inside it. What is inside says more.
    paths = {place.path[:length] for place, _ in found for length in range(len(place.path))}
    sentences = [_sentence(place, mistake) for place, mistake in found if place.path not in paths]
    return list(dict.fromkeys(sentences))


def wrong_kind(path: str, data: Mapping[str, Any], annotation: Any) -> str:
    """The mistake of an object whose `kind` is missing or unknown."""
    null = ["null"] if NoneType in alternatives(annotation) else []
    known = did_you_mean(str(data.get("kind", "")), [*kinds(annotation), *null])
    if "kind" not in data:
        return f"{path}.kind is missing, {known}"
    return f"{path}: unknown kind {shown(data['kind'])}, {known}"


def not_json(value: Any, path: str = "", depth: int = 0) -> Iterator[str]:
    """What in some data is not JSON, and where; nothing for text, numbers, lists and objects of these."""
    place = path or "the whole"
    match value:
        case _ if depth > _DEEPEST:
            yield f"{path.partition('.')[0]}: nested more than {_DEEPEST} levels deep"
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str) or not _is_utf8(key):
                    yield f"{place}: the key {key!a} is not UTF-8 text"
                yield from not_json(inner, f"{path}.{key}" if path else str(key), depth + 1)
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from not_json(inner, f"{path}.{index}" if path else str(index), depth + 1)
        case str() if not _is_utf8(value):
            yield f"{place}: {value!a} is not UTF-8 text"
        case int() if value.bit_length() > 1000:
            yield f"{place}: a number of more than 300 digits"
        case str() | int() | float() | None:
            return
        case _:
            yield (
                f"{place}: {type(value).__name__} is no type of JSON; "
                "give text, a number, true, false, null, a list or an object"
            )


def _is_utf8(text: str) -> bool:
    """Whether UTF-8 can spell a text; it cannot where other bytes were taken for text, as in file names."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def shown(value: Any) -> str:
    """A value as messages show it: a list or an object by its type, long text cut short."""
    match value:
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:40]}...{text[-10:]}"


def _locate(cls: type[pydantic.BaseModel], steps: Sequence[str | int]) -> _Place:
    """Find the place that pydantic's steps lead to.

    Some of these steps name the alternative of a union that was tried, which nobody types.
    """
    place, tried = _Place((), cls, cls), False
    for step in steps:
        if not tried and _is_union(place.type):
            place, tried = place._replace(type=kinds(place.type).get(str(step), place.type)), True
        else:
            place, tried = _Place((*place.path, step), type_inside(place.type, step), place.type), False
    return place


def _sentence(place: _Place, mistake: Any) -> str:
    """One mistake of pydantic's in our words."""
    path, above = _dotted(place.path), _dotted(place.path[:-1])
    given = mistake["input"]
    match mistake["type"]:
        case "value_error":
            return f"{path}: {mistake['ctx']['error']}" if place.path else str(mistake["ctx"]["error"])
        case "missing":
            return f"{path} is missing"
        case "extra_forbidden":
            known = {name for cls in config_classes(place.holder) for name in cls.model_fields}
            return f"unknown key {path!r}, {did_you_mean(str(place.path[-1]), known)}"
        case "union_tag_invalid" | "union_tag_not_found":
            return wrong_kind(path, given, place.type)
        case "literal_error" if place.path[-1] == "kind":
            return wrong_kind(above, {"kind": given}, place.holder)
        case "literal_error" if not _is_union(place.type):
            known = {str(value) for value in _values(place.type)}
            return f"{path}: unknown value {shown(given)}, {did_you_mean(str(given), known)}"
        case fault if fault == "literal_error" or fault.endswith("_type"):
            wanted = dict.fromkeys(word for option in alternatives(place.type) for word in _words(option))
            return f"{path} must be {' or '.join(wanted)}, not {shown(given)}{_advice(place.type, given)}"
    return path + _in_pydantic_words(mistake["msg"], given)


def _in_pydantic_words(message: str, given: Any) -> str:
    """`Input should be greater than 0` as ` must be greater than 0, not -1`."""
    subject, should, rest = message.replace(" after validation", "").partition(" should ")
    said = f" must {rest}" if should else f": {subject[0].lower()}{subject[1:]}"
    return said + ("" if isinstance(given, dict | list) else f", not {shown(given)}")


def _advice(annotation: Any, given: Any) -> str:
    """What to write instead of a value of the wrong type, where that can be guessed; else nothing."""
    wanted = alternatives(annotation)
    if str in wanted and isinstance(given, int | float):
        return f'; write "{shown(given)}" in quotes'
    if isinstance(given, str) and given in _SPELLINGS and type(_SPELLINGS[given]) in wanted:
        return f"; write {json.dumps(_SPELLINGS[given])}"
    number = _number(given)
    if number is not None and int in wanted and number.is_integer():
        return f"; write {int(number)}"
    return f"; write {number}" if number is not None and float in wanted else ""


def _number(given: Any) -> float | None:
    """The number that Python reads in a value, if it is one that can be shown exactly."""
    try:
        number = float(given) if isinstance(given, str | float) else math.nan
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _words(option: Any) -> tuple[str, ...]:
    """How to write a value of one type."""
    if chosen := list(kinds(option)):
        return (json.dumps({"kind": chosen[0]}),)
    if values := _values(option):
        return tuple(map(shown, values))
    plain = typing.get_origin(option) or option
    return (_WORDS.get(plain, "an object in braces" if config_classes(option) else str(plain)),)


def _values(annotation: Any) -> tuple[Any, ...]:
    """The values that a `Literal` lists."""
    literals = [a for a in alternatives(annotation) if typing.get_origin(a) is typing.Literal]
    return tuple(value for literal in literals for value in typing.get_args(literal))


def _is_union(annotation: Any) -> bool:
    """Whether pydantic tries several types for a value; for null it need not try."""
    return sum(option is not NoneType for option in alternatives(annotation)) > 1


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path)) or "the whole"
