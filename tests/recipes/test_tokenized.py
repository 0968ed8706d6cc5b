"""Training on tokenized folders: taken as they are, alone or mixed, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from recipes.tiny_runs import hornbook, inside, write_texts

import hornbook as hb
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.data.config import DataConfig
from hornbook.data.shards import TokenShards
from hornbook.recipes.tokenized import Tokenized

SMALL = ("size=1", "train.steps=3", "data.seq_len=64", "data.batch_size=4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer, and two tokenized folders made with it; treat as read-only."""
    folder = tmp_path_factory.mktemp("tokenized")
    with inside(folder):
        for name, first in (("web", 0), ("books", 40)):
            write_texts(folder / name, files=40, n_bytes=1000)
            for i, path in enumerate(sorted((folder / name).iterdir())):
                path.write_text(f"{name} {first + i}. " + path.read_text())
        said = hornbook("tokenizer", "train", "web", "books", "--vocab-size", "300", "--out", "vocabulary")
        assert said.code == 0, said.err
        for name in ("web", "books"):
            said = hornbook(
                "tokenize", name, "--tokenizer", "vocabulary", "--out", f"tokens/{name}",
                "--held-out", "0.2", "--workers", "1",
            )  # fmt: skip
            assert said.code == 0, said.err
            assert "Train on it: " in said.out and f"data.path=tokens/{name} --out" in said.out
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Any:
    """A copy of that folder, to stand in."""
    shutil.copytree(made, tmp_path / "here")
    with inside(tmp_path / "here"):
        yield tmp_path / "here"


