"""Typed, frozen configuration: strict on the way in, JSON on the way out.

Every config class of the package derives from `Config` (a pydantic model). `parse` builds one from
plain data and reports all mistakes at once; `override` applies dotted assignments such as
`model.n_layers=6` and returns a new object; `describe` lists the fields for help pages. A choice
between parts is a union of small classes tagged by their field `kind`.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from hornbook.base.errors import ConfigError, did_you_mean


class Config(pydantic.BaseModel):
    """Base of all config classes: frozen, no unknown keys, docstrings under fields kept."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )


C = TypeVar("C", bound=Config)


def to_dict(config: Config) -> dict[str, Any]:
    """Return the config as plain JSON data, fully resolved."""
    return config.model_dump(mode="json")


def parse(cls: type[C], data: Mapping[str, Any], source: str = "the configuration") -> C:
    """Build a config from plain data; raise one `ConfigError` that names every mistake.

    `source` is the file or place the data came from, for the message.
    """
    try:
        return cls.model_validate_json(json.dumps(data))
    except pydantic.ValidationError as error:
        lines = [_explain(cls, mistake) for mistake in error.errors(include_url=False)]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from None


def override(config: C, assignments: Sequence[str]) -> C:
    """Return a copy with dotted assignments applied: `["model.n_layers=6", "seed=1"]`.

    Values are read as JSON where they are JSON (`3`, `1e-3`, `true`, `null`, `{"kind": ...}`), else as
    text. A part that is chosen by `kind` may be given by that name alone: `train.schedule=cosine`.
    """
    data = to_dict(config)
    mistakes = [mistake for text in assignments if (mistake := _assign(data, text))]
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return parse(type(config), data, "the overrides" if assignments else "the configuration")


def describe(cls: type[Config], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted name, default as JSON, docstring) for every field, nested ones included."""
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True)
        inner = _config_classes(field.annotation)
        if len(inner) == 1 and isinstance(default, Config):
            yield from describe(inner[0], f"{prefix}{name}.")
            continue
        value = to_dict(default) if isinstance(default, Config) else default
        shown = "" if field.is_required() else json.dumps(value, default=str)
        yield prefix + name, shown, field.description or ""


def _assign(data: dict[str, Any], text: str) -> str | None:
    """Set one dotted assignment in nested data; return the mistake, if there is one."""
    path, equals, raw = text.partition("=")
    if not equals:
        return f"{text!r} is not an assignment; write key=value, as in train.steps=500"
    place: Any = data
    *parents, last = path.split(".")
    for depth, key in enumerate([*parents, last]):
        known = _keys(place)
        if key not in known:
            above = ".".join(parents[:depth]) or "the configuration"
            return f"there is no {path!r}: {key!r} is not in {above}, {did_you_mean(key, known)}"
        if depth < len(parents):
            place = place[_index(place, key)]
    value = _value(raw)
    old = place[_index(place, last)]
    if isinstance(value, str) and isinstance(old, dict) and "kind" in old:
        value = {"kind": value}
    place[_index(place, last)] = value
    return None


def _keys(place: Any) -> list[str]:
    """The names that can follow a dot at this place."""
    if isinstance(place, dict):
        return list(place)
    return [str(i) for i in range(len(place))] if isinstance(place, list) else []


def _index(place: Any, key: str) -> str | int:
    return int(key) if isinstance(place, list) else key


def _value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return raw


def _explain(cls: type[Config], mistake: Any) -> str:
    """One mistake of pydantic's in our words: dotted path, what is wrong, what was given."""
    path = ".".join(str(step) for step in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        *parents, key = mistake["loc"]
        return f"unknown key {path!r}, {did_you_mean(str(key), _fields_at(cls, parents))}"
    if mistake["type"] == "value_error":
        return f"{path + ': ' if path else ''}{mistake['ctx']['error']}"
    message = mistake["msg"][0].lower() + mistake["msg"][1:]
    given = mistake["input"]
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    return f"{path or 'the whole'}: {message}{shown}"


def _fields_at(cls: type[Config], steps: Sequence[str | int]) -> list[str]:
    """The field names of the config class that sits at a path of pydantic's error location."""
    classes: tuple[type[Config], ...] = (cls,)
    for step in steps:
        if isinstance(step, int):
            continue
        tagged = [c for c in classes if _kind(c) == step]
        inner = [_config_classes(c.model_fields[step].annotation) for c in classes if step in c.model_fields]
        classes = tuple(tagged) or tuple(found for group in inner for found in group)
    return sorted({name for c in classes for name in c.model_fields})


def _kind(cls: type[Config]) -> str | None:
    field = cls.model_fields.get("kind")
    return None if field is None else field.default


def _config_classes(annotation: Any) -> tuple[type[Config], ...]:
    """All config classes named in a type: `A | B | None`, `tuple[A, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return (annotation,)
    found = [_config_classes(argument) for argument in typing.get_args(annotation)]
    return tuple(cls for group in found for cls in group)
