"""Counts are those of the real model, and the arithmetic is what PyTorch counts."""

from __future__ import annotations

import pytest
import torch
from model.every_config import EVERY
from model.small_encoders import scrambled
from model.small_models import CONFIGS, some_tokens
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hornbook.model.count import (
    count_parameters,
    flops_per_token,
    keys_seen,
    matrix_parameters,
    on_meta,
    training_flops_per_token,
)
from hornbook.model.encoders import Classifier, Encoder
from hornbook.model.mask import Mask
from hornbook.model.part_config import BlockLocalConfig, FixedConfig, SparseConfig, StridedConfig
from hornbook.model.permutation import PermutationLM
from hornbook.model.relative_attention import RelativeAttention
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import build_model
from hornbook.model.stack import Stack

every_config = pytest.mark.parametrize("config", list(EVERY.values()), ids=list(EVERY))


@every_config
def test_a_model_without_memory_counts_like_a_real_one(config: AnyConfig) -> None:
    real, meta = build_model(config, seed=0), on_meta(config)
    assert all(parameter.is_meta for parameter in meta.parameters())
    assert count_parameters(meta) == count_parameters(real)
    assert matrix_parameters(meta) == matrix_parameters(real)
    assert count_parameters(real) == sum({id(p): p.numel() for p in real.parameters()}.values())


def test_a_model_counted_by_hand() -> None:
    """Width 16, 31 tokens, two layers of 4 x 16 x 16 and 3 x 16 x 24, two norms each, one at the end."""
    layer = 4 * 16 * 16 + 3 * 16 * 24 + 2 * 16
    assert count_parameters(on_meta(CONFIGS["rotary"])) == 31 * 16 + 2 * layer + 16 + 16 * 31


SPARSE = [name for name, config in EVERY.items() if "sparse=" in repr(config).replace("sparse=None", "")]
COUNTED = [name for name in EVERY if name not in SPARSE]


@pytest.mark.parametrize("name", COUNTED)
def test_flops_are_what_pytorch_counts(name: str) -> None:
    """Equal to the last operation, once what the plain kernel computes in vain is added back.

    PyTorch's counter takes the plain kernel, which computes the whole square of scores and masks half of
    it away where a model is causal, or all outside a window; our figure leaves that out.
    """
    model, tokens = scrambled(build_model(EVERY[name])), some_tokens(3, 12, vocab_size=23)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        learn(model, tokens)
    expected = tokens.numel() * (training_flops_per_token(model, 12) + spared(model, 12))
    expected += once_for_all_rows(model, 12) + 3 * rounded_off(model, 12)
    assert counter.get_total_flops() == expected
    assert training_flops_per_token(on_meta(EVERY[name]), 12) == training_flops_per_token(model, 12)


def learn(model: nn.Module, tokens: Tensor) -> None:
    """A forward and a backward pass of any shape."""
    if isinstance(model, Seq2SeqLM):
        logits = model(tokens, tokens)
    elif isinstance(model, PermutationLM):
        logits = model(tokens, order=torch.arange(12).expand(3, 12))
    else:
        logits = model(tokens)
    logits.float().square().sum().backward()


def spared(model: nn.Module, seq_len: int) -> int:
    """Operations of the plain kernel on scores that are hidden, for one token: there, and twice back."""
    causal = model.decoder if isinstance(model, Seq2SeqLM) else model
    assert isinstance(causal, Stack)
    layers = [block.attention.layer for block in causal.layers]
    if isinstance(causal, Encoder) and not causal.sees.causal:
        seen = [min(seq_len, 2 * (layer.window or seq_len) - 1) for layer in layers]
    else:
        seen = [min(seq_len / 2, layer.window or seq_len) for layer in layers]
    return int(sum(12 * (seq_len - n) * layer.q.out_features for n, layer in zip(seen, layers, strict=True)))


