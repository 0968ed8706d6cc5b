"""The road from text to a run folder: what is in it, and that the same request makes the same bits."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from recipes.tiny_runs import STEPS, hornbook, quickstart

import hornbook as hb
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import sha256
from hornbook.recipes.shapes import resolve

SMALL = ("data.path=texts", "tokenizer.vocab_size=400", "size=1", "train.steps=3")


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def weights(folder: str | Path) -> str:
    """A run's weights, by the checksum of their file."""
    return sha256((Path(folder) / "model.safetensors").read_bytes())


def test_every_file_of_the_folder_is_there(home: Path) -> None:
    names = {path.name for path in (home / "run").iterdir()}
    assert names == {
        "config.json", "data", "ledger.json", "metrics.jsonl", "model.safetensors", "report.html",
        "results.json", "run.json", "tokenizer.json", "tokenizer_config.json", "training",
    }  # fmt: skip


def test_run_json(home: Path) -> None:
    run = read(home / "run", "run.json")
    assert set(run) == {
        "format", "hornbook", "created", "finished", "status", "command", "git_commit", "seed", "request",
        "tokenizer", "machine", "parameters", "dial", "reproduce", "seconds",
    }  # fmt: skip
    assert (run["format"], run["status"], run["seed"]) == (1, "finished", 0)
    assert run["created"] <= run["finished"]
    assert run["request"] == {"text": ["texts"], "minutes": None, "steps": STEPS, "size": 1, "seed": 0}
    assert {"corpus", "tokenizer", "shards", "training", "evaluation"} <= set(run["seconds"])
    assert run["parameters"]["total"] == sum(part["parameters"] for part in run["parameters"]["parts"])
    model = hb.load(home / "run").model
    assert run["parameters"]["total"] == sum(p.numel() for p in model.parameters())


def test_results_json(home: Path) -> None:
    results = read(home / "run", "results.json")
    held_out = results["held_out"]
    assert set(held_out) == {
        "documents", "bytes", "text", "bits_per_byte", "loss", "perplexity", "yardsticks",
    }  # fmt: skip
    assert set(held_out["yardsticks"]) == {"gzip", "xz"}
    assert 0 < held_out["bits_per_byte"] < 10
    ledger = read(home / "run", "ledger.json")
    assert held_out["bytes"] == ledger["parts"]["held_out"]["bytes"]
    prompts = hb.load(home / "run").config.train.final_prompts
    assert [sample["prompt"] for sample in results["samples"]] == list(prompts)
    assert all(set(sample) == {"prompt", "text"} for sample in results["samples"])


def test_the_ledger_is_the_corpus_s_own(home: Path) -> None:
    assert read(home / "run", "ledger.json") == read(home / "run/data/corpus", "ledger.json")


def test_the_report_needs_no_network(home: Path) -> None:
    page = (home / "run/report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    for load in ('src="http', "src='http", "@import", "url(http", '<link rel="stylesheet"', "fetch("):
        assert load not in page, f"the report has {load}"


def test_the_same_request_makes_the_same_bits(home: Path, place: Path) -> None:
    """And the command that the run names to reproduce it is such a request."""
    command = shlex.split(read(home / "run", "run.json")["reproduce"])
    words = command[command.index("quickstart") :]
    assert words[-2:] == ["--out", "run-again"]
    said = hornbook(*words)
    assert said.code == 0, said.err
    assert weights("run-again") == weights(home / "run")
    assert read(Path("run-again"), "results.json") == read(home / "run", "results.json")


@pytest.mark.slow
def test_another_seed_makes_another_model(home: Path, place: Path) -> None:
    assert hornbook(*quickstart("other", "--seed", "1")).code == 0
    assert weights("other") != weights(home / "run")


@pytest.mark.slow
def test_train_from_python_and_its_reproduce_command(place: Path) -> None:
    run = hb.train("quickstart", *SMALL, out="run")
    assert run.path == Path("run") and run.config.train.steps == 3
    assert run.config == hb.load("run").config
    facts = read(Path("run"), "run.json")
    assert shlex.split(facts["command"])[-8:] == ["train", "quickstart", *SMALL, "--out", "run"]
    command = shlex.split(facts["reproduce"])
    said = hornbook(*command[command.index("train") :])
    assert said.code == 0, said.err
    assert weights("run-again") == weights("run")


@pytest.mark.slow
def test_a_configuration_is_a_recipe_too(place: Path) -> None:
    run = hb.train(resolve("quickstart", SMALL), out="one")
    again = hb.train(Path("one"), out="two")
    assert again.config == run.config
    assert weights("one") == weights("two")
    assert read(Path("one"), "run.json")["command"].endswith("train one/config.json --out one")


def test_a_corpus_that_is_given_is_used_as_it_is(place: Path) -> None:
    ledger = hb.build_corpus("texts", "corpus", held_out_share=0.2)
    before = {path: path.read_bytes() for path in Path("corpus").rglob("*") if path.is_file()}
    hb.train("quickstart", *SMALL, "data.path=corpus", out="run")
    assert read(Path("run"), "ledger.json") == ledger.to_dict()
    assert not Path("run/data/corpus").exists()
    assert {path: path.read_bytes() for path in Path("corpus").rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_fewer_merges_than_asked_for_are_written_down(place: Path) -> None:
    for path in Path("texts").iterdir():
        path.write_text("ab " * 20_000 + path.name)
    run = hb.train("quickstart", *SMALL, "tokenizer.vocab_size=3000", out="run")
    vocab_size = run.tokenizer.vocab_size
    assert vocab_size < 3000
    assert run.config.tokenizer.vocab_size == run.config.model.vocab_size == vocab_size


@pytest.mark.slow
def test_a_resume_of_a_finished_run_changes_nothing(place: Path) -> None:
    hb.train("quickstart", *SMALL, out="run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    hb.train("run", out="run", resume=True)
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_what_train_refuses(place: Path) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        hb.train("quickstart", *SMALL, out="run", resume=True, overwrite=True)
    with pytest.raises(ConfigError, match=r"model.vocab_size 300 differs from tokenizer.vocab_size 400"):
        hb.train("quickstart", *SMALL, "model.vocab_size=300", out="run")
    Path("mine").mkdir()
    Path("mine/diary.txt").write_text("Dear diary,")
    with pytest.raises(
        RunFolderError, match="mine exists already and is not a run folder; it stays as it is"
    ):
        hb.train("quickstart", *SMALL, out="mine", overwrite=True)
    assert Path("mine/diary.txt").read_text() == "Dear diary,"
