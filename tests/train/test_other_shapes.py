"""Runs of models that are no decoders: configured, opened, and what they say when they cannot do a thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from model.small_shapes import shaped_configs
from train.shaped_runs import OTHER_SHAPES, shaped_run

from hornbook.base.config import override, parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.generate import reference
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.text import sampling_generator
from hornbook.model.config import ModelConfig
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.recipes.road import train
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig
from hornbook.train.run import continuer, load

every_other_shape = pytest.mark.parametrize("kind", OTHER_SHAPES)


def configured(kind: str) -> RunConfig:
    model = shaped_configs()[kind]
    return parse(RunConfig, {"model": to_dict(model), "data": {"seq_len": model.max_seq_len}})


# Configurations


@pytest.mark.parametrize("kind", shaped_configs())
def test_a_configuration_of_any_shape_comes_back(kind: str) -> None:
    config = configured(kind)
    assert config.model == shaped_configs()[kind]
    assert parse(RunConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_a_file_without_a_kind_tells_of_a_decoder() -> None:
    data = to_dict(configured("causal_lm"))
    del data["model"]["kind"]
    config = parse(RunConfig, data)
    assert isinstance(config.model, ModelConfig)
    assert config == configured("causal_lm")


def test_one_number_of_any_shape_is_changed_by_its_name() -> None:
    assert override(configured("causal_lm"), ["model.n_layers=3"]).model.n_layers == 3
    assert override(configured("masked_lm"), ["model.n_layers=3"]).model.n_layers == 3
    changed = override(configured("classifier"), ["model.n_classes=5", "model.pooling=mean"]).model
    assert (changed.n_classes, changed.pooling) == (5, "mean")
    both = override(configured("seq2seq"), ["model.encoder.n_layers=3", "model.decoder.head.tied=false"])
    assert (both.model.encoder.n_layers, both.model.decoder.n_layers) == (3, 2)
    assert not both.model.decoder.head.tied


def test_both_vocabularies_of_an_encoder_decoder_follow_the_tokenizer() -> None:
    config = resolve(configured("seq2seq"), ["tokenizer.vocab_size=300"])
    assert (config.model.encoder.vocab_size, config.model.decoder.vocab_size) == (300, 300)
    given = resolve(configured("seq2seq"), ["tokenizer.vocab_size=300", "model.encoder.n_layers=1"])
    assert given.model.vocab_size == 300


@pytest.mark.parametrize(
    ("kind", "assignment", "said"),
    [
        (
            "causal_lm",
            "model.n_layer=3",
            "there is no 'model.n_layer': 'n_layer' is not in model, did you mean 'n_layers'?",
        ),
        (
            "causal_lm",
            "model.n_layers=few",
            "the overrides: model.n_layers must be a whole number, not 'few'",
        ),
        ("classifier", "model.pooling=max", "the overrides: model.pooling: unknown value 'max', known: "),
        (
            "seq2seq",
            "model.n_layers=3",
            "there is no 'model.n_layers': 'n_layers' is not in model, known: decoder, encoder, ",
        ),
        (
            "seq2seq",
            "model.decoder.n_layerz=3",
            "there is no 'model.decoder.n_layerz': 'n_layerz' is not in model.decoder, did you mean",
        ),
        (
            "seq2seq",
            "model.start_token=99",
            "the overrides: model: start_token 99 is none of the decoder's 31",
        ),
        (
            "masked_lm",
            "data.seq_len=13",
            "the overrides: data.seq_len 13 is longer than model.max_seq_len 12",
        ),
        ("seq2seq", "data.seq_len=13", "the overrides: data.seq_len 13 is longer than model.max_seq_len 12"),
    ],
)
def test_a_mistake_in_any_shape_is_one_sentence(kind: str, assignment: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(configured(kind), [assignment])
    assert str(caught.value).startswith(said)


def test_mistakes_in_a_file_are_those_of_its_shape() -> None:
    data = to_dict(configured("masked_lm"))
    data["model"] |= {"d_model": "wide", "n_classes": 3}
    with pytest.raises(ConfigError) as caught:
        parse(RunConfig, data, "config.json")
    sentences = str(caught.value).split("; ")
    assert sentences[0] == "config.json: model.d_model must be a whole number, not 'wide'"
    assert sentences[1].startswith("unknown key 'model.n_classes', ")
    assert len(sentences) == 2
    data["model"]["kind"] = "masked"
    with pytest.raises(ConfigError, match="model: unknown kind 'masked', did you mean 'masked_lm'"):
        parse(RunConfig, data, "config.json")


# Runs


@every_other_shape
def test_a_run_of_any_shape_is_opened(kind: str, tmp_path: Path) -> None:
    run = load(shaped_run(tmp_path / "run", kind), device="cpu")
    assert run.config.model.kind == kind
    assert not run.model.training
    tokens = torch.tensor([run.tokenizer.encode("a small text")])
    given = (tokens, tokens) if kind == "seq2seq" else (tokens,)
    with torch.no_grad():
        assert run.model(*given).isfinite().all()


def test_a_wrong_number_in_the_model_is_named(tmp_path: Path) -> None:
    folder = shaped_run(tmp_path / "run", "classifier")
    data = json.loads((folder / "config.json").read_text())
    data["model"]["d_model"] = "wide"
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"config.json: model.d_model must be a whole number"):
        load(folder)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "masked_lm",
            "holds a masked_lm, which fills in masked tokens and writes no text; in Python, "
            "run.model(tokens) gives the scores of all tokens at every place",
        ),
        (
            "classifier",
            "holds a classifier, which puts texts into classes and writes no text; in Python, "
            "run.model(tokens) gives the scores of the classes",
        ),
        (
            "permutation_lm",
            "holds a permutation_lm, which predicts the tokens of a text in any order and writes no text; in "
            "Python, run.model(tokens, order=order) gives the scores of all tokens at every place",
        ),
    ],
)
def test_a_model_that_writes_no_text_says_what_it_is_for(kind: str, said: str, tmp_path: Path) -> None:
    run = load(shaped_run(tmp_path / "run", kind), device="cpu")
    for ask in (lambda: run.generate("a small"), lambda: continuer(run)):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == f"{run.path} {said}"


def test_an_encoder_decoder_answers(tmp_path: Path) -> None:
    run = load(shaped_run(tmp_path / "run", "seq2seq"), device="cpu")
    assert isinstance(run.model, Seq2SeqLM)
    end = run.tokenizer.end_of_text
    assert end is not None
    source = [end, *run.tokenizer.encode("a small"), end]
    warm = SamplingConfig(temperature=1.5)
    wanted = reference.answer(run.model, source, warm, 9, frozenset({end}), sampling_generator(4))
    text = run.generate("a small", max_new_tokens=9, temperature=1.5, seed=4)
    assert text == run.tokenizer.decode(wanted)
    with pytest.raises(ConfigError, match="answers one text with another and goes on with none; give it"):
        continuer(run)


# Training


@every_other_shape
def test_an_objective_of_another_shape_is_refused_before_any_work(kind: str, tmp_path: Path) -> None:
    said = f"train.objective next_token is for a causal_lm, and model.kind is {kind}; "
    folder = shaped_run(tmp_path / "run", kind)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for out in (tmp_path / "out", folder):
        with pytest.raises(ConfigError, match=said):
            train(folder, out=out, resume=out is folder)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert not (tmp_path / "out").exists()
