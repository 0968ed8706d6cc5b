"""What a family is: a name, a way to read and to write a configuration, and rules for tensors.

    family = family_of({"model_type": "gpt2", ...}, "config.json")
    config = read_config(family, attributes, "config.json")

What is published under one name may be of several shapes, each of which is a family here. A model carries no
family. Which one can hold it is found by trying: a family can, where the configuration that it writes is read
back to the same model (`holders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

import pydantic

from hornbook.base.config import Config
from hornbook.base.errors import ConfigError, did_you_mean, nearest
from hornbook.model.config import BlockConfig, ModelConfig, StackConfig
from hornbook.model.encoder_config import ClassifierConfig
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, Tensors
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, MixtureConfig, RotaryConfig
from hornbook.model.seq2seq_config import Seq2SeqConfig

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
    "bert": "bert",
    "roberta": "roberta",
    "xlnet": "xlnet",
    "t5": "t5",
    "mt5": "mt5",
    "bart": "bart",
    "marian": "marian",
}
"""The module of each `model_type`, which has a family for each shape, as `FAMILIES`.

Where several can hold a model, the first is taken.
"""

Kind = TypeVar("Kind")
Shape = TypeVar("Shape", bound=Config)
Stack = TypeVar("Stack", bound=StackConfig)


def _as_it_is(tensors: Tensors) -> Tensors:
    return tensors


class CannotHold(Exception):
    """A family has no way to say what a model is made of; the message is the reason."""


@dataclass(frozen=True)
class Family(Generic[Shape]):
    """One family of published models, of one shape."""

    model_type: str
    """Its name in `config.json`."""
    architecture: str
    """The class that computes it, and is written."""
    read: Callable[[Reading], Shape]
    """From their attributes to ours."""
    write: Callable[[Shape], dict[str, Any]]
    """From ours to theirs; may raise `CannotHold`, and need not, where reading gives another model."""
    rules: Callable[[Shape], list[Rule]]
    """How the tensors of such a model are carried over."""
    ignored: str = r"lm_head\.weight"
    """A regular expression for tensors that hold nothing learned here, or a tied matrix once more."""
    shape: type[Config] = ModelConfig
    """The configuration that it is read to."""
    renewed: Callable[[Tensors], Tensors] = _as_it_is
    """The tensors of a file, those of old files put as files of today have them."""
    also: tuple[str, ...] = ()
    """Other classes that are read as it: they have more, which is ignored, or less, which is tied or zero."""


def load_families(model_type: str) -> tuple[Family[Any], ...]:
    """Return the families of one name, one for each shape."""
    if model_type not in MODULES:
        raise ConfigError(f"there is no family {model_type!r}, {did_you_mean(model_type, MODULES)}")
    families: tuple[Family[Any], ...]
    families = import_module(f"hornbook.model.families.{MODULES[model_type]}").FAMILIES
    return families


def load_family(model_type: str, shape: type[Config] = ModelConfig) -> Family[Any]:
    """Return a family by its name, the one for models of a shape."""
    families = load_families(model_type)
    for family in families:
        if family.shape is shape:
            return family
    architectures = " and ".join(family.architecture for family in families)
    raise ConfigError(f"{model_type} cannot hold this model: it has {architectures} only")


def family_of(attributes: Mapping[str, Any], origin: str) -> Family[Any]:
    """Return the family that a `config.json` names, by its `model_type` and its `architectures`."""
    model_type = attributes.get("model_type")
    if not isinstance(model_type, str) or model_type not in MODULES:
        near = nearest(str(model_type), MODULES)
        guess = "" if near is None else f" (did you mean {near!r}?)"
        raise ConfigError(
            f"{origin}: model_type = {model_type!r} is no family known here{guess}; known are "
            + ", ".join(MODULES)
        )
    families = load_families(model_type)
    architectures = attributes.get("architectures")
    # Old files spell some in other cases.
    named = {str(name).lower() for name in architectures or ()}
    for family in families:
        if any(name.lower() in named for name in (family.architecture, *family.also)):
            return family
    # A decoder without its head lacks nothing where the head is the embedding; else it will be missed.
    if families[0].shape is ModelConfig and all(name.endswith("model") for name in named):
        return families[0]
    computed = " or ".join(family.architecture for family in families)
    raise ConfigError(
        f"{origin}: architectures = {architectures!r} is refused, because of {model_type} only {computed} is "
        "computed here"
    )


def read_config(family: Family[Shape], attributes: Mapping[str, Any], origin: str) -> Shape:
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


def holders(config: Config) -> Iterator[tuple[Family[Any], str | None]]:
    """Every family of a model's shape, and why it cannot hold the model; None where it can."""
    for model_type in MODULES:
        for family in load_families(model_type):
            if family.shape is type(config):
                yield family, reason_against(family, config)


def reason_against(family: Family[Any], config: Config) -> str | None:
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


def as_computed(config: Shape) -> Shape:
    """The same model with everything said that is else derived, and without what matters in training alone:
    how its weights start, and dropout.
    """
    if isinstance(config, Seq2SeqConfig):
        stacks = {
            "encoder": _stack_as_computed(config.encoder),
            "decoder": _stack_as_computed(config.decoder),
        }
        return config.model_copy(update=stacks)
    return _stack_as_computed(config) if isinstance(config, StackConfig) else config


def _stack_as_computed(config: Stack) -> Stack:
    kinds = [_spelled_out(block, config) for block in config.pattern]
    said: dict[str, Any] = {
        "pattern": tuple(kinds[layer % len(kinds)] for layer in range(config.n_layers)),
        "embedding": config.embedding.model_copy(update={"dropout": 0.0}),
        "init": StackConfig.model_fields["init"].default,
    }
    if isinstance(config, ClassifierConfig):
        pooler = config.pooler and config.pooler.model_copy(update={"dropout": 0.0})
        said |= {"dropout": 0.0, "pooler": pooler}
    return config.model_copy(update=said)


def _spelled_out(block: BlockConfig, stack: StackConfig) -> BlockConfig:
    said: dict[str, Any] = {
        name: each and _attention_spelled_out(each, stack.width_of_heads(each))
        for name, each in (("attention", block.attention), ("cross_attention", block.cross_attention))
    }
    said["feed_forward"] = _without_dropout(block.feed_forward)
    return block.model_copy(update={"dropout": 0.0, **said})


def _without_dropout(config: FeedForwardConfig | MixtureConfig) -> FeedForwardConfig | MixtureConfig:
    if isinstance(config, FeedForwardConfig):
        return config.model_copy(update={"dropout": 0.0})
    shared = config.shared and config.shared.model_copy(
        update={"expert": _without_dropout(config.shared.expert)}
    )
    return config.model_copy(update={"expert": _without_dropout(config.expert), "shared": shared})


def _attention_spelled_out(attention: AttentionConfig, head_dim: int) -> AttentionConfig:
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
    return attention.model_copy(update=said)


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


def only_block(config: StackConfig) -> BlockConfig:
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
