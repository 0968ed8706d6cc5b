"""From a configuration to optimizers: which weight is updated by which rule, read off the model's types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.model.block import Block
from hornbook.train.config import AdamWConfig, OptimizerConfig
from hornbook.train.muon import Muon


class Optimizer:
    """The optimizers of one run under one roof: step, scale the rates, give and take state."""

    def __init__(self, model: nn.Module, config: OptimizerConfig, dtype: torch.dtype) -> None:
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        roles = parameters_by_role(model)
        embeddings, matrices, head, vectors = (
            roles[role] for role in ("embeddings", "matrices", "head", "vectors")
        )
        self.parts: list[torch.optim.Optimizer]
        if isinstance(config, AdamWConfig):
            groups = [_group(embeddings + matrices + head, config), _group(vectors, config, decay=False)]
            self.parts = [_adamw(groups)]
        else:
            rest = [_group(head, config.rest), _group(vectors, config.rest, decay=False)]
            muon = Muon(
                matrices,
                lr=config.learning_rate,
                momentum=config.momentum,
                steps=config.newton_schulz_steps,
                weight_decay=config.weight_decay,
                dtype=dtype,
            )
            self.parts = [muon, _adamw([_group(embeddings, config.embeddings), *rest])]
        self.peaks = [group["lr"] for group in self._groups()]

    def step(self, share: float) -> None:
        """Update all weights with `share` of the peak learning rates, and drop the gradients."""
        for group, peak in zip(self._groups(), self.peaks, strict=True):
            group["lr"] = peak * share
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every number the optimizers remember, by `weight name/quantity`."""
        found = {}
        for part in self.parts:
            for parameter, quantities in part.state.items():
                for quantity, value in quantities.items():
                    found[f"{self.names[parameter]}/{quantity}"] = value
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        owners = {
            self.names[p]: (part, p) for part in self.parts for g in part.param_groups for p in g["params"]
        }
        for key, value in state.items():
            name, quantity = key.rsplit("/", 1)
            part, parameter = owners[name]
            # The step counter too: the fused AdamW reads it where it computes.
            part.state[parameter][quantity] = value.to(parameter.device, copy=True)

    def _groups(self) -> Iterator[dict[str, Any]]:
        for part in self.parts:
            yield from part.param_groups


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


def _group(parameters: list[nn.Parameter], config: AdamWConfig, decay: bool = True) -> dict[str, Any]:
    return {
        "params": parameters,
        "lr": config.learning_rate,
        "betas": config.betas,
        "eps": config.eps,
        "weight_decay": config.weight_decay if decay else 0.0,
    }


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)
