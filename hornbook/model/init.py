"""How weights start: by named schemes, in one fixed order, from one generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hornbook.base.randomness import stream_seed
from hornbook.model.attention import Attention
from hornbook.model.config import ScaledNormalInit, StackConfig
from hornbook.model.feed_forward import FeedForward
from hornbook.model.norm import UnitOffsetRMSNorm


def initialise(model: nn.Module, config: StackConfig, seed: int, *part: int) -> None:
    """Draw every matrix of a model anew; gains start at one and biases at zero.

    The same seed gives the same weights, whatever ran before. `part` is the number of a stack in a model of
    several.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, "init", *part))
    ends = _branch_ends(model)
    offsets = {id(m.weight) for m in model.modules() if isinstance(m, UnitOffsetRMSNorm)}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            at_zero = name.endswith("bias") or id(parameter) in offsets
            _fill(parameter, torch.full(parameter.shape, 0.0 if at_zero else 1.0))
            continue
        scheme = config.init
        if isinstance(scheme, ScaledNormalInit):
            depth = (2 * config.n_layers) ** 0.5 if id(parameter) in ends else 1.0
            _fill(parameter, torch.randn(parameter.shape, generator=generator) * scheme.std / depth)
        elif name.startswith(("embedding", "position_bias")):
            _fill(parameter, torch.randn(parameter.shape, generator=generator) * scheme.embedding_std)
        elif id(parameter) in ends or name.startswith("head"):
            _fill(parameter, torch.zeros(parameter.shape))
        else:
            bound = scheme.gain * (3 / parameter.size(1)) ** 0.5
            _fill(parameter, (torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)


def _branch_ends(model: nn.Module) -> set[int]:
    """The identities of the matrices that write into the residual stream."""
    attention = {id(m.out.weight) for m in model.modules() if isinstance(m, Attention)}
    return attention | {id(m.down.weight) for m in model.modules() if isinstance(m, FeedForward)}


@torch.no_grad()
def _fill(parameter: Tensor, values: Tensor) -> None:
    parameter.copy_(values)
