"""The names that users call, with the arguments they call them with."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from recipes.tiny_runs import home, inside, story

import hornbook as hb

TEXTS = [story(4000, seed=i) for i in range(3)]


@pytest.fixture(scope="module")
def tokenizer() -> hb.Tokenizer:
    return hb.Tokenizer.train(iter(TEXTS), vocab_size=400, pattern="gpt2")


def parameters(function: object) -> dict[str, object]:
    """The names of a function's parameters and their defaults."""
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return {parameter.name: parameter.default for parameter in found if parameter.name != "self"}


def test_a_tokenizer_there_and_back(tokenizer: hb.Tokenizer) -> None:
    text = TEXTS[0] + " na\xefve \U0001f600"
    ids = tokenizer.encode(text)
    assert isinstance(ids, list) and all(type(i) is int for i in ids)
    assert tokenizer.decode(ids) == text
    array = tokenizer.encode_array(text)
    assert array.dtype == np.int32 and array.tolist() == ids
    assert tokenizer.vocab_size == 400


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_a_batch_is_each_text_encoded(tokenizer: hb.Tokenizer, threads: int | None) -> None:
    batch = tokenizer.encode_batch(TEXTS, threads=threads)
    assert [list(map(int, ids)) for ids in batch] == [tokenizer.encode(text) for text in TEXTS]


def test_a_tokenizer_saved_and_loaded(tokenizer: hb.Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    loaded = hb.Tokenizer.load(tmp_path)
    assert loaded.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])
    assert parameters(hb.Tokenizer.load)["pattern"] is None
    assert hb.Tokenizer.load(tmp_path, pattern=None).vocab_size == 400


def test_a_run_in_the_hand() -> None:
    run = hb.load(home() / "run")
    assert isinstance(run, hb.Run) and isinstance(run.model, hb.CausalLM)
    assert isinstance(run.config, hb.RunConfig) and isinstance(run.config.model, hb.ModelConfig)
    assert isinstance(run.tokenizer, hb.Tokenizer)
    assert {"device": None, "dtype": None}.items() <= parameters(hb.load).items()
    half = hb.load(str(home() / "run"), device="cpu", dtype="bfloat16")
    assert next(half.model.parameters()).dtype == torch.bfloat16


def test_a_run_writes() -> None:
    run = hb.load(home() / "run", device="cpu")
    options = {"max_new_tokens": 10, "temperature": 0.9, "top_k": 40, "top_p": 0.9}
    text = run.generate("The ", **options, seed=1)
    assert isinstance(text, str)
    assert run.generate("The ", **options, seed=1) == text
    assert len({run.generate("The ", **options, seed=seed) for seed in range(4)}) > 1


def test_train_makes_a_run(tmp_path: Path) -> None:
    overrides = ("data.path=texts", "size=1", "tokenizer.vocab_size=300", "train.steps=1")
    with inside(home()):
        run = hb.train("quickstart", *overrides, out=tmp_path / "run")
    assert isinstance(run, hb.Run) and run.path == tmp_path / "run"
    assert hb.load(run.path).config.train.steps == 1


def test_a_mistake_is_a_hornbook_error(tmp_path: Path) -> None:
    with pytest.raises(hb.HornbookError):
        hb.load(tmp_path)
    with pytest.raises(hb.HornbookError):
        hb.train("quikstart", out=tmp_path / "run")


def test_every_name_is_there_and_no_other() -> None:
    assert dir(hb) == sorted(hb.__all__)
    assert all(getattr(hb, name) is not None for name in hb.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        hb.trian  # noqa: B018
