"""Weights come from their seed alone, by the scheme that the config names."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, block, model_config

from hornbook.model.config import (
    HeadConfig,
    MaximalUpdateInit,
    ModelConfig,
    ScaledNormalInit,
    StreamMixConfig,
    ZeroOutputInit,
)
from hornbook.model.models import CausalLM
from hornbook.model.part_config import (
    FeedForwardConfig,
    MixtureConfig,
    SharedExpertConfig,
    ValueEmbeddingConfig,
)

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


def test_maximal_update_keeps_what_leaves_a_matrix_as_large_at_every_width() -> None:
    """At the base width it is the scaled normal start; a matrix four times as wide has half the spread."""
    spreads, sizes = [], []
    for width in (64, 256):
        init = MaximalUpdateInit(base_d_model=64, std=0.1)
        config = model_config(
            block({"n_heads": 4}, feed_forward=FeedForwardConfig(d_ff=4 * width)),
            d_model=width,
            vocab_size=300,
            init=init,
        )
        model = CausalLM(config, seed=0)
        layer = model.blocks[0]
        spreads.append(layer.attention.layer.q.weight.std().item())
        x = torch.randn(500, width, generator=torch.Generator().manual_seed(0))
        sizes.append(layer.attention.layer.q(x).std().item())
        ends = layer.feed_forward.layer.down.weight.std().item()
        assert ends == pytest.approx(0.1 * (64 / (4 * width)) ** 0.5 / 4**0.5, rel=0.03)
        assert model.embedding.tokens.weight.std().item() == pytest.approx(0.1, rel=0.03)
        assert not model.head.weight.any()
    assert spreads == [pytest.approx(0.1, rel=0.03), pytest.approx(0.05, rel=0.03)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_tied_head_starts_as_the_embedding_by_every_scheme() -> None:
    for init in (ScaledNormalInit(), ZeroOutputInit(), MaximalUpdateInit(base_d_model=64)):
        model = CausalLM(WIDE.model_copy(update={"init": init, "head": HeadConfig(tied=True)}), seed=0)
        assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.03)


@pytest.mark.parametrize("init", [ScaledNormalInit(), ZeroOutputInit(), MaximalUpdateInit(base_d_model=64)])
def test_shortcuts_start_as_their_configuration_says(init: ScaledNormalInit) -> None:
    shortcuts = block(
        {"value_embedding": ValueEmbeddingConfig()}, stream_mix=StreamMixConfig(stream=0.75, embeddings=0.25)
    )
    first = CausalLM(WIDE.model_copy(update={"pattern": (shortcuts,), "init": init}), seed=0).blocks[0]
    assert first.stream_mix.weights.tolist() == [0.75, 0.25]
    extra = first.attention.layer.value_embedding
    assert not extra.gate.weight.any()
    assert extra.table.weight.std().item() == pytest.approx(0.02, rel=0.03)
