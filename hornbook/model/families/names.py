"""Words that several families share: names of activations, and of rotary positions."""

from __future__ import annotations

import math
from typing import Any

from hornbook.model.families.family import CannotHold
from hornbook.model.families.reading import Reading
from hornbook.model.part_config import (
    Activation,
    ByPartsScaling,
    DynamicNTKScaling,
    LinearScaling,
    RotaryConfig,
    RotaryScaling,
    YarnScaling,
)

ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu_squared",
    "silu": "silu",
    "swish": "silu",
}
"""The activations that transformers has under other names, or several."""


def activation_name(activation: Activation) -> str:
    """Their name of an activation."""
    return next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation)


def take_either(theirs: Reading, name: str, other: str) -> Any:
    """Return a needed attribute that goes by two names; where both are there, they must agree."""
    value = theirs.take(other, None)
    if value is None:
        return theirs.take(name)
    if theirs.take(name, value) != value:
        raise theirs.refusal(other, value, f"{name} says otherwise")
    return value


def pass_over_summary(theirs: Reading) -> None:
    """Pass over the attributes of a head for another task."""
    for name in ("type", "use_proj", "activation", "proj_to_labels", "first_dropout"):
        theirs.take(f"summary_{name}", None)
    theirs.take("classifier_dropout", None)


def read_rotary(
    theirs: Reading, max_seq_len: int, head_dim: int, theta: float | int = 10_000.0, share: float | int = 1.0
) -> RotaryConfig:
    """Rotary positions, by the attribute `rope_parameters`, or by `rope_theta` and `rope_scaling`.

    `theta` and `share`, the part of a head that is turned, stand where nothing is said.
    """
    parameters = dict(theirs.take("rope_parameters", {})) or dict(theirs.take("rope_scaling", {}))
    theta = parameters.pop("rope_theta", theirs.take("rope_theta", theta))
    share = parameters.pop("partial_rotary_factor", theirs.take("partial_rotary_factor", share))
    theirs.take("rope_parameters", None), theirs.take("rope_scaling", None)
    return rotary_of(theirs, parameters, theta, max_seq_len, int(head_dim * share) if share < 1 else None)


def rotary_of(
    theirs: Reading, parameters: dict[str, Any], theta: float | int, max_seq_len: int, width: int | None
) -> RotaryConfig:
    """Rotary positions from their parameters, each of which must be understood."""
    parameters = dict(parameters)
    kind = parameters.pop("rope_type", parameters.pop("type", "default"))
    parameters.pop("type", None)
    scaling: RotaryScaling | None = None
    if kind == "linear":
        scaling = LinearScaling(factor=parameters.pop("factor"))
    elif kind == "dynamic":
        said = parameters.pop("original_max_position_embeddings", None)
        if said not in (None, max_seq_len):
            why = f"transformers takes max_position_embeddings, {max_seq_len}, for it"
            raise theirs.refusal("original_max_position_embeddings", said, why)
        scaling = DynamicNTKScaling(factor=parameters.pop("factor"), trained_len=max_seq_len)
    elif kind == "llama3":
        scaling = ByPartsScaling(
            factor=parameters.pop("factor"),
            low_factor=parameters.pop("low_freq_factor"),
            high_factor=parameters.pop("high_freq_factor"),
            trained_len=parameters.pop("original_max_position_embeddings"),
        )
    elif kind == "yarn":
        scaling = YarnScaling(
            factor=parameters.pop("factor"),
            trained_len=parameters.pop("original_max_position_embeddings", None) or max_seq_len,
            fast_turns=parameters.pop("beta_fast", None) or 32.0,
            slow_turns=parameters.pop("beta_slow", None) or 1.0,
            gain=parameters.pop("attention_factor", None),
        )
    elif kind != "default":
        raise theirs.refusal("rope_type", kind, "known are default, linear, dynamic, llama3 and yarn")
    left = {name: value for name, value in parameters.items() if value is not None}
    if left:
        raise theirs.refusal("rope_parameters", left, "these are not understood here")
    return RotaryConfig(theta=theta, width=width, scaling=scaling)


def rotary_parameters(position: RotaryConfig) -> dict[str, Any]:
    """Their parameters of rotary positions, the base and the share of a head aside.

    The first versions that knew some of them called the kind `type`, and take nothing beside the factor; all
    later versions read that too.
    """
    match position.scaling:
        case None:
            return {"rope_type": "default"}
        case LinearScaling(factor=factor):
            return {"type": "linear", "factor": factor}
        case DynamicNTKScaling(factor=factor):
            return {"type": "dynamic", "factor": factor}  # Trained with max_position_embeddings.
        case ByPartsScaling() as scaling:
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_factor,
                "high_freq_factor": scaling.high_factor,
                "original_max_position_embeddings": scaling.trained_len,
            }
        case YarnScaling() as scaling:
            parameters = {
                "rope_type": "yarn",
                "factor": scaling.factor,
                "original_max_position_embeddings": scaling.trained_len,
                "beta_fast": scaling.fast_turns,
                "beta_slow": scaling.slow_turns,
            }
            return parameters if scaling.gain is None else {**parameters, "attention_factor": scaling.gain}
    raise CannotHold("no such rotary positions")


def written_rotary(position: RotaryConfig, head_dim: int) -> dict[str, Any]:
    """The attributes that tell rotary positions, in the spelling that every version reads."""
    parameters = rotary_parameters(position)
    attributes: dict[str, Any] = {"rope_theta": position.theta}
    if parameters != {"rope_type": "default"}:
        attributes["rope_scaling"] = parameters
    if position.width is not None:
        attributes["partial_rotary_factor"] = share_of(position.width, head_dim)
    return attributes


def share_of(width: int, head_dim: int) -> float:
    """The share that readers, who multiply and round down, turn into this width again."""
    share = width / head_dim
    return share if int(head_dim * share) == width else math.nextafter(share, 1.0)
