"""Mistakes at the command line: one sentence each, exit code 2, and nothing is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from recipes.tiny_runs import home, hornbook, quickstart, story

from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes.shapes import RECIPES

TINY = ("--steps", "2", "--size", "1")


def complaint(*words: str | Path, code: int = 2) -> str:
    """The one sentence a command ends with."""
    said = hornbook(*words)
    assert said.code == code, said.err
    assert said.err.startswith("hornbook: ") and said.err.count("\n") == 1, said.err
    return said.err.removeprefix("hornbook: ").rstrip("\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["quickstart", "--minutes", "0"], "--minutes is a number above 0, such as 4.5, not 0"),
        (["quickstart", "--minutes", "-1"], "--minutes is a number above 0, such as 4.5, not -1"),
        (["quickstart", "--minutes", "nan"], "--minutes is a number above 0, such as 4.5, not nan"),
        (["quickstart", "--minutes", "inf"], "--minutes is a number above 0, such as 4.5, not inf"),
        (
            ["quickstart", "--minutes", "1", "--steps", "3"],
            "--minutes and --steps both say how long to train; give one of them",
        ),
        (["train", "quickstart"], "where to? give --out FOLDER, for example --out runs/first"),
        (
            ["train", "quickstart", "--resume"],
            "go on with what? 'quickstart' is no run folder; give one, or --out FOLDER",
        ),
        (
            ["train", "quikstart", "--out", "x"],
            "there is no recipe, config file or run folder 'quikstart', did you mean 'quickstart'?",
        ),
        (
            ["show", "nothing"],
            f"there is no recipe, config file or run folder 'nothing', known: {', '.join(sorted(RECIPES))}",
        ),
        (
            ["train", "quickstart", "size=0", "--out", "x"],
            "size is a whole number from 1 up, not '0'; large ones may be typed 30M",
        ),
        (
            ["train", "quickstart", "size=big", "--out", "x"],
            "size is a whole number from 1 up, not 'big'; large ones may be typed 30M",
        ),
        (
            ["train", "quickstart", "train.stepz=3", "--out", "x"],
            "there is no 'train.stepz': 'stepz' is not in train, did you mean 'steps'?",
        ),
        (
            ["train", "quickstart", "train.steps=soon", "--out", "x"],
            "the overrides: train.steps must be a whole number, not 'soon'",
        ),
        (
            ["train", "quickstart", "--out", "x", "--resume", "--overwrite"],
            "--resume goes on with a run and --overwrite starts it over; give one of them",
        ),
        (
            ["train", "quickstart", "model.vocab_size=300", "--out", "x"],
            "model.vocab_size 300 differs from tokenizer.vocab_size 4096; set tokenizer.vocab_size alone, "
            "the model follows",
        ),
        (
            ["chat", "nothing"],
            "nothing/config.json is missing: there is no such folder; `hornbook quickstart` makes one",
        ),
        (
            ["generate", "texts", "a"],
            "texts/config.json is missing: it is empty or not a run folder; `hornbook quickstart` makes one",
        ),
    ],
)
def test_a_mistake_is_one_sentence(place: Path, words: list[str], sentence: str) -> None:
    before = contents(place)
    assert complaint(*words) == sentence
    after = contents(place)
    after.pop("x/run.json", None)
    assert after == before


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--temperature", "-1", "temperature"),
        ("--temperature", "nan", "temperature"),
        ("--top-k", "0", "top_k"),
        ("--top-p", "2", "top_p"),
        ("--top-p", "0", "top_p"),
        ("--max-new-tokens", "0", "max_new_tokens is 0; ask for at least 1 token"),
        ("--max-new-tokens", "-5", "max_new_tokens is -5; ask for at least 1 token"),
    ],
)
def test_bad_sampling_is_refused(option: str, value: str, said: str) -> None:
    assert said in complaint("generate", home() / "run", "The", option, value)


def test_text_that_cannot_be_used(place: Path) -> None:
    for name in ("empty", "binary", "few", "little"):
        Path(name).mkdir()
    Path("binary/a.bin").write_bytes(bytes(range(256)) * 20)
    Path("few/a.txt").write_text("Hello.")
    Path("little/a.txt").write_text(story(5000))
    asked = ("quickstart", *TINY, "--out", "x", "--text")
    assert complaint(*asked, "missing").startswith("there is no file or folder 'missing'")
    assert complaint(*asked, "empty") == "there are no files in 'empty'; give a folder that holds text files"
    assert "there is no text in 'binary': all its files were left out (1 binary)" in complaint(
        *asked, "binary"
    )
    assert (
        complaint(*asked, "few") == "6 bytes of text are too few to hold some of them out; give at least 100"
    )
    assert complaint(*asked, "little") == (
        "the text has 5,000 bytes, too few to train on: give at least 21,760 "
        "(a model that writes words wants a megabyte or more)"
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_text_that_may_not_be_read(place: Path) -> None:
    for path in Path("texts").iterdir():
        path.chmod(0)
    assert "texts" in complaint("quickstart", *TINY, "--out", "x", "--text", "texts")


@pytest.mark.slow
def test_a_start_with_bad_text_is_not_in_the_way(place: Path) -> None:
    """The folder of a start that came to nothing takes the next one, whatever its options."""
    complaint("quickstart", *TINY, "--text", "missing", "--out", "x")
    assert hornbook(*quickstart("x")).code == 0
    complaint("train", "quickstart", "data.path=missing", "size=1", "--out", "y")
    words = ("train", "quickstart", "data.path=texts", "tokenizer.vocab_size=400", "size=1", "train.steps=2")
    assert hornbook(*words, "--out", "y").code == 0


def test_files_that_are_not_utf8_are_counted(place: Path) -> None:
    Path("texts/old.txt").write_bytes("déjà vu, voilà".encode("latin-1"))
    said = hornbook(*quickstart("x"))
    assert said.code == 0, said.err
    assert "left out     1 document, 14 bytes: not UTF-8" in said.out
    ledger = json.loads(Path("x/ledger.json").read_text())
    assert [(d["reason"], d["documents"]) for d in ledger["steps"][0]["dropped"]] == [("not UTF-8", 1)]


@pytest.mark.parametrize("verb", [("quickstart",), ("train", "quickstart")], ids=["quickstart", "train"])
@pytest.mark.parametrize("flags", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_foreign_folder_or_file_stays_as_it_is(
    place: Path, verb: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    before = contents(place)
    for out in ("texts", "texts/story0.txt", "."):
        name = place if out == "." else out
        assert complaint(*verb, "--out", out, *flags) == (
            f"{name} exists already and is not a run folder; it stays as it is, choose another --out"
        )
    assert contents(place) == before


@pytest.mark.slow
def test_a_run_in_the_way_is_refused_and_kept(place: Path) -> None:
    shutil.copytree(home() / "run", "run")
    before = contents(place / "run")
    other = ("quickstart", "--text", "texts", "--steps", "5", "--out", "run")
    assert complaint(*other) == (
        f"run holds a run with other options ({RunFacts('run')['command']}); choose another --out, or start "
        "over with --overwrite (the old run is kept under another name)"
    )
    assert "run exists already: continue it with --resume" in complaint("train", "quickstart", "--out", "run")
    assert contents(place / "run") == before
    said = hornbook(*quickstart("run", "--overwrite", "--seed", "1"))
    assert said.code == 0 and "The former run is kept as run.old-1." in said.out
    assert contents(place / "run.old-1") == before
    assert RunFacts("run")["seed"] == 1


def RunFacts(folder: str) -> dict[str, object]:
    return dict(json.loads((Path(folder) / "run.json").read_text()))


@pytest.mark.slow
def test_a_run_of_train_is_not_taken_for_a_quickstart(place: Path) -> None:
    words = ("train", "quickstart", "data.path=texts", "tokenizer.vocab_size=400", "size=1", "train.steps=2")
    assert hornbook(*words, "--out", "run").code == 0
    assert "run holds a run with other options" in complaint("quickstart", "--steps", "5", "--out", "run")
    assert "run already holds a finished model" in hornbook("quickstart", "--out", "run").out


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a place where nobody can write")
def test_a_place_where_nobody_can_write(place: Path) -> None:
    assert complaint("quickstart", *TINY, "--text", "texts", "--out", "/proc/x").startswith(
        "/proc/x cannot be made ("
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def set_format(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


@pytest.mark.slow
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
@pytest.mark.parametrize("verb", ["chat", "generate"])
def test_damaged_weights_are_named_and_mended(place: Path, verb: str, harm: Callable[[Path], None]) -> None:
    shutil.copytree(home() / "run", "run")
    weights = Path("run/model.safetensors")
    whole = weights.read_bytes()
    harm(weights)
    sentence = complaint(verb, "run")
    assert sentence.startswith("run/model.safetensors is ") and "--resume" in sentence
    assert hornbook("train", "run", "--resume").code == 0
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("harm", [cut, flip])
def test_a_damaged_save_is_named(place: Path, harm: Callable[[Path], None]) -> None:
    shutil.copytree(home() / "run", "run")
    weights = Path("run/model.safetensors").read_bytes()
    Path("run/model.safetensors").unlink()
    newest, *older = sorted(Path("run/training").iterdir(), reverse=True)
    harm(newest)
    said = hornbook("train", "run", "--resume")
    assert said.code == 0 and f"{newest} is damaged" in said.out and "an older save is" in said.out
    assert Path("run/model.safetensors").read_bytes() == weights
    Path("run/model.safetensors").unlink()
    for path in (newest, *older):
        harm(path)
    sentence = complaint("train", "run", "--resume")
    assert sentence.startswith(f"{newest} is damaged") and f"; {older[0]} is damaged" in sentence
    assert "--overwrite" in sentence


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "run.json"])
def test_a_damaged_json_file_is_named(place: Path, name: str) -> None:
    shutil.copytree(home() / "run", "run")
    cut(Path("run") / name)
    verb = ("quickstart", "--out") if name == "run.json" else ("generate",)
    assert f"run/{name}" in complaint(*verb, "run")


def test_damaged_tokens_are_named(place: Path) -> None:
    shutil.copytree(home() / "run", "run")
    shutil.rmtree("run/training")
    Path("run/model.safetensors").unlink()
    tokens = max(Path("run/data/train").iterdir(), key=lambda path: path.stat().st_size)
    cut(tokens)
    assert str(tokens.parent) in complaint("train", "run", "--resume")


def test_a_run_of_another_format_is_named(place: Path) -> None:
    shutil.copytree(home() / "run", "run")
    set_format(Path("run/config.json"))
    assert "run/config.json is of format 99, and this Hornbook reads format 1" in complaint("generate", "run")
    assert "run/config.json" in complaint("show", "run")


def test_resume_refuses_another_configuration(place: Path) -> None:
    shutil.copytree(home() / "run", "run")
    sentence = complaint("train", "run", "train.steps=9", "data.batch_size=2", "--resume")
    assert "data.batch_size was 16, asked is 2" in sentence
    assert "(these may change: train.steps was 4, asked is 9)" in sentence
    assert RunFolder("run").is_finished
