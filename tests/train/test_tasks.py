"""From a configured objective to what a run needs: refusals, special tokens, and whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model.small_encoders import stack
from model.small_shapes import shaped_configs
from train.conftest import Material
from train.whole_state import assert_same_run, measurements

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.batch import Rows
from hornbook.model.encoder_config import MaskedLMConfig, PoolerConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.fit import Fit, Listener, ignore
from hornbook.train.held_out import compresses, measure_held_out
from hornbook.train.objective_config import NextTokenConfig
from hornbook.train.run import load
from hornbook.train.tasks import (
    SHAPES,
    build_task,
    check_objective,
    default_objective,
    fits,
    goes_on,
    imagined_collate,
    parts_of,
    special_tokens,
)

PAIRS = {"pairs": PoolerConfig()}
WEIGHTED = {
    "kind": "weighted",
    "parts": [
        {"objective": {"kind": "span_denoising"}, "weight": 3},
        {"objective": {"kind": "prefix"}, "weight": 1},
    ],
}


DENOISING_AND_NEXT_TOKEN = {
    "kind": "weighted",
    "parts": [{"objective": {"kind": "span_denoising"}}, {"objective": {"kind": "next_token"}}],
}


def configured(
    objective: dict[str, Any], model: AnyConfig | str, vocab_size: int = 290, **data: Any
) -> RunConfig:
    """A run of six steps with this objective and model, or the tiny model of this kind."""
    if isinstance(model, str):
        model = shaped_configs(vocab_size, max_seq_len=40)[model]
    train = {
        "steps": 6, "precision": "float32", "device": "cpu", "log_every": 1, "validate_every": 3,
        "validation_batches": 2, "sample_every": 3, "sample_prompts": ["one "], "save_every": 2,
        "objective": objective,
    }  # fmt: skip
    whole = {
        "model": to_dict(model),
        "tokenizer": {"vocab_size": vocab_size},
        "data": {"seq_len": 24, "batch_size": 4} | data,
        "train": train,
    }
    return parse(RunConfig, whole)


def masked_lm(**fields: Any) -> MaskedLMConfig:
    return MaskedLMConfig(**stack(vocab_size=290, max_seq_len=40, **fields))


RUNS = {
    "masked": configured({"kind": "masked"}, "masked_lm"),
    "masked_pairs": configured({"kind": "masked_pairs"}, masked_lm(**PAIRS)),
    "permutation": configured({"kind": "permutation"}, "permutation_lm"),
    "span_denoising": configured({"kind": "span_denoising"}, "seq2seq"),
    "prefix": configured({"kind": "prefix"}, "causal_lm"),
    "weighted": configured(WEIGHTED, "seq2seq"),
    "denoising and next token": configured(DENOISING_AND_NEXT_TOKEN, "seq2seq"),
}
every_run = pytest.mark.parametrize("name", RUNS)


# Refusals


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            configured({"kind": "masked"}, "causal_lm"),
            "train.objective masked is for a masked_lm, and model.kind is causal_lm; for a causal_lm choose "
            "next_token or prefix",
        ),
        (
            configured({"kind": "next_token"}, "seq2seq"),
            "train.objective next_token is for a causal_lm, and model.kind is seq2seq; for a seq2seq choose "
            "span_denoising or prefix",
        ),
        (
            configured(WEIGHTED, "causal_lm"),
            "train.objective span_denoising is for a seq2seq, and model.kind is causal_lm; for a causal_lm "
            "choose next_token or prefix",
        ),
        (
            configured({"kind": "masked_pairs"}, "masked_lm"),
            "train.objective masked_pairs asks which texts belong together, and the model has no head for "
            "it; give it one by model.pairs={}, or choose masked",
        ),
        (
            configured(WEIGHTED, "seq2seq", batch_size=6),
            "the parts of train.objective share out data.batch_size 6 rows as span_denoising 4.5, prefix "
            "1.5; choose weights or a batch_size that give whole rows",
        ),
        (
            configured({"kind": "masked_pairs"}, masked_lm(**PAIRS), batch_size=1),
            "train.objective masked_pairs pairs the texts of a batch: data.batch_size must give it 2 rows or "
            "more",
        ),
        (
            configured({"kind": "masked_pairs"}, masked_lm(**PAIRS), seq_len=4),
            "a pair of texts is 3 tokens longer than both: data.seq_len 4 must be at least 5",
        ),
        (
            configured({"kind": "span_denoising"}, "seq2seq", vocab_size=257),
            "tokenizer.vocab_size 257 has no room for 256 bytes and the 2 special tokens of the objective "
            "span_denoising; give at least 258",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(config: RunConfig, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_objective(config)
    assert str(caught.value) == said


def test_a_model_without_segments_cannot_tell_two_texts_apart() -> None:
    model = shaped_configs(290, max_seq_len=40)["masked_lm"]
    data = to_dict(model) | {"pairs": {}}
    data["embedding"]["n_segments"] = None
    config = configured({"kind": "masked_pairs"}, parse(MaskedLMConfig, data))
    with pytest.raises(ConfigError, match=r"set model.embedding.n_segments=2, or choose masked"):
        check_objective(config)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"kind": "masked", "mask_share": 0.9, "random_share": 0.2}, "exceed all that is asked for"),
        ({"kind": "weighted", "parts": [{"objective": {"kind": "prefix"}}]}, "train.objective.parts"),
        (
            {"kind": "weighted", "parts": [{"objective": {"kind": "prefix"}}] * 2},
            "each kind of objective stands once",
        ),
        ({"kind": "mask"}, "unknown kind 'mask', did you mean 'masked'"),
    ],
)
def test_an_impossible_objective_is_refused(objective: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configured(objective, "causal_lm")


def test_every_shape_has_its_usual_objective() -> None:
    for kind, model in shaped_configs().items():
        usual = default_objective(model)
        assert (usual is None) == (kind == "classifier")
        assert usual is None or fits(usual, model)
        assert fits(RUNS["denoising and next token"].train.objective, model) == (kind == "seq2seq")
        assert fits(NextTokenConfig(), model) == (kind == "causal_lm")
        assert any(kind in shapes for shapes in SHAPES.values()) == (kind != "classifier")


# Special tokens


def test_special_tokens_in_the_order_of_their_ids() -> None:
    """Sentinels descend, and the end of text is the last of all."""
    assert special_tokens(RUNS["prefix"]) == ("<|endoftext|>",)
    assert special_tokens(RUNS["masked_pairs"]) == ("<|mask|>", "<|cls|>", "<|sep|>", "<|endoftext|>")
    longer = configured({"kind": "span_denoising", "density": 0.25}, "seq2seq", seq_len=40)
    assert special_tokens(longer) == ("<|span_2|>", "<|span_1|>", "<|span_0|>", "<|endoftext|>")


def test_a_tokenizer_that_lacks_one_is_refused_by_its_name(material: Material) -> None:
    with pytest.raises(ConfigError) as caught:
        build_task(RUNS["masked_pairs"], material.tokenizer)
    assert str(caught.value).startswith(
        "the objective masked_pairs needs special tokens that the tokenizer lacks: <|mask|>, <|cls|>, "
        "<|sep|>; "
    )


def test_published_names_are_known(material: Material) -> None:
    """T5's sentinels by their texts."""
    tokenizer = material.tokenizer.extend(special_tokens=["<extra_id_0>"])
    config = configured({"kind": "span_denoising"}, "seq2seq")
    batch = build_task(config, tokenizer).collate(Rows(np.arange(25)[None]), np.random.default_rng(0))
    assert batch.targets[0, 0] == tokenizer.special_tokens["<extra_id_0>"]


