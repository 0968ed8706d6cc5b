"""What the type of a config field allows: its alternatives, the kinds to choose from, what lies inside.

`config_assign` asks these questions to place a value, `config_errors` to name a mistake. Values are not
checked here; pydantic does that.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

import pydantic
from pydantic.fields import FieldInfo


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types a value may have: unions are opened, the conditions of `Annotated` left out."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return alternatives(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(found for argument in arguments for found in alternatives(argument))
    return (annotation,)


def config_classes(annotation: Any) -> tuple[type[pydantic.BaseModel], ...]:
    """The config classes among the alternatives."""
    return tuple(a for a in alternatives(annotation) if _is_config(a))


def kinds(annotation: Any) -> dict[str, type[pydantic.BaseModel]]:
    """The config classes that are chosen by name, by that name."""
    classes = config_classes(annotation)
    return {cls.model_fields["kind"].default: cls for cls in classes if "kind" in cls.model_fields}


def class_of(annotation: Any, data: Mapping[str, Any]) -> type[pydantic.BaseModel] | None:
    """The config class that an object stands for; where there is a choice, its `kind` decides."""
    classes, named = config_classes(annotation), kinds(annotation)
    if len(classes) == 1 and ("kind" not in data or not named):
        return classes[0]
    return named.get(str(data.get("kind")))


def type_inside(annotation: Any, step: str | int) -> Any:
    """The type of what lies under a step: a field of a config class, or an element of a list."""
    for option in alternatives(annotation):
        if _is_config(option) and step in option.model_fields:
            return option.model_fields[step].annotation
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if origin is dict:
            return arguments[1]
        if origin in (list, tuple) and isinstance(step, int):
            alike = origin is list or Ellipsis in arguments
            return arguments[0] if alike else dict(enumerate(arguments)).get(step, Any)
    return Any


def names_type(annotation: Any, value: Any) -> bool:
    """Whether a JSON value is of one of the alternatives, as far as its outermost type goes."""
    found = {typing.get_origin(a) or a for a in alternatives(annotation)}
    match value:
        case dict():
            return dict in found or bool(config_classes(annotation))
        case list():
            return not found.isdisjoint({list, tuple})
        case int() if not isinstance(value, bool):
            return not found.isdisjoint({int, float})
    return type(value) in found


def plain_default(field: FieldInfo) -> Any:
    """A field's default as plain JSON data; an empty object where a value must be given."""
    if field.is_required():
        return {}
    default = field.get_default(call_default_factory=True)
    return pydantic.TypeAdapter(Any).dump_python(default, mode="json")


def _is_config(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
