"""Recipes by name, by file and by folder, with dials turned and fields assigned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.config import to_dict
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.model.count import count_parameters, on_meta
from hornbook.recipes.shapes import HEAD_DIM, RECIPES, SIZES, quickstart, resolve


@given(size=st.integers(1, 24))
def test_one_dial_derives_the_shape(size: int) -> None:
    model = resolve("quickstart", [f"size={size}"]).model
    attention, feed_forward = model.pattern[0].attention, model.pattern[0].feed_forward
    assert (model.n_layers, model.d_model) == (size, HEAD_DIM * size)
    assert attention.n_heads * attention.head_dim == model.d_model
    assert 0 <= feed_forward.d_ff - 8 / 3 * model.d_model < HEAD_DIM


def test_every_size_is_larger_than_the_one_before() -> None:
    counts = [count_parameters(on_meta(quickstart(size).model)) for size in SIZES]
    assert counts == sorted(set(counts))


def test_a_recipe_is_its_function() -> None:
    assert {name: function() for name, function in RECIPES.items()} == {n: resolve(n) for n in RECIPES}


def test_fields_are_changed_after_dials() -> None:
    config = resolve("quickstart", ["train.steps=7", "size=3", "model.n_layers=2", "seed=5"])
    assert (config.train.steps, config.model.d_model, config.model.n_layers) == (7, 3 * HEAD_DIM, 2)
    assert config.seed == 5


def test_the_last_of_two_assignments_counts() -> None:
    config = resolve(
        "quickstart", ["size=3", "size=2", "tokenizer.vocab_size=300", "tokenizer.vocab_size=400"]
    )
    assert config.model.n_layers == 2
    assert config.model.vocab_size == config.tokenizer.vocab_size == 400


@pytest.mark.parametrize(
    ("assignments", "tokenizer", "model"),
    [
        ([], 4096, 4096),
        (["vocab_size=500"], 500, 500),
        (["tokenizer.vocab_size=500"], 500, 500),
        (['tokenizer={"vocab_size": 500}'], 500, 500),
        (["tokenizer.vocab_size=500", "model.vocab_size=512"], 500, 512),
        (["model.vocab_size=512"], 4096, 512),
    ],
)
def test_the_model_follows_the_tokenizer(assignments: list[str], tokenizer: int, model: int) -> None:
    config = resolve("quickstart", assignments)
    assert (config.tokenizer.vocab_size, config.model.vocab_size) == (tokenizer, model)


def test_a_saved_configuration_is_a_recipe(tmp_path: Path) -> None:
    config = resolve("quickstart", ["size=2", "train.steps=9"])
    (tmp_path / "config.json").write_text(json.dumps(to_dict(config)))
    assert resolve(tmp_path) == resolve(tmp_path / "config.json") == resolve(config) == config
    changed = resolve(str(tmp_path), ["train.steps=10", "tokenizer.vocab_size=300"])
    assert (changed.train.steps, changed.model.vocab_size) == (10, 300)


def test_a_saved_configuration_has_no_dials(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(to_dict(resolve("quickstart"))))
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path, ["size=2"])
    assert str(caught.value) == (
        f"size is a dial of the recipe quickstart, and {tmp_path} has everything derived already; change "
        "single fields such as model.n_layers, or start from quickstart"
    )


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "true", "", "two", "[1]"])
def test_a_dial_is_a_whole_number(value: str) -> None:
    with pytest.raises(ConfigError, match="size is a whole number from 1 up, not "):
        resolve("quickstart", [f"size={value}"])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"model": ')
    with pytest.raises(RunFolderError, match=r"mine\.json is damaged"):
        resolve(file)
    file.write_text('{"modell": {}}')
    with pytest.raises(ConfigError, match=r"mine\.json: .*did you mean 'model'"):
        resolve(file)
