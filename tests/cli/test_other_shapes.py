"""The verbs on runs of models that are no decoders: they go out and come in, and none gives a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recipes.tiny_runs import hornbook
from train.shaped_runs import OTHER_SHAPES, shaped_run

import hornbook as hb
from hornbook.base.config_types import kinds
from hornbook.cli.exchange import AUTO_CLASSES
from hornbook.model.shape_config import AnyConfig

every_other_shape = pytest.mark.parametrize("kind", OTHER_SHAPES)
writes_nothing = pytest.mark.parametrize("kind", [kind for kind in OTHER_SHAPES if kind != "seq2seq"])


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a kind; each is made once."""
    made: dict[str, Path] = {}

    def find(kind: str) -> Path:
        if kind not in made:
            made[kind] = shaped_run(tmp_path_factory.mktemp("runs") / kind, kind)
        return made[kind]

    return find


def complaint(*words: str | Path) -> str:
    """The one sentence that a command ends with."""
    said = hornbook(*words)
    assert said.code == 2 and said.out == "", said
    assert said.err.startswith("hornbook: ") and said.err.count("\n") == 1, said.err
    return said.err.removeprefix("hornbook: ").rstrip("\n")


@pytest.mark.parametrize(
    ("kind", "family", "reader", "next_step"),
    [
        (
            "masked_lm",
            "bert",
            "AutoModelForMaskedLM",
            "Use it from Python: hornbook.load('{}').model(tokens)",
        ),
        (
            "classifier",
            "bert",
            "AutoModelForSequenceClassification",
            "Use it from Python: hornbook.load('{}').model(tokens)",
        ),
        (
            "permutation_lm",
            "xlnet",
            "AutoModelForCausalLM",
            "Use it from Python: hornbook.load('{}').model(tokens)",
        ),
        ("seq2seq", "bart", "AutoModelForSeq2SeqLM", 'Let it answer: hornbook generate {} "a text"'),
    ],
)
def test_a_run_goes_out_and_comes_in(
    kind: str, family: str, reader: str, next_step: str, run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    said = hornbook("export", run_of(kind), "--out", out)
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    assert f"written as {family}; read again, its logits are the same" in words
    assert f"transformers reads it: {reader}.from_pretrained(" in words
    assert "prompts" not in words
    said = hornbook("import", out, "--out", back)
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    assert f"model {kind}, " in words and "tokens 270 ids, 12 at once at most" in words
    assert next_step.format(back).replace(" ", "") in words.replace(" ", "")
    assert hb.load(back, device="cpu").config.model.kind == kind


def test_an_imported_run_has_no_training_to_go_on_with(run_of: Callable[[str], Path], tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    for words in (("export", run_of("causal_lm"), "--out", out), ("import", out, "--out", back)):
        assert hornbook(*words).code == 0
    said = (
        f"{back} holds a model that was imported from out, and nothing of its training to go on with; choose "
        "another --out"
    )
    before = sorted(back.rglob("*"))
    assert complaint("train", back, "--resume") == said
    assert complaint("quickstart", "--out", back) == said
    assert sorted(back.rglob("*")) == before


def test_every_kind_has_its_reader_in_transformers() -> None:
    assert AUTO_CLASSES.keys() == kinds(AnyConfig).keys()


@writes_nothing
def test_a_model_that_writes_no_text_is_named(kind: str, run_of: Callable[[str], Path]) -> None:
    for verb in (("generate", run_of(kind), "a small"), ("chat", run_of(kind))):
        assert complaint(*verb).startswith(f"{run_of(kind)} holds a {kind}, which ")
        assert "and writes no text; in Python, run.model(tokens" in complaint(*verb)


def test_an_answer_is_written_without_its_prompt(run_of: Callable[[str], Path]) -> None:
    folder = run_of("seq2seq")
    said = hornbook("generate", folder, "a small text", "--max-new-tokens", "7", "--seed", "3")
    text = hb.load(folder, device="cpu").generate("a small text", max_new_tokens=7, seed=3)
    assert text and said == (0, f"{text}\n", "")
    assert complaint("chat", folder) == (
        f"{folder} holds a seq2seq, which answers one text with another and goes on with none; give it texts "
        "by hornbook generate"
    )
    assert complaint("generate", folder, "a small text, " * 9).endswith("cut the input")


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("masked_lm", "for a masked_lm choose masked or masked_pairs"),
        ("classifier", "it learns from labelled texts"),
        ("permutation_lm", "for a permutation_lm choose permutation"),
        ("seq2seq", "for a seq2seq choose span_denoising or prefix"),
    ],
)
def test_an_objective_of_another_shape_is_refused_and_nothing_is_made(
    kind: str, advice: str, run_of: Callable[[str], Path], tmp_path: Path
) -> None:
    said = f"train.objective next_token is for a causal_lm, and model.kind is {kind}; {advice}"
    assert complaint("train", run_of(kind), "--out", tmp_path / "out") == said
    assert complaint("train", run_of(kind), "--resume") == said
    assert not (tmp_path / "out").exists()


@every_other_shape
def test_show_draws_any_shape(kind: str, run_of: Callable[[str], Path]) -> None:
    said = hornbook("show", run_of(kind))
    assert said.code == 0, said.err
    assert f'"kind": "{kind}"' in said.out


def test_a_wrong_field_is_named_with_its_place(run_of: Callable[[str], Path]) -> None:
    assert complaint("show", run_of("seq2seq"), "model.encoder.n_layer=2").startswith(
        "there is no 'model.encoder.n_layer': 'n_layer' is not in model.encoder, did you mean 'n_layers'?"
    )
