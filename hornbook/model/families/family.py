"""What a family is: a name, a way to read and to write a configuration, and rules for tensors.

    family = family_of({"model_type": "gpt2", ...}, "config.json")
    config = read_config(family, attributes, "config.json")

A model carries no family. Which one can hold it is found by trying: a family can, where the configuration
that it writes is read back to the same model (`holders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import pydantic

from hornbook.base.errors import ConfigError, did_you_mean
from hornbook.model.config import BlockConfig, ModelConfig, RotaryConfig
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule

MODULES: dict[str, str] = {
    "gpt2": "gpt2",
    "qwen3": "qwen3",
    "llama": "llama",
    "mistral": "mistral",
    "qwen2": "qwen2",
    "olmo2": "olmo2",
    "smollm3": "smollm3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3_text",
    "mixtral": "mixtral",
    "qwen3_moe": "qwen3_moe",
    "gpt_neo": "gpt_neo",
    "gpt_neox": "gpt_neox",
    "gptj": "gptj",
    "opt": "opt",
    "bloom": "bloom",
}
"""The module of each `model_type`; where several can hold a model, the first is taken."""

Kind = TypeVar("Kind")


class CannotHold(Exception):
    """A family has no way to say what a model is made of; the message is the reason."""


@dataclass(frozen=True)
class Family:
    """One family of published models."""

    model_type: str
    """Its name in `config.json`."""
    architecture: str
    """The class that computes it."""
    read: Callable[[Reading], ModelConfig]
    """From their attributes to ours."""
    write: Callable[[ModelConfig], dict[str, Any]]
    """From ours to theirs; may raise `CannotHold`, and need not, where reading gives another model."""
    rules: Callable[[ModelConfig], list[Rule]]
    """How the tensors of such a model are carried over."""
    ignored: str = r"lm_head\.weight"
    """A regular expression for tensors that hold nothing learned, or a tied matrix once more."""


def load_family(model_type: str) -> Family:
    """Return a family by its name."""
    if model_type not in MODULES:
        raise ConfigError(f"there is no family {model_type!r}, {did_you_mean(model_type, MODULES)}")
    family: Family = import_module(f"hornbook.model.families.{MODULES[model_type]}").FAMILY
    return family


def family_of(attributes: Mapping[str, Any], origin: str) -> Family:
    """Return the family that a `config.json` names."""
    model_type = attributes.get("model_type")
    if model_type not in MODULES:
        raise ConfigError(
            f"{origin}: model_type = {model_type!r} is no family known here; known are {', '.join(MODULES)}"
        )
    return load_family(model_type)


def read_config(family: Family, attributes: Mapping[str, Any], origin: str) -> ModelConfig:
    """Return the model that a configuration tells, every attribute of which was understood."""
    reading = Reading(attributes, origin)
    try:
        config = family.read(reading)
    except pydantic.ValidationError as error:
        wrong = "; ".join(mistake["msg"].removeprefix("Value error, ") for mistake in error.errors())
        raise ConfigError(f"{origin} tells of no possible model: {wrong}") from None
    except KeyError as error:
        raise ConfigError(f"{origin} lacks {error} inside one of its attributes") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{origin} has an attribute of the wrong kind: {error}") from None
    reading.finish()
    return config


def holders(config: ModelConfig) -> Iterator[tuple[Family, str | None]]:
    """Every family, and why it cannot hold a model; None where it can."""
    for model_type in MODULES:
        family = load_family(model_type)
        yield family, reason_against(family, config)


def reason_against(family: Family, config: ModelConfig) -> str | None:
    """Why a family cannot hold a model; None where it can."""
    try:
        written = family.write(config)
        again = read_config(family, written, f"the configuration written for {family.model_type}")
    except CannotHold as reason:
        return str(reason)
    except ConfigError as error:
        return str(error)
    differing = _first_difference(as_computed(config).model_dump(), as_computed(again).model_dump())
    return None if differing is None else f"it cannot say {differing}"


def as_computed(config: ModelConfig) -> ModelConfig:
    """The same model with everything said that is else derived, and without what matters in training alone:
    how its weights start, and dropout.
    """
    kinds = [_spelled_out(block, config.head_dim(block)) for block in config.pattern]
    return config.model_copy(
        update={
            "pattern": tuple(kinds[layer % len(kinds)] for layer in range(config.n_layers)),
            "embedding": config.embedding.model_copy(update={"dropout": 0.0}),
            "init": ModelConfig.model_fields["init"].default,
        }
    )


def _spelled_out(block: BlockConfig, head_dim: int) -> BlockConfig:
    attention = block.attention
    position = attention.position
    if isinstance(position, RotaryConfig):
        position = position.model_copy(update={"width": position.width or head_dim})
    said = {
        "n_kv_heads": attention.n_kv_heads or attention.n_heads,
        "head_dim": head_dim,
        "scale": attention.scale or head_dim**-0.5,
        "position": position,
        "dropout": 0.0,
    }
    return block.model_copy(update={"dropout": 0.0, "attention": attention.model_copy(update=said)})


def _first_difference(ours: Any, theirs: Any, path: str = "") -> str | None:
    """Where two configurations first differ, as `path = value`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(name, ours.get(name), theirs.get(name)) for name in ours | theirs]
    elif isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        pairs = [(str(place), *both) for place, both in enumerate(zip(ours, theirs, strict=True))]
    else:
        return None if ours == theirs else f"{path.removeprefix('.')} = {ours!r}"
    found = (_first_difference(mine, yours, f"{path}.{name}") for name, mine, yours in pairs)
    return next((each for each in found if each is not None), None)


def only_block(config: ModelConfig) -> BlockConfig:
    """The block of a model whose layers are all alike."""
    block, *others = config.pattern
    if any(other != block for other in others):
        raise CannotHold("its layers are all alike")
    return block


def needed(value: object, kind: type[Kind], what: str) -> Kind:
    """A part of a model that must be of one kind."""
    if not isinstance(value, kind):
        raise CannotHold(f"it has {what}")
    return value
