"""Counting: parameters by part, and the arithmetic of one token, read off the model itself.

The model is built on the meta device, which has shapes and no numbers, so that counting a billion
parameters costs nothing and no second formula can drift from the code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from hornbook.model.config import ModelConfig
from hornbook.model.models import CausalLM


@dataclass(frozen=True)
class Part:
    """One line of a model's drawing."""

    name: str
    shape: str
    """Shapes of its matrices, of one layer where it stands in several: `q, k 64 x 64; out 64 x 128`."""
    parameters: int
    """Numbers it learns, over all layers it stands in."""
    note: str
    """What it does."""
    repeat: int = 1
    """How many layers it stands in."""


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

    6 for each matrix parameter (two forward, four backward), and for attention 12 * seen for each number of
    query width in a layer (Chowdhery et al. 2022, appendix B), where `seen` is how many keys a query sees:
    half of seq_len for a causal model, at most its window.
    """
    products = 0
    for block in model.layers:
        seen = seq_len / 2 if block.window is None else min(seq_len / 2, block.window)
        products += int(12 * seen * block.attention.layer.q.weight.size(0))
    return 6 * matrix_parameters(model) + products


def parts(config: ModelConfig) -> list[Part]:
    """The model as a drawing: its parts from the input to the output, with shapes and counts."""
    model = on_meta(config)
    drawn = [_part("embedding", model.embedding, "each token id picks its row")]
    kinds = min(len(config.pattern), config.n_layers)
    for i in range(kinds):
        block, repeat = model.layers[i], len(range(i, config.n_layers, kinds))
        which = "" if kinds == 1 else f" {i + 1} of {kinds}"
        drawn.append(_part(f"attention{which}", block.attention, "looks back at the text so far", repeat))
        drawn.append(_part(f"feed-forward{which}", block.feed_forward, "thinks at each position", repeat))
        if block.parallel and count_parameters(block.norm):
            drawn.append(_part(f"norm{which}", block.norm, "brings the input of both to one scale", repeat))
    drawn.append(_part("final norm", model.final_norm, "brings all numbers to one scale"))
    head = _part("head", model.head, "scores every token that could come next")
    tied = replace(head, parameters=0, note="scores every token, with the embedding's own matrix")
    drawn.append(tied if config.head.tied else head)
    return drawn


def _part(name: str, module: nn.Module, note: str, repeat: int = 1) -> Part:
    """Measure one module; the words of its matrices' names that say nothing are left out."""
    labels: dict[str, list[str]] = {}
    for path, parameter in module.named_parameters():
        if parameter.ndim == 2:
            label = " ".join(word for word in path.split(".") if word not in ("weight", "layer", "tokens"))
            labels.setdefault(" x ".join(map(str, parameter.shape)), []).append(label)
    shapes = [f"{', '.join(own)} {shape}".strip() for shape, own in labels.items()]
    return Part(name, "; ".join(shapes), repeat * count_parameters(module), note, repeat)
