"""Impossible models are refused before any work, with the numbers and the way out."""

from __future__ import annotations

from typing import Any

import pytest
from model.small_models import CONFIGS

from hornbook.base.config import override, parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.model.config import ModelConfig
from hornbook.model.models import CausalLM


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
    kinds: list[Any] = [block.window for block in model.blocks]
    assert kinds == [4, None, 4]