def once_for_all_rows(model: nn.Module, seq_len: int) -> int:
    """Operations on the vectors of distances, which a token's figure leaves out: there and back.

    There are twice as many as tokens, in each stream. Backward there is one product, for the weights, since
    the vectors themselves do not learn.
    """
    layers = [m for m in model.modules() if isinstance(m, RelativeAttention)]
    streams = 2 if isinstance(model, PermutationLM) else 1
    return sum(2 * 2 * (2 * seq_len) * streams * layer.distance.weight.numel() for layer in layers)


def rounded_off(model: nn.Module, seq_len: int) -> int:
    """Operations that are lost where those for a row are shared by its tokens, for one row."""
    if not isinstance(model, Classifier):
        return 0
    once = 2 * (matrix_parameters(model.head) + matrix_parameters(model.pooler))
    return 3 * (once % seq_len)


def test_flops_grow_with_the_length_of_the_text() -> None:
    model = on_meta(CONFIGS["rotary"])
    assert flops_per_token(model, 0) == 2 * matrix_parameters(model)
    assert training_flops_per_token(model, 10) == 6 * matrix_parameters(model) + 2 * 12 * 5 * 16


def test_flops_of_an_encoder_decoder_by_hand() -> None:
    """Width 16: the source sees all of itself, and the target half of itself and all of the source."""
    model = on_meta(EVERY["encoder-decoder, as first published"])
    attention, feed_forward, seq_len = 4 * 16 * 16, 2 * 16 * 24, 10
    source = 2 * (attention + feed_forward) + 4 * seq_len * 16
    target = 2 * (2 * attention + feed_forward) + 4 * (seq_len / 2) * 16 + 4 * seq_len * 16
    assert flops_per_token(model, seq_len) == 2 * source + 2 * target + 2 * 31 * 16


@pytest.mark.parametrize(
    "sparse",
    [
        StridedConfig(stride=1),
        StridedConfig(stride=4),
        StridedConfig(stride=100),
        FixedConfig(block=4, n_summary=1),
        FixedConfig(block=5, n_summary=5),
        BlockLocalConfig(block=3),
        BlockLocalConfig(block=4, n_global=6),
        BlockLocalConfig(block=100, n_global=1),
    ],
)
@pytest.mark.parametrize("seq_len", [0, 1, 4, 20, 23])
@pytest.mark.parametrize("both_ways", [False, True])
def test_keys_seen_are_those_of_the_mask(sparse: SparseConfig, seq_len: int, both_ways: bool) -> None:
    dense = Mask(causal=not both_ways, sparse=sparse).dense(seq_len, seq_len, torch.device("cpu"))
    assert keys_seen(sparse, seq_len, both_ways) == dense.sum()


def test_a_sparse_pattern_spares_operations() -> None:
    """Two layers of width 16: 12 * 16 * 2 for each key that a query sees. The last row of eight sees four."""
    model = on_meta(CONFIGS["strided"])
    products = 6 * matrix_parameters(model)
    # 1 + 2 + 3 + 4 + 4 + 4 + 5 + 5 keys for eight queries at stride 3
    assert training_flops_per_token(model, 8) == products + 2 * int(12 * 16 * 28 / 8)
    assert training_flops_per_token(model, 2) == products + 2 * 12 * 16
    windowed = on_meta(CONFIGS["fixed, windowed"])
    assert training_flops_per_token(windowed, 1000) == 6 * matrix_parameters(windowed) + 2 * 12 * 16 * 7


def test_a_mixture_counts_all_experts_and_multiplies_by_the_chosen() -> None:
    """Width 16: a router of 4 rows and four experts of 3 x 12 x 16 in each of two layers, two at work."""
    dense, mixed = on_meta(CONFIGS["rotary"]), on_meta(CONFIGS["experts"])
    expert, router, usual = 3 * 12 * 16, 4 * 16, 3 * 24 * 16
    assert count_parameters(mixed) - count_parameters(dense) == 2 * (router + 4 * expert - usual)
    assert matrix_parameters(mixed) - matrix_parameters(dense) == 2 * (router + 2 * expert - usual)