def test_the_roles_of_special_tokens_are_written_down(tmp_path: Path) -> None:
    """Other libraries find the mask by its role."""
    tokenizer = Tokenizer.train(["a text"] * 9, 262, special_tokens=special_tokens(RUNS["masked_pairs"]))
    tokenizer.save(tmp_path)
    roles = Tokenizer.load(tmp_path).settings.roles()
    assert (roles["mask_token"], roles["cls_token"], roles["sep_token"]) == ("<|mask|>", "<|cls|>", "<|sep|>")


# Whole runs


def sitting(config: RunConfig, material: Material, folder: Path, listen: Listener = ignore) -> Fit:
    """One sitting of a run whose tokenizer has the special tokens that it needs."""
    wanted = [*special_tokens(config)[:-1], *(f"<|unused_{i}|>" for i in range(10))]
    tokenizer = material.tokenizer.extend(special_tokens=wanted[: 290 - material.tokenizer.vocab_size])
    run = RunFolder(folder)
    if not run.exists:
        run.create()
        write_json(run.config_path, to_dict(config))
        tokenizer.save(folder)
    return Fit(config, run, tokenizer, material.train, material.held_out, listen)


class Killed(BaseException):
    """Nothing in the program catches it."""


@every_run
def test_a_run_learns_is_resumed_and_measured(name: str, material: Material, tmp_path: Path) -> None:
    """To the same bits; the measurement is the same whenever it is made."""
    config = RUNS[name]
    check_objective(config)
    assert sitting(config, material, tmp_path / "straight").run()

    def kill(line: dict[str, Any]) -> None:
        if line["kind"] == "train" and line["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        sitting(config, material, tmp_path / "killed", kill).run()
    again = sitting(config, material, tmp_path / "killed")
    assert 0 < again.resume() < 5
    assert again.run()
    assert_same_run(tmp_path / "killed", tmp_path / "straight")
    kinds = [line["kind"] for line in measurements(tmp_path / "straight")]
    assert kinds.count("train") == 6 and kinds.count("validation") == 2
    assert kinds.count("sample") == (2 if goes_on(config) else 0)
    objective = config.train.objective
    parts = [part.kind for part in parts_of(objective)] if objective.kind == "weighted" else []
    for line in RunFolder(tmp_path / "straight").read_metrics():
        if line["kind"] in ("train", "validation"):
            found = {key for key in line if key.endswith(("_loss", "_bits_per_byte")) and "pairs" not in key}
            assert found == {f"{part}_{what}" for part in parts for what in ("loss", "bits_per_byte")}

    run = load(tmp_path / "straight", device="cpu")
    found = [measure_held_out(run.model, config, run.tokenizer, material.held_out) for _ in range(2)]
    assert found[0] == found[1]
    n_tokens = len(material.held_out) - len(material.held_out.offsets)
    if compresses(run.model):
        assert found[0].n_tokens == n_tokens, "each token of each document"
    else:
        assert 0.1 * n_tokens < found[0].n_tokens < n_tokens


@every_run
def test_a_batch_can_be_had_before_there_is_a_tokenizer(name: str) -> None:
    config = RUNS[name]
    rows = Rows(np.zeros((4, 25), dtype=np.int64))
    batch = imagined_collate(config)(rows, np.random.default_rng(0))
    assert all(int(each.max()) < config.model.vocab_size for each in batch.tensors())
    assert sum(len(part.tokens) for part in batch.split(9)) == 4
    assert torch.equal(batch.changed(lambda each: each).tokens, batch.tokens)
