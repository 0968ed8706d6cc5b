"""Impossible models are refused before any work, with the numbers and the way out."""

from __future__ import annotations

from typing import Any

import pytest
from model.small_models import CONFIGS, EXPERT

from hornbook.base.config import override, parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.model.config import ModelConfig
from hornbook.model.models import CausalLM
from hornbook.model.part_config import MixtureConfig


@pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))
def test_a_config_survives_json(config: ModelConfig) -> None:
    assert parse(ModelConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["pattern.0.attention.n_heads=3"], ["n_heads 3 does not divide d_model 16", "set head_dim"]),
        (["pattern.0.attention.n_kv_heads=5"], ["n_kv_heads 5 does not divide n_heads 2"]),
        (["pattern.0.attention.head_dim=5"], ["head_dim 5 is odd"]),
        (["d_model=10"], ["even head width", "5"]),
        (["n_layers=0"], ["n_layers", "greater than 0"]),
        (["pattern.0.dropout=1.0"], ["dropout", "less than 1"]),
        (["pattern.0.attention.windw=3"], ["windw", "did you mean 'window'?"]),
        (["final_norm=rms"], ["final_norm", "rms", "layer_norm"]),
        (["pattern.0.feed_forward.activation=swish"], ["activation", "swish", "silu"]),
        (["n_layers=0", "vocab_size=-1"], ["n_layers", "vocab_size"]),
        (['pattern.0.attention.sparse={"kind": "strided", "stride": 0}'], ["stride", "greater than 0"]),
        (
            ['pattern.0.attention.sparse={"kind": "fixed", "block": 4, "n_summary": 5}'],
            ["n_summary 5 is more than a block of 4 holds"],
        ),
        (
            ['pattern.0.attention.sparse={"kind": "fixed", "block": 4, "n_summary": 0}'],
            ["n_summary", "greater than 0"],
        ),
        (
            ['pattern.0.attention.sparse={"kind": "block_local", "block": 4, "n_global": -1}'],
            ["n_global", "greater than or equal to 0"],
        ),
        (["pattern.0.attention.sparse=dilated"], ["sparse", "dilated", "strided"]),
        (["pattern.0.feed_forward=mixed"], ["feed_forward", "mixed", "did you mean 'mixture'?"]),
        (["pattern.0.feed_forward.n_chosen=2"], ["n_chosen", "is not in pattern.0.feed_forward"]),
    ],
)
def test_mistakes_are_named(assignments: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        override(CONFIGS["rotary"], assignments)
    assert [word for word in words if word not in str(caught.value)] == []


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match="pattern"):
        parse(ModelConfig, to_dict(CONFIGS["rotary"]) | {"pattern": []})


def test_the_pattern_repeats_over_the_layers() -> None:
    config = CONFIGS["local and global"]
    model = CausalLM(config)
    kinds: list[Any] = [block.attention.layer.window for block in model.blocks]
    assert kinds == [4, None, 4]


def with_feed_forward(part: Any) -> dict[str, Any]:
    """A model as plain data, with this as the feed-forward part of its blocks."""
    data = to_dict(CONFIGS["rotary"])
    data["pattern"][0]["feed_forward"] = part
    return data


def test_a_feed_forward_part_without_kind_is_the_dense_one() -> None:
    """As in every config that was saved before there were mixtures."""
    plain = {"d_ff": 24, "activation": "silu", "gated": True, "bias": False}
    assert parse(ModelConfig, with_feed_forward(plain)) == CONFIGS["rotary"]
    assert parse(ModelConfig, with_feed_forward(plain | {"kind": "dense"})) == CONFIGS["rotary"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"d_ff": 0}, ["pattern.0.feed_forward.d_ff", "greater than 0"]),
        ({"d_f": 24}, ["pattern.0.feed_forward.d_f'", "did you mean 'd_ff'?"]),
        ({"kind": "mixtur", "d_ff": 24}, ["pattern.0.feed_forward", "did you mean 'mixture'?"]),
        ({"kind": "mixture", "n_experts": 2, "n_chosen": 1}, ["pattern.0.feed_forward.expert is missing"]),
        ("swiglu", ["pattern.0.feed_forward must be", "dense", "not 'swiglu'"]),
        (
            to_dict(MixtureConfig(expert=EXPERT, n_experts=4, n_chosen=2)) | {"n_chosen": 5},
            ["n_chosen 5 is more than n_experts 4"],
        ),
        (
            to_dict(MixtureConfig(expert=EXPERT, n_experts=4, n_chosen=2)) | {"balance": -0.1},
            ["pattern.0.feed_forward.balance", "greater than or equal to 0"],
        ),
    ],
)
def test_mistakes_in_a_feed_forward_part_are_named(part: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ModelConfig, with_feed_forward(part))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
