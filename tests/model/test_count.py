"""Counts are those of the real model, and the arithmetic is what PyTorch counts."""

from __future__ import annotations

import pytest
from model.small_models import CONFIGS, scrambled, some_tokens
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, matrix_parameters, on_meta, parts, training_flops_per_token
from hornbook.model.models import CausalLM
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


@pytest.mark.parametrize("name", ["rotary", "grouped", "one shared head", "learned positions"])
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
