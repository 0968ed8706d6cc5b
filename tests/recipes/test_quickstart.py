"""The quickstart: its eight stages as told, its dial, and what it says when it is typed again."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from recipes import tiny_runs
from recipes.tiny_runs import hornbook, quickstart

from hornbook.cli.main import app
from hornbook.recipes import words
from hornbook.recipes.quickstart import Request, openings, vocabulary_for

STAGES = ["Text", "Tokenizer", "Token shards", "Plan", "Model", "Training", "Measuring", "Samples"]


@pytest.fixture(scope="module")
def told() -> list[str]:
    """The lines of a lesson, as a pipe gets them."""
    said = tiny_runs.told()
    assert said.err == ""
    return said.out.split("\n")


def test_the_lesson_has_eight_stages_with_a_sentence_each(told: list[str]) -> None:
    headings = [line for line in told if re.match(r"\d of 8  ", line)]
    assert headings == [f"{i} of 8  {name}" for i, name in enumerate(STAGES, 1)]
    text = " ".join(" ".join(told).split())
    for sentence in (words.OWN_TEXT, words.TOKENIZER, words.SHARDS, words.PLAN, words.MODEL, words.TRAINING,
                     words.MEASURING, words.SAMPLES):  # fmt: skip
        assert sentence in text


def test_the_lesson_is_tidy(told: list[str]) -> None:
    assert all(line == line.rstrip() and len(line) <= 110 for line in told)
    assert not any("\x1b" in line or "\r" in line for line in told)
    blank = [i for i, line in enumerate(told) if not line]
    assert not any(i + 1 in blank for i in blank if i + 2 < len(told)), "two blank lines in a row"


def test_the_lesson_has_its_figures(told: list[str]) -> None:
    text = "\n".join(told)
    for figure in (
        r"found +5 documents, 50 kB",
        r"kept +5 documents, 50 kB: \d+ kB to learn from, \d kB held out",
        r"merge 1 +'.*' \+ '.*'  gives  '",
        r"train +[\d,]+ tokens, \d\.\d\d bytes a token",
        r"steps +4 +as asked",
        r"\u2193 attention .*looks back at the text so far\n +q, k, v, out 64 x 64",
        r"in all +[\d,]+ parameters",
        r"step +4 +\d\.\d{3} bits per byte on held-out text",
        r"gzip +\d\.\d{3}  \u2588+",
        r"this model +\d\.\d{3}  \u2588+",
    ):
        assert re.search(figure, text), f"no {figure!r} in the lesson"


def test_what_to_type_next_can_be_typed(told: list[str]) -> None:
    start = next(i for i, line in enumerate(told) if line.startswith("  Everything is in run"))
    text = "\n".join(told[start + 1 :])
    group = typer.main.get_command(app)
    found = re.findall(r"hornbook (chat|generate|show|quickstart)( [^ \n]+(?: [^ \n]+)*)", text)
    for verb, rest in found:
        group.commands[verb].make_context(verb, shlex.split(rest)).close()
    assert [verb for verb, _ in found] == ["chat", "generate", "show", "quickstart"]


def test_typed_again_it_says_what_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")}
    for typed in (quickstart("run"), ("quickstart", "--out", "run")):
        said = hornbook(*typed)
        assert said.code == 0 and "run already holds a finished model" in said.out
        assert "--text texts --steps 4 --size 1 --out run --overwrite" in said.out
        assert "start over (this run is kept under another name)" in said.out
    assert {path: path.stat().st_mtime_ns for path in Path("run").rglob("*")} == before


@pytest.mark.parametrize("option", [("--steps", "5"), ("--size", "2"), ("--seed", "1"), ("--minutes", "1")])
def test_other_options_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, str]
) -> None:
    monkeypatch.chdir(home)
    said = hornbook("quickstart", "--text", "texts", *option, "--out", "run")
    assert said.code == 2 and "run holds a run with other options (" in said.err
    assert "--steps 4 --size 1 --out run)" in said.err


@pytest.mark.slow
def test_minutes_turn_the_dial(place: Path) -> None:
    said = hornbook("quickstart", "--text", "texts", "--size", "1", "--minutes", "0.02", "--out", "run")
    assert said.code == 0, said.err
    run = json.loads(Path("run/run.json").read_text())
    assert {"speed", "size", "steps"} <= {choice["name"] for choice in run["dial"]}
    steps = json.loads(Path("run/config.json").read_text())["train"]["steps"]
    assert f"--steps {steps} --size 1 --out run-again" in run["reproduce"]
    assert all(choice["because"].split()[0] in said.out for choice in run["dial"])


def test_a_request_as_it_is_typed() -> None:
    request = Request(text=("my books", "b.txt"), steps=3000000, size=4, seed=7)
    typed = request.command(Path("runs/my own"))
    assert typed == (
        f"{words.program()} quickstart --text 'my books' --text b.txt --steps 3000000 --size 4 --seed 7 "
        "--out 'runs/my own'"
    )
    assert Request().command("runs/x").endswith("quickstart --out runs/x")
    assert "--minutes 4.5" in Request(minutes=4.5).command("x")


def test_samples_of_one_s_own_text_begin_as_it_does() -> None:
    texts = [
        "First line of a text.\n\n  Second line, indented\nThird one",
        "Another text\nthat goes on and on",
    ]
    assert openings(texts) == ["First line of", "Second line, indented", "Another text"]
    assert openings(["one\n"]) == ["one"]
    assert openings(["", "\n \n"]) == []
    assert openings(["\u5b57" * 100]) == ["\u5b57" * 24]


def test_the_vocabulary_grows_with_the_text() -> None:
    sizes = [vocabulary_for(n) for n in (20_000, 100_000, 1_000_000, 4_000_000, 10**9)]
    assert sizes == [*sorted(set(sizes)), sizes[-1]]
