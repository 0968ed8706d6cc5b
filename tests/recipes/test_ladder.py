"""The ladder: one dial, and everything else by the rules that the recipe states."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError
from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, flops_per_token, matrix_parameters, on_meta
from hornbook.recipes.ladder import laptop, llama_style
from hornbook.recipes.shapes import resolve
from hornbook.train.config import MuonConfig, RunConfig

SIZES = (1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)


def decoder(config: RunConfig) -> ModelConfig:
    assert isinstance(config.model, ModelConfig)
    return config.model


@pytest.mark.parametrize("size", SIZES)
def test_a_size_has_about_so_many_parameters_and_the_stated_shape(size: float) -> None:
    config = llama_style(int(size))
    model = decoder(config)
    built = on_meta(model)
    assert count_parameters(built) == pytest.approx(size, rel=0.06)
    assert abs(math.log2(model.n_layers * 64 / model.d_model)) < 1.01
    attention = model.pattern[0].attention
    assert attention.n_heads * (attention.head_dim or 0) == model.d_model
    assert attention.n_kv_heads == attention.n_heads // (4 if model.d_model >= 1024 else 1)
    assert model.vocab_size == config.tokenizer.vocab_size == 16 * model.d_model
    scores = 1 - 2 * matrix_parameters(built) / flops_per_token(built, config.data.seq_len)
    assert 0.05 < scores < 0.15


@given(st.integers(100_000, 10**9))
@settings(max_examples=20)
def test_any_size_makes_a_run(size: int) -> None:
    config = llama_style(size)
    batch = config.data.batch_size * config.data.seq_len
    assert batch.bit_count() == 1 and config.data.seq_len == config.model.max_seq_len
    assert config.train.steps * batch == pytest.approx(20 * size, rel=0.01)
    assert batch == pytest.approx(3 * math.sqrt(20 * size), rel=0.42)


def test_the_rules_meet_the_quickstart_at_its_width() -> None:
    found = next(
        c for s in range(3_000_000, 6_000_000, 250_000) if decoder(c := llama_style(s)).d_model == 256
    )
    assert (found.model.vocab_size, found.data.seq_len) == (4096, 256)
    assert found.train.optimizer == MuonConfig()
    quick = llama_style(5_000_000, tokens=1_826_816)
    assert quick.data.batch_size * quick.data.seq_len == 4096


def test_rates_fall_with_the_root_of_the_width() -> None:
    small, large = (llama_style(size) for size in (5_000_000, 1_000_000_000))
    a, b = small.train.optimizer, large.train.optimizer
    assert isinstance(a, MuonConfig) and isinstance(b, MuonConfig)
    fall = math.sqrt(decoder(small).d_model / decoder(large).d_model)
    assert b.learning_rate == a.learning_rate
    assert b.rest.learning_rate == pytest.approx(fall * a.rest.learning_rate, rel=0.01)
    assert b.embeddings.learning_rate == pytest.approx(fall * a.embeddings.learning_rate, rel=0.01)


def test_dials_take_large_numbers_as_they_are_typed() -> None:
    assert resolve("llama-style", ["size=30M", "tokens=1.5B"]) == llama_style(30_000_000, 1_500_000_000)
    with pytest.raises(ConfigError) as caught:
        resolve("llama-style", ["size=10T"])
    assert str(caught.value) == "size is a number of parameters from 100k to 10B, such as 30M, not 10T"
    with pytest.raises(
        ConfigError, match="the quickstart's size is its number of layers, 100 at most, not 30,0"
    ):
        resolve("quickstart", ["size=30M"])


@pytest.mark.parametrize("size", [2_000_000, 6_000_000, 12_000_000])
def test_every_laptop_run_takes_the_same_arithmetic(size: int) -> None:
    config = laptop(size)
    flops = 3 * flops_per_token(on_meta(config.model), config.data.seq_len)
    tokens = config.train.steps * config.data.batch_size * config.data.seq_len
    assert flops * tokens == pytest.approx(2.5e14, rel=0.01)
