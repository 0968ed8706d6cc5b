"""Counting: parameters by part, and the arithmetic of one token, read off the model itself.

The model is built on the meta device, which has shapes and no numbers, so that counting a billion
parameters costs nothing and no second formula can drift from the code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch
from torch import nn

from hornbook.model.block import Block
from hornbook.model.config import ModelConfig
from hornbook.model.mixture import Mixture
from hornbook.model.models import CausalLM
from hornbook.model.part_config import FixedConfig, SparseConfig, StridedConfig


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
    """How many parameters multiply one token, the head's included (a look-up is no product).

    Of a mixture's experts these are the chosen ones, not all that are learned.
    """
    idle = sum(_matrices(m.experts[0]) * (len(m.experts) - m.n_chosen) for m in _mixtures(model))
    return _matrices(model) - idle


def training_flops_per_token(model: CausalLM, seq_len: int) -> int:
    """Floating-point operations to learn from one token: forward and backward.

    6 for each matrix parameter (two forward, four backward), and for attention 12 * seen for each number of
    query width in a layer (Chowdhery et al. 2022, appendix B), where `seen` is how many keys a query sees:
    half of seq_len for a causal model, at most its window or what its sparse pattern shows on average. A
    kernel that hides scores after computing them does more.
    """
    products = 0
    for block in model.layers:
        products += int(12 * _seen(block, seq_len) * block.attention.layer.q.weight.size(0))
    return 6 * matrix_parameters(model) + products


def _seen(block: Block, seq_len: int) -> float:
    """How many keys a query of a causal block sees, on average."""
    limits = [seq_len / 2]
    attention = block.attention.layer
    if attention.window is not None:
        limits.append(attention.window)
    if attention.sparse is not None:
        limits.append(keys_seen(attention.sparse, seq_len) / max(seq_len, 1))
    return float(min(limits))


def keys_seen(sparse: SparseConfig, seq_len: int) -> int:
    """How many pairs of query and key a sparse pattern shows in a causal sequence, the diagonal included."""
    query = torch.arange(seq_len, device="cpu")
    if isinstance(sparse, StridedConfig):
        return int((torch.clamp(query + 1, max=sparse.stride) + query // sparse.stride).sum())
    before, within = query // sparse.block, query % sparse.block + 1
    if isinstance(sparse, FixedConfig):
        return int((within + before * sparse.n_summary).sum())
    near = within + sparse.block * torch.clamp(before, max=1)
    return int((near + torch.clamp(query + 1 - near, max=sparse.n_global)).sum())


def _matrices(module: nn.Module) -> int:
    """Numbers in the matrices of a module's projections."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


def _mixtures(module: nn.Module) -> list[Mixture]:
    return [m for m in module.modules() if isinstance(m, Mixture)]


def parts(config: ModelConfig) -> list[Part]:
    """The model as a drawing: its parts from the input to the output, with shapes and counts."""
    model = on_meta(config)
    drawn = [_part("embedding", model.embedding, "each token id picks its row")]
    kinds = min(len(config.pattern), config.n_layers)
    for i in range(kinds):
        block, repeat = model.layers[i], len(range(i, config.n_layers, kinds))
        which = "" if kinds == 1 else f" {i + 1} of {kinds}"
        drawn.append(_part(f"attention{which}", block.attention, "looks back at the text so far", repeat))
        drawn.append(_part(f"feed-forward{which}", block.feed_forward, _thinking(block), repeat))
        if block.parallel and count_parameters(block.norm):
            drawn.append(_part(f"norm{which}", block.norm, "brings the input of both to one scale", repeat))
    drawn.append(_part("final norm", model.final_norm, "brings all numbers to one scale"))
    head = _part("head", model.head, "scores every token that could come next")
    tied = replace(head, parameters=0, note="scores every token, with the embedding's own matrix")
    drawn.append(tied if config.head.tied else head)
    return drawn


def _thinking(block: Block) -> str:
    """What a block's feed-forward part does."""
    for mixture in _mixtures(block):
        return f"thinks at each position, with {mixture.n_chosen} of {len(mixture.experts)} experts"
    return "thinks at each position"


def _part(name: str, module: nn.Module, note: str, repeat: int = 1) -> Part:
    """Measure one module; the words of its matrices' names that say nothing are left out.

    Experts are alike, so that the first one's matrices are drawn for all.
    """
    labels: dict[str, list[str]] = {}
    silent = ("weight", "layer", "tokens")
    for path, parameter in module.named_parameters():
        if parameter.ndim == 2 and re.search(r"experts\.[1-9]", path) is None:
            words = path.replace("experts.0", "expert").split(".")
            label = " ".join(word for word in words if word not in silent)
            labels.setdefault(" x ".join(map(str, parameter.shape)), []).append(label)
    shapes = [f"{', '.join(own)} {shape}".strip() for shape, own in labels.items()]
    return Part(name, "; ".join(shapes), repeat * count_parameters(module), note, repeat)
