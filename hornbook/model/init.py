"""How weights start: by named schemes, in one fixed order, from one generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hornbook.base.randomness import stream_seed
from hornbook.model.attention import Attention
from hornbook.model.config import MaximalUpdateInit, ScaledNormalInit, StackConfig
from hornbook.model.feed_forward import FeedForward
from hornbook.model.norm import UnitOffsetRMSNorm
from hornbook.model.shortcuts import StreamMix, ValueEmbedding


def initialise(model: nn.Module, config: StackConfig, seed: int, *part: int) -> None:
    """Draw every matrix of a model anew; gains start at one and biases at zero.

    The same seed gives the same weights, whatever ran before. `part` is the number of a stack in a model of
    several.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, "init", *part))
    ends, fixed = _branch_ends(model), _fixed_starts(model)
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for name, parameter in model.named_parameters():
        if id(parameter) in fixed:
            _fill(parameter, fixed[id(parameter)])
        elif parameter.ndim < 2:
            _fill(parameter, torch.full(parameter.shape, 0.0 if name.endswith("bias") else 1.0))
        elif id(parameter) in tables:
            _fill(parameter, _std_of_tables(config) * torch.randn(parameter.shape, generator=generator))
        else:
            _fill(parameter, _matrix(parameter, config, name, id(parameter) in ends, generator))


def _matrix(
    parameter: Tensor, config: StackConfig, name: str, ends_branch: bool, generator: torch.Generator
) -> Tensor:
    """The start of a matrix that multiplies."""
    scheme, depth = config.init, (2 * config.n_layers) ** 0.5 if ends_branch else 1.0
    is_head, fan_in = name.startswith("head"), parameter.size(1)
    if isinstance(scheme, ScaledNormalInit):
        return torch.randn(parameter.shape, generator=generator) * scheme.std / depth
    if isinstance(scheme, MaximalUpdateInit):
        std = 0.0 if is_head else scheme.std * (scheme.base_d_model / fan_in) ** 0.5 / depth
        return torch.randn(parameter.shape, generator=generator) * std
    if ends_branch or is_head:
        return torch.zeros(parameter.shape)
    bound = scheme.gain * (3 / fan_in) ** 0.5
    return (torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound


def _std_of_tables(config: StackConfig) -> float:
    """The standard deviation that tables start with."""
    scheme = config.init
    return scheme.std if isinstance(scheme, ScaledNormalInit | MaximalUpdateInit) else scheme.embedding_std


def _branch_ends(model: nn.Module) -> set[int]:
    """The identities of the matrices that write into the residual stream."""
    attention = {id(m.out.weight) for m in model.modules() if isinstance(m, Attention)}
    return attention | {id(m.down.weight) for m in model.modules() if isinstance(m, FeedForward)}


def _fixed_starts(model: nn.Module) -> dict[int, Tensor]:
    """The parameters, by identity, that always start from the same values of their own."""
    fixed: dict[int, Tensor] = {}
    for module in model.modules():
        if isinstance(module, UnitOffsetRMSNorm):
            fixed[id(module.weight)] = torch.zeros(module.weight.shape)
        elif isinstance(module, ValueEmbedding):
            fixed[id(module.gate.weight)] = torch.zeros(module.gate.weight.shape)
        elif isinstance(module, StreamMix):
            fixed[id(module.weights)] = torch.tensor(module.start)
    return fixed


@torch.no_grad()
def _fill(parameter: Tensor, values: Tensor) -> None:
    parameter.copy_(values)
