"""One dotted assignment, such as `train.schedule.warmup=5`, applied to a configuration as plain data.

The types of the config classes lead the way: they say which names exist, fill in the defaults of a part
that was chosen a moment ago, and tell a number from a text of digits. Whether the value is a good one is
judged later, when all assignments are in place.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pydantic

from hornbook.base.config_errors import shown, wrong_kind
from hornbook.base.config_types import class_of, config_classes, kinds, names_type, plain_default, type_inside
from hornbook.base.errors import ConfigError, did_you_mean


def assign(cls: type[pydantic.BaseModel], data: dict[str, Any], assignment: str) -> None:
    """Set one value in data for a config class; a `ConfigError` where there is no such place or kind."""
    path, equals, raw = assignment.partition("=")
    if not equals:
        raise ConfigError(f"{assignment!r} is not an assignment; write key=value, as in train.steps=500")
    # Another kind has other fields, so `schedule.kind=cosine` can only mean `schedule=cosine`.
    steps = path.removesuffix(".kind").split(".")
    holder, key, wanted = _find(cls, data, steps)
    holder[key] = value = _read(raw, wanted)
    if isinstance(value, dict) and kinds(wanted):
        _chosen(".".join(steps), value, wanted)


def _find(cls: Any, data: dict[str, Any], steps: Sequence[str]) -> tuple[Any, str | int, Any]:
    """Where a dotted name leads: the object or list that holds the value, its key there, and its type."""
    holder: Any = None
    key: str | int = ""
    place: Any = data
    wanted: Any = cls
    for depth, step in enumerate(steps):
        if isinstance(place, dict) and config_classes(wanted):
            wanted = _chosen(".".join(steps[:depth]), place, wanted)
        if step not in _names(place, wanted):
            raise ConfigError(_no_such(steps, depth, place, wanted))
        holder, key = place, int(step) if isinstance(place, list) else step
        if isinstance(holder, dict) and key not in holder:
            holder[key] = plain_default(wanted.model_fields[key])
        place, wanted = holder[key], type_inside(wanted, key)
    return holder, key, wanted


def _chosen(path: str, data: dict[str, Any], wanted: Any) -> Any:
    """The config class that an object stands for."""
    cls = class_of(wanted, data)
    if cls is None:
        raise ConfigError(wrong_kind(path, data, wanted))
    return cls


def _names(place: Any, wanted: Any) -> list[str]:
    """The names that can follow a dot at this place."""
    if isinstance(place, dict):
        return list(wanted.model_fields) if config_classes(wanted) else list(place)
    return [str(index) for index in range(len(place))] if isinstance(place, list) else []


def _no_such(steps: Sequence[str], depth: int, place: Any, wanted: Any) -> str:
    """The mistake of a step that does not exist at a place."""
    step, above = steps[depth], ".".join(steps[:depth]) or "the configuration"
    if known := _names(place, wanted):
        why = f"{step!r} is not in {above}, {did_you_mean(step, known)}"
    else:
        why = f"{above} is {'empty' if place in ([], {}) else shown(place)}"
        if choices := sorted(kinds(wanted)):
            why += f"; choose it first: {above}={' or '.join(choices)}"
    return f"there is no {'.'.join(steps)!r}: {why}"


def _read(raw: str, wanted: Any) -> Any:
    """The value that the right side of an assignment stands for at a place of some type."""
    value: Any = raw
    with contextlib.suppress(ValueError, RecursionError):  # Not JSON: then it is text.
        value = json.loads(raw)
    if kinds(wanted) and not isinstance(value, dict | None):
        return {"kind": value if isinstance(value, str) else raw}
    # A path "2024" is a number in JSON.
    return raw if names_type(wanted, "") and not names_type(wanted, value) else value
