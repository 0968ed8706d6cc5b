"""Counting: parameters by part, and the arithmetic of one token, read off the model itself.

The model is built on the meta device, which has shapes and no numbers, so that counting a billion
parameters costs nothing and no second formula can drift from the code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from hornbook.model.config import ModelConfig
from hornbook.model.models import CausalLM


@dataclass(frozen=True)
class Part:
    """One line of a model's drawing."""

    name: str
    shape: str
    parameters: int
    note: str


def on_meta(config: ModelConfig) -> CausalLM:
    """Build a model without memory for its weights."""
    with torch.device("meta"):
        return CausalLM(config)


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model learns; a shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def matrix_parameters(model: CausalLM) -> int:
    """How many parameters take part in matrix products, the head included (a look-up is not one)."""
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))


def training_flops_per_token(model: CausalLM, seq_len: int) -> int:
    """Floating-point operations to learn from one token: forward and backward.

    6 for each matrix parameter (two forward, four backward), and attention's scores and sums: 12 * seq_len
    for each number of query width in a layer (Chowdhery et al. 2022, appendix B), halved by causality.
    """
    widths = sum(block.attention.layer.q.weight.size(0) for block in model.layers)
    return 6 * matrix_parameters(model) + 6 * seq_len * widths


def parts(config: ModelConfig) -> list[Part]:
    """The model as a drawing: its parts from the input to the output, with shapes and counts."""
    model = on_meta(config)
    drawn = [_part("embedding", model.embedding, "each token id picks its row")]
    kinds = min(len(config.pattern), config.n_layers)
    for i in range(kinds):
        repeats = len(range(i, config.n_layers, kinds))
        block = model.layers[i]
        times = f"x {repeats}" if repeats > 1 else "x 1"
        label = f"block {times}" if kinds == 1 else f"block {i + 1} of {kinds} {times}"
        drawn.append(_part(f"{label}: attention", block.attention, "looks back at the text so far", repeats))
        drawn.append(_part(f"{label}: feed-forward", block.feed_forward, "thinks at each position", repeats))
    drawn.append(_part("final norm", model.final_norm, "one scale for all"))
    note = (
        "shares the embedding's matrix" if config.head.tied else "a score for every token of the vocabulary"
    )
    head = _part("head", model.head, note)
    drawn.append(Part(head.name, head.shape, 0, note) if config.head.tied else head)
    return drawn


def _part(name: str, module: nn.Module, note: str, repeats: int = 1) -> Part:
    names = {"weight": "", "layer": "", "tokens": ""}
    shapes = []
    for path, parameter in module.named_parameters():
        if parameter.ndim == 2:
            label = " ".join(word for word in path.split(".") if word not in names)
            shapes.append(f"{label} {' x '.join(map(str, parameter.shape))}".strip())
    return Part(name, ", ".join(shapes), repeats * count_parameters(module), note)
