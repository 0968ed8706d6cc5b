"""Typed, frozen configuration: strict on the way in, JSON on the way out.

Every config class of the package derives from `Config` (a pydantic model). `parse` builds one from
plain data and reports all mistakes at once; `override` applies dotted assignments such as
`model.n_layers=6` and returns a new object; `describe` lists the fields for help pages. A choice
between parts is a union of small classes tagged by their field `kind`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from hornbook.base.config_assign import assign
from hornbook.base.config_errors import explain, not_json
from hornbook.base.config_types import config_classes, plain_default
from hornbook.base.errors import ConfigError


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

    Types are taken strictly: 3.0, "3" and true are no whole numbers, though 3 is a number. `source` is
    the file or place the data came from, for the message.
    """
    if mistake := next(not_json(data), None):
        raise ConfigError(f"{source}: {mistake}")
    try:
        return cls.model_validate_json(json.dumps(data, default=dict), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{source}: " + "; ".join(explain(cls, error))) from None


def override(config: C, assignments: Sequence[str]) -> C:
    """Return a copy with dotted assignments applied, each to the result of the one before.

    Values are read as JSON where they are JSON (`3`, `1e-3`, `true`, `null`, `{"kind": ...}`) and the
    field takes such a value, else as text. A part that is chosen by `kind` may be given by that name
    alone, `train.schedule=cosine`, and has that kind's defaults.
    """
    data = to_dict(config)
    mistakes = []
    for assignment in assignments:
        try:
            assign(type(config), data, assignment)
        except ConfigError as mistake:
            mistakes.append(str(mistake))
    if mistakes:
        raise ConfigError("; ".join(dict.fromkeys(mistakes)))
    return parse(type(config), data, "the overrides" if assignments else "the configuration")


def describe(cls: type[Config], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted name, default as JSON, docstring) for every field, nested ones included."""
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, Config) and len(config_classes(field.annotation)) == 1:
            yield from describe(type(default), f"{prefix}{name}.")
            continue
        value = "" if field.is_required() else json.dumps(plain_default(field), ensure_ascii=False)
        yield prefix + name, value, field.description or ""
