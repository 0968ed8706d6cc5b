"""Counting: parameters, and the arithmetic of one token, read off the model itself.

The model is built on the meta device, which has shapes and no numbers, so that counting a billion
parameters costs nothing and no second formula can drift from the code.
"""

from __future__ import annotations

import torch
from torch import nn

from hornbook.model.attention import Attention
from hornbook.model.encoders import Classifier, Encoder, MaskedLM
from hornbook.model.mixture import Mixture
from hornbook.model.part_config import FixedConfig, SparseConfig, StridedConfig
from hornbook.model.permutation import PermutationLM
from hornbook.model.relative_attention import RelativeAttention
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel, build_model
from hornbook.model.stack import Stack


def on_meta(config: AnyConfig) -> AnyModel:
    """Build a model without memory for its weights."""
    with torch.device("meta"):
        return build_model(config)


def count_parameters(model: nn.Module) -> int:
    """How many numbers a model learns; a shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def matrix_parameters(model: nn.Module) -> int:
    """How many parameters multiply one token, the head's included (a look-up is no product).

    Of a mixture's experts these are the chosen ones, not all that are learned; of an encoder-decoder those
    that multiply a token of the source, and those that multiply one of the target. What multiplies distances
    does so once for all tokens.
    """
    every = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    idle = sum(matrix_parameters(m.experts[0]) * (len(m.experts) - m.n_chosen) for m in mixtures(model))
    distances = sum(m.distance.weight.numel() for m in model.modules() if isinstance(m, RelativeAttention))
    return every - idle - distances


def training_flops_per_token(model: nn.Module, seq_len: int) -> int:
    """Floating-point operations to learn from one token: those to read it, and twice as many backward."""
    return 3 * flops_per_token(model, seq_len)


def flops_per_token(model: nn.Module, seq_len: int) -> int:
    """Floating-point operations to read one token of a row, the average of the row.

    2 for each matrix parameter, and for attention 4 * seen for each number of query width in a layer
    (Chowdhery et al. 2022, appendix B), where `seen` is how many keys a query sees: of a causal model half of
    seq_len, of another all of it, at most its window (on both sides) or what its sparse pattern shows on
    average. A kernel that hides scores after computing them does more.

    Of an encoder-decoder this is a token of the source and one of the target together, in rows of seq_len
    both; of a model of permutations a token in both streams. What is done once for a row, to
    put it into a class, is shared by the row's tokens.
    """
    once = 0
    if isinstance(model, Classifier):
        once = matrix_parameters(model.head) + matrix_parameters(model.pooler)
    if isinstance(model, MaskedLM) and model.pairs is not None:
        once = matrix_parameters(model.pairs)
    scores = sum(_score_flops(stack, seq_len) for stack in model.modules() if isinstance(stack, Stack))
    flops = 2 * (matrix_parameters(model) - once) + int(scores) + 2 * once // max(seq_len, 1)
    if isinstance(model, PermutationLM):
        # The second stream asks, and has no keys and values of its own.
        own = sum(matrix_parameters(b) - _of_keys(b.attention.layer) for b in model.layers)
        flops += 2 * own + int(scores)
    return flops


def _score_flops(stack: Stack, seq_len: int) -> float:
    """What a stack's attention does for one token beside its projections."""
    both_ways = isinstance(stack, Encoder) and not stack.sees.causal
    products = 0.0
    for block in stack.layers:
        attention = block.attention.layer
        width = attention.q.out_features
        products += 4 * _seen(attention, seq_len, both_ways) * width
        if isinstance(attention, RelativeAttention):
            # Twice as many distances as keys, before a query and after it.
            products += 4 * seq_len * width
        if block.cross_attention is not None:
            products += 4 * seq_len * block.cross_attention.layer.q.out_features
    return products


def _seen(attention: Attention, seq_len: int, both_ways: bool) -> float:
    """How many keys a query sees, on average."""
    limits = [seq_len if both_ways else seq_len / 2]
    if attention.window is not None:
        limits.append(2 * attention.window - 1 if both_ways else attention.window)
    if attention.sparse is not None:
        limits.append(keys_seen(attention.sparse, seq_len, both_ways) / max(seq_len, 1))
    return float(min(limits))


def keys_seen(sparse: SparseConfig, seq_len: int, both_ways: bool = False) -> int:
    """How many pairs of query and key a sparse pattern shows in a sequence, the diagonal included."""
    query = torch.arange(seq_len, device="cpu")
    if isinstance(sparse, FixedConfig):
        before, within = query // sparse.block, query % sparse.block + 1
        pairs = int((within + before * sparse.n_summary).sum())
        if not both_ways:
            return pairs
        # Ahead are the rest of the own block, and the last positions of every later one.
        rest = torch.clamp(seq_len - before * sparse.block, max=sparse.block) - within
        n_blocks, left = divmod(seq_len, sparse.block)
        later = sparse.n_summary * torch.clamp(n_blocks - before - 1, min=0)
        last = max(0, left - (sparse.block - sparse.n_summary)) * (before < n_blocks)
        return pairs + int((rest + later + last).sum())
    if isinstance(sparse, StridedConfig):
        pairs = int((torch.clamp(query + 1, max=sparse.stride) + query // sparse.stride).sum())
    else:
        near = query % sparse.block + 1 + sparse.block * torch.clamp(query // sparse.block, max=1)
        pairs = int((near + torch.clamp(query + 1 - near, max=sparse.n_global)).sum())
    # These patterns are the same ahead as back.
    return 2 * pairs - seq_len if both_ways else pairs


def mixtures(module: nn.Module) -> list[Mixture]:
    """The mixtures of experts in a module."""
    return [m for m in module.modules() if isinstance(m, Mixture)]


def _of_keys(attention: Attention) -> int:
    """The matrix parameters that make keys and values, and not queries."""
    gate = 0 if attention.value_embedding is None else matrix_parameters(attention.value_embedding)
    return attention.k.weight.numel() + attention.v.weight.numel() + gate
