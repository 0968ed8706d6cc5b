"""Weights come from their seed alone, by the scheme that the config names."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, block, model_config

from hornbook.model.config import ModelConfig, ScaledNormalInit, ZeroOutputInit
from hornbook.model.models import CausalLM
from hornbook.model.part_config import FeedForwardConfig, MixtureConfig, SharedExpertConfig

WIDE = model_config(block(feed_forward=FeedForwardConfig(d_ff=256)), d_model=128, vocab_size=300, n_layers=4)


EXPERTS = MixtureConfig(
    expert=FeedForwardConfig(d_ff=256),
    n_experts=4,
    n_chosen=2,
    shared=SharedExpertConfig(expert=FeedForwardConfig(d_ff=256), gate="sigmoid"),
)
MIXED = WIDE.model_copy(update={"pattern": (block(feed_forward=EXPERTS),)})


def same(one: CausalLM, other: CausalLM) -> bool:
    """Whether two models have equal parameters, bit for bit."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))
def test_the_same_seed_gives_the_same_weights_whatever_ran_before(config: ModelConfig) -> None:
    torch.manual_seed(1)
    first = CausalLM(config, seed=7)
    torch.manual_seed(2)
    torch.randn(5)
    assert same(first, CausalLM(config, seed=7))
    assert not same(first, CausalLM(config, seed=8))


def test_scaled_normal_shrinks_what_ends_a_branch() -> None:
    config = WIDE.model_copy(update={"init": ScaledNormalInit(std=0.02)})
    layer = CausalLM(config, seed=0).blocks[0]
    ends = 0.02 / (2 * config.n_layers) ** 0.5
    # The spread of n draws is known to about 1 / sqrt(2 n); these matrices have 16 thousand and more.
    assert layer.attention.layer.q.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert layer.feed_forward.layer.up.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert layer.attention.layer.out.weight.std().item() == pytest.approx(ends, rel=0.03)
    assert layer.feed_forward.layer.down.weight.std().item() == pytest.approx(ends, rel=0.03)


def test_zero_output_starts_as_its_own_embedding() -> None:
    config = WIDE.model_copy(update={"init": ZeroOutputInit(gain=0.5), "final_norm": None})
    model = CausalLM(config, seed=0)
    tokens = torch.arange(12)[None]
    assert torch.equal(model.features(tokens), model.embedding.tokens.weight[tokens])
    assert not model(tokens).any()
    spread = model.blocks[0].attention.layer.q.weight.std().item()
    assert spread == pytest.approx(0.5 / config.d_model**0.5, rel=0.03)


def test_experts_start_like_feed_forward_parts_of_their_own() -> None:
    config = MIXED.model_copy(update={"init": ScaledNormalInit(std=0.02)})
    mixture = CausalLM(config, seed=0).blocks[0].feed_forward.layer
    ends = 0.02 / (2 * config.n_layers) ** 0.5
    for expert in [*mixture.experts, mixture.shared]:
        assert expert.up.weight.std().item() == pytest.approx(0.02, rel=0.03)
        assert expert.down.weight.std().item() == pytest.approx(ends, rel=0.03)
    assert not torch.equal(mixture.experts[0].up.weight, mixture.experts[1].up.weight)
    # 512 and 128 draws
    assert mixture.router.weight.std().item() == pytest.approx(0.02, rel=0.15)
    assert mixture.shared_gate.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_experts_add_nothing_where_outputs_start_at_zero() -> None:
    config = MIXED.model_copy(update={"init": ZeroOutputInit(gain=0.5), "final_norm": None})
    model = CausalLM(config, seed=0)
    tokens = torch.arange(12)[None]
    assert torch.equal(model.features(tokens), model.embedding.tokens.weight[tokens])
    router = model.blocks[0].feed_forward.layer.router.weight
    assert router.std().item() == pytest.approx(0.5 / config.d_model**0.5, rel=0.15)


def test_gains_start_at_one_and_biases_at_zero() -> None:
    for name, parameter in CausalLM(CONFIGS["learned positions"], seed=0).named_parameters():
        if parameter.ndim == 1:
            assert (parameter == float("norm" in name and name.endswith("weight"))).all(), name
