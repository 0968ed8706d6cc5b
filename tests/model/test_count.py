"""Counts are those of the real model, and the arithmetic is what PyTorch counts."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, scrambled, some_tokens
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from hornbook.model.config import ModelConfig
from hornbook.model.count import (
    count_parameters,
    keys_seen,
    matrix_parameters,
    on_meta,
    parts,
    training_flops_per_token,
)
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.part_config import BlockLocalConfig, FixedConfig, SparseConfig, StridedConfig
from hornbook.recipes.shapes import resolve

every_config = pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))


@every_config
def test_a_model_without_memory_counts_like_a_real_one(config: ModelConfig) -> None:
    real, meta = CausalLM(config, seed=0), on_meta(config)
    assert all(parameter.is_meta for parameter in meta.parameters())
    assert count_parameters(meta) == count_parameters(real)
    assert matrix_parameters(meta) == matrix_parameters(real)
    assert count_parameters(real) == sum({id(p): p.numel() for p in real.parameters()}.values())


@every_config
def test_the_drawing_has_every_parameter_once(config: ModelConfig) -> None:
    assert sum(part.parameters for part in parts(config)) == count_parameters(on_meta(config))


def test_matrices_of_one_shape_are_drawn_under_one_head() -> None:
    """Width 64 of size 1 has one head, so that all four attention matrices are square."""
    attention, feed_forward = parts(resolve("quickstart", ["size=1"]).model)[1:3]
    assert attention.shape == "q, k, v, out 64 x 64"
    assert feed_forward.shape == "up, gate 192 x 64; down 64 x 192"


def test_a_model_counted_by_hand() -> None:
    """Width 16, 31 tokens, two layers of 4 x 16 x 16 and 3 x 16 x 24, two norms each, one at the end."""
    layer = 4 * 16 * 16 + 3 * 16 * 24 + 2 * 16
    assert count_parameters(on_meta(CONFIGS["rotary"])) == 31 * 16 + 2 * layer + 16 + 16 * 31


COUNTED = ["rotary", "grouped", "one shared head", "learned positions", "experts", "experts, one shared"]


@pytest.mark.parametrize("name", COUNTED)
def test_flops_are_what_pytorch_counts(name: str) -> None:
    """Equal to the last operation, once the half of attention that causality spares is added back.

    PyTorch's counter takes the plain kernel, which computes the whole square of scores and masks half of
    it away; our figure leaves that half out, as a causal kernel does.
    """
    model, tokens = scrambled(CONFIGS[name]), some_tokens(3, 12)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        logits = model(tokens)
        cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
    widths = sum(layer.attention.layer.q.out_features for layer in model.blocks)
    spared = 6 * tokens.size(1) * widths
    assert counter.get_total_flops() == tokens.numel() * (training_flops_per_token(model, 12) + spared)
    assert training_flops_per_token(on_meta(CONFIGS[name]), 12) == training_flops_per_token(model, 12)


def test_flops_grow_with_the_length_of_the_text() -> None:
    model = on_meta(CONFIGS["rotary"])
    assert training_flops_per_token(model, 0) == 6 * matrix_parameters(model)


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
@pytest.mark.parametrize("seq_len", [0, 1, 4, 23])
def test_keys_seen_are_those_of_the_mask(sparse: SparseConfig, seq_len: int) -> None:
    dense = Mask(sparse=sparse).dense(seq_len, seq_len, torch.device("cpu"))
    assert keys_seen(sparse, seq_len) == dense.sum()


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


def test_experts_are_drawn_once() -> None:
    drawn = parts(CONFIGS["experts, one shared"])[2]
    assert drawn.shape == (
        "router 3 x 16; expert up, shared up, shared gate 12 x 16; expert down, shared down 16 x 12; "
        "shared_gate 1 x 16"
    )
    assert drawn.note == "thinks at each position, with 1 of 3 experts"
