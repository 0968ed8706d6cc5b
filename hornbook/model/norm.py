"""Normalisation layers, and the identity that stands in an empty norm slot."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from hornbook.model.part_config import LayerNormConfig, NormConfig, RMSNormConfig, UnitOffsetRMSNormConfig
from hornbook.model.root_mean_square import scaled


class LayerNorm(nn.Module):
    """gain * (x - mean) / sqrt(variance + eps) + bias, over the last dimension (Ba et al. 2016)."""

    def __init__(self, config: LayerNormConfig, width: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if config.bias else None

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.layer_norm(x, x.shape[-1:], self.weight.to(x.dtype), bias, self.eps)


class RMSNorm(nn.Module):
    """gain * x / sqrt(mean(x^2) + eps), over the last dimension (Zhang and Sennrich 2019, equation 4)."""

    def __init__(self, config: RMSNormConfig, width: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        return scaled(x, self.weight.to(x.dtype), self.eps)


class UnitOffsetRMSNorm(nn.Module):
    """(1 + weight) * x / sqrt(mean(x^2) + eps), over the last dimension, in float32."""

    def __init__(self, config: UnitOffsetRMSNormConfig, width: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        gain = 1 + self.weight.float()
        return scaled(x.float(), gain, self.eps).to(x.dtype)


def build_norm(config: NormConfig | None, width: int) -> nn.Module:
    """Return the configured norm over `width` numbers, or the identity for an empty slot."""
    if config is None:
        return nn.Identity()
    if isinstance(config, LayerNormConfig):
        return LayerNorm(config, width)
    if isinstance(config, UnitOffsetRMSNormConfig):
        return UnitOffsetRMSNorm(config, width)
    return RMSNorm(config, width)
