"""From a configuration to optimizers: which weight is updated by which rule, read off the model's types.

    optimizer = Optimizer(model, config.train.optimizer, precision)
    optimizer.groups()                   # role, rule, weights, rate and decay of each group
    optimizer.step(share)                # update all weights with a share of the peak rates

Everything that training remembers beside the weights is in its hands: the optimizers' means and squares, the
moving average of the weights and the scale of the loss, where there are such. It is put away and taken back
as one dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.model.block import Block
from hornbook.train.average import AVERAGE, Average
from hornbook.train.config import AdamWConfig, AverageConfig, MuonConfig, OptimizerConfig
from hornbook.train.loss_scale import LossScale
from hornbook.train.muon import Muon


@dataclass(frozen=True)
class Group:
    """Weights that are updated alike."""

    role: str
    """What they are in the model: embeddings, matrices, head or vectors."""
    rule: str
    """adamw or muon."""
    tensors: int
    parameters: int
    learning_rate: float
    """At its peak."""
    weight_decay: float


class Optimizer:
    """The optimizers of one run under one roof: step, scale the rates, give and take state."""

    def __init__(
        self,
        model: nn.Module,
        config: OptimizerConfig,
        precision: torch.dtype,
        average: AverageConfig | None = None,
    ) -> None:
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        roles = parameters_by_role(model)
        self.parts: list[torch.optim.Optimizer] = []
        if isinstance(config, AdamWConfig):
            rules = dict.fromkeys(roles, config)
        else:
            rules = {"embeddings": config.embeddings, "head": config.rest, "vectors": config.rest}
            if roles["matrices"]:
                self.parts = [_muon(roles["matrices"], config, precision)]
        groups = [_group(role, roles[role], rule) for role, rule in rules.items() if roles[role]]
        # One parameter at least is left to AdamW: no model is without embeddings.
        self.parts.append(torch.optim.AdamW(groups, fused=True))
        self.peaks = [group["lr"] for group in self._groups()]
        self.average = None if average is None else Average(model, average.decay)
        self.loss_scale = LossScale(precision)

    def groups(self) -> list[Group]:
        """What is updated how, in the order in which it is updated."""
        return [
            Group(
                group["role"],
                type(part).__name__.lower(),
                len(group["params"]),
                sum(parameter.numel() for parameter in group["params"]),
                peak,
                group["weight_decay"],
            )
            for (part, group), peak in zip(self._owned_groups(), self.peaks, strict=True)
        ]

    def step(self, share: float) -> None:
        """Update all weights with `share` of the peak learning rates, and drop the gradients."""
        for group, peak in zip(self._groups(), self.peaks, strict=True):
            group["lr"] = peak * share
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()

    def averaged(self) -> AbstractContextManager[None]:
        """Let the model have its averaged weights for a while, where there are any."""
        return nullcontext() if self.average is None else self.average.in_place()

    def state(self) -> dict[str, Tensor]:
        """Every number that is remembered, by `weight name/quantity`; `/quantity` is of the whole model."""
        found = self.loss_scale.state()
        for part in self.parts:
            for parameter, quantities in part.state.items():
                for quantity, value in quantities.items():
                    found[f"{self.names[parameter]}/{quantity}"] = value
        return found | ({} if self.average is None else self.average.state())

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.loss_scale.load(state)
        if self.average is not None:
            self.average.load(state)
        owners = {
            self.names[p]: (part, p) for part in self.parts for g in part.param_groups for p in g["params"]
        }
        for key, value in state.items():
            name, quantity = key.rsplit("/", 1)
            if not name or quantity == AVERAGE:
                continue
            part, parameter = owners[name]
            # The step counter too: the fused AdamW reads it where it computes.
            part.state[parameter][quantity] = value.to(parameter.device, copy=True)

    def _groups(self) -> Iterator[dict[str, Any]]:
        return (group for _, group in self._owned_groups())

    def _owned_groups(self) -> Iterator[tuple[torch.optim.Optimizer, dict[str, Any]]]:
        for part in self.parts:
            for group in part.param_groups:
                yield part, group


def parameters_by_role(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Sort the weights: `embeddings` (tables), `matrices` inside blocks, the `head` matrix, `vectors`."""
    embeddings = _matrices_of(model, nn.Embedding)
    tables = {id(p) for p in embeddings}
    matrices = [p for p in _matrices_of(model, Block) if id(p) not in tables]
    sorted_already = {id(p) for p in embeddings + matrices}
    rest = [p for p in model.parameters() if id(p) not in sorted_already]
    return {
        "embeddings": embeddings,
        "matrices": matrices,
        "head": [p for p in rest if p.ndim == 2],
        "vectors": [p for p in rest if p.ndim == 1],
    }


def _matrices_of(model: nn.Module, *kinds: type[nn.Module]) -> list[nn.Parameter]:
    """The matrices of all modules of some kinds; one that several share stands once."""
    found = [p for m in model.modules() if isinstance(m, kinds) for p in m.parameters() if p.ndim == 2]
    return list(dict.fromkeys(found))


def _group(role: str, parameters: list[nn.Parameter], config: AdamWConfig) -> dict[str, Any]:
    """What AdamW is told of the weights of a role; gains and biases do not decay."""
    return {
        "role": role,
        "params": parameters,
        "lr": config.learning_rate,
        "betas": config.betas,
        "eps": config.eps,
        "weight_decay": 0.0 if role == "vectors" else config.weight_decay,
    }


def _muon(matrices: list[nn.Parameter], config: MuonConfig, precision: torch.dtype) -> Muon:
    muon = Muon(
        matrices,
        lr=config.learning_rate,
        momentum=config.momentum,
        steps=config.newton_schulz_steps,
        weight_decay=config.weight_decay,
        dtype=precision,
    )
    muon.param_groups[0]["role"] = "matrices"
    return muon