def read(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def events(run: str) -> list[str]:
    lines = map(json.loads, Path(run, "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line["text"] for line in lines if line["kind"] == "event" and "what" not in line]


def test_tokens_are_trained_on_as_they_are(place: Path) -> None:
    """No corpus, no tokenizer training, no shards in the run; its tokenizer is the folder's."""
    before = {p: p.read_bytes() for p in Path("tokens").rglob("*") if p.is_file()}
    run = hb.train("quickstart", *SMALL, "data.path=tokens/web", "data.sequences=packing", out="run")
    assert not Path("run/data").exists()
    assert Path("run/tokenizer.json").read_bytes() == Path("tokens/web/tokenizer.json").read_bytes()
    assert run.config.tokenizer.vocab_size == run.config.model.vocab_size == 300
    assert {p: p.read_bytes() for p in Path("tokens").rglob("*") if p.is_file()} == before
    counts = read("tokens/web/tokens.json")["parts"]
    assert read("run/results.json")["held_out"]["bytes"] == counts["held_out"]["bytes"]
    assert set(read("run/results.json")["held_out"]["yardsticks"]) == {"gzip", "xz"}
    assert read("run/run.json")["tokens"] == {"web": {"folder": "tokens/web", **counts}}
    assert Path("run/report.html").exists()
    n_documents = counts["train"]["documents"]
    (note,) = events("run")
    assert note.startswith(f"{n_documents} documents packed into ") and "padding" in note and "cut: " in note


@pytest.mark.slow
def test_a_run_over_tokens_is_resumed_and_repeated(place: Path) -> None:
    words = ("train", "quickstart", *SMALL, "data.path=tokens/web")
    assert hornbook(*words, "--out", "one").code == 0
    said = hornbook(*words, "--out", "one", "--resume")
    assert said.code == 0, said.err
    said = hornbook("train", "one/config.json", "--out", "two")
    assert said.code == 0, said.err
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()
    Path("tokens/web").rename("elsewhere")
    Path("two/model.safetensors").unlink()
    said = hornbook("train", "two", "--resume")
    assert said.code == 2
    assert "this run reads tokens in tokens/web, and there are none; start from the folder" in said.err


@pytest.mark.slow
def test_folders_are_mixed_in_exact_shares(place: Path) -> None:
    paths = 'data.path=["tokens/web", "tokens/books"]'
    run = hb.train("quickstart", *SMALL, paths, 'data.mixture={"web": 0.25, "books": 0.75}', out="run")
    (note,) = events("run")
    assert note.startswith("mixture: web 0.25, from ") and "; books 0.75, from " in note
    held_out = [read(f"tokens/{name}/tokens.json")["parts"]["held_out"] for name in ("web", "books")]
    found = read("run/results.json")["held_out"]
    assert found["bytes"] == sum(counts["bytes"] for counts in held_out)
    assert found["documents"] == sum(counts["documents"] for counts in held_out)
    assert run.config.data.mixture == {"web": 0.25, "books": 0.75}


def test_folders_without_shares_are_one_text(place: Path) -> None:
    tokens = Tokenized.find(DataConfig(path=("tokens/web", "tokens/books")))
    assert tokens is not None
    joined = tokens.sources("train")
    assert isinstance(joined, TokenShards)
    each = [TokenShards(f"tokens/{name}/train") for name in ("web", "books")]
    assert [d.tolist() for d in joined.documents()] == [d.tolist() for s in each for d in s.documents()]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.path=tokens/web", "tokenizer.vocab_size=400"], "for which tokenizer.vocab_size is settled"),
        (["data.path=tokens/web", "vocab_size=400"], "for which vocab_size is settled; leave it away"),
        (["data.path=tokens/web", "data.held_out_share=0.1"], "for which data.held_out_share is settled"),
        (
            ['data.path=["tokens/web", "books"]'],
            r"names tokens \(tokens/web\) and text \(books\); make tokens of",
        ),
        (
            ["data.path=books", 'data.mixture={"books": 1}'],
            "data.mixture mixes folders that hornbook tokenize",
        ),
        (
            ["data.path=tokens/web", 'data.mixture={"webb": 1}'],
            r"data.mixture names 'webb', which is no source; did you mean 'web'\?",
        ),
        (
            ["data.path=tokens/web", 'data.mixture={"web": 2}'],
            "the shares sum to 2, not to 1; type data.mixture='{\"web\": 1}'",
        ),
        (['data.path=["tokens/web", "./tokens/../tokens/web"]'], "two folders 'web'; rename one"),
    ],
)
def test_what_is_refused_before_anything_is_there(place: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hb.train("quickstart", *SMALL, *overrides, out="run")
    assert not Path("run").exists()


def test_another_tokenizer_is_named(place: Path) -> None:
    hornbook("tokenizer", "train", "books", "--vocab-size", "290", "--out", "other")
    said = hornbook(
        "tokenize", "books", "--tokenizer", "other", "--out", "tokens/else", "--held-out", "0.2",
        "--workers", "1",
    )  # fmt: skip
    assert said.code == 0, said.err
    with pytest.raises(RunFolderError, match="tokens/else/train was made with another tokenizer"):
        hb.train("quickstart", *SMALL, 'data.path=["tokens/web", "tokens/else"]', out="run")


def test_an_unfinished_or_lost_folder_is_told(place: Path) -> None:
    Path("tokens/web/.hornbook-tokenizing").mkdir()
    Path("tokens/web/tokens.json").unlink()
    with pytest.raises(RunFolderError, match="tokens/web is not finished; type its hornbook tokenize again"):
        hb.train("quickstart", *SMALL, "data.path=tokens/web", out="run")


def test_a_lesson_takes_no_tokens(place: Path) -> None:
    said = hornbook("quickstart", "--text", "tokens/web", "--steps", "2", "--size", "1", "--out", "run")
    assert said.code == 2 and "holds tokens, and a lesson begins with text" in said.err


def test_a_recipe_over_tokens_is_shown_with_their_vocabulary(place: Path) -> None:
    said = hornbook("show", "quickstart", "size=1", "data.path=tokens/web")
    assert said.code == 0, said.err
    assert '"vocab_size": 300' in said.out and '"vocab_size": 4096' not in said.out
    said = hornbook("show", "quickstart", "data.path=tokens/web", "vocab_size=500")
    assert said.code == 2 and "for which vocab_size is settled; leave it away" in said.err


def test_the_final_evaluation_reads_no_more_than_it_is_told(place: Path) -> None:
    words = ("train", "quickstart", *SMALL, "data.path=tokens/web", "train.evaluation_tokens=1500")
    said = hornbook(*words, "--out", "run")
    assert said.code == 0, said.err
    held_out = read("run/results.json")["held_out"]
    counts = read("tokens/web/tokens.json")["parts"]["held_out"]
    assert held_out["of_documents"] == counts["documents"] > held_out["documents"] > 0
    assert held_out["bytes"] < counts["bytes"]
    part = f"{held_out['documents']} of {counts['documents']} held-out documents, spread evenly"
    assert f"Measured on {part}; train.evaluation_tokens=null takes all." in " ".join(said.out.split())
    report = Path("run/report.html").read_text(encoding="utf-8")
    assert f"Measured on {held_out['documents']} of {counts['documents']} documents" in report
