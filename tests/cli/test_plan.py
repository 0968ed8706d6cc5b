"""`hornbook plan`: what is said, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from recipes.tiny_runs import hornbook

from hornbook.cli.main import app
from hornbook.recipes import planner


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what you have: --hours 8, --params 30M, --tokens 600M or --flops 1e16, or two of them"),
        (["--hours", "0"], "--hours is a number above 0, such as 8, not 0"),
        (["--hours", "nan"], "--hours is a number above 0, such as 8, not nan"),
        (["--params", "many"], "--params is a number above 0, such as 30M, not 'many'"),
        (["--tokens", "0"], "--tokens is a number above 0, such as 3B, not '0'"),
        (["--flops", "-1e18"], "--flops is a number above 0, such as 1e18, not '-1e18'"),
        (
            ["--hours", "1", "--flops", "1e15"],
            "--hours and --flops both say how much to compute; give one of them",
        ),
        (
            ["--hours", "1", "--params", "1M", "--tokens", "1M"],
            "--hours, --params and --tokens are too many, since two of them settle the third; leave one away",
        ),
        (["--hours", "1", "--gpu", "H1000"], "there is no card 'H1000' in the table; did you mean 'H100'?"),
        (["--hours", "1", "--mfu", "0.5"], "--mfu is for --gpu; this machine is measured"),
        (
            ["--hours", "1", "--gpu", "T4", "--mfu", "40"],
            "--mfu is a share above 0 and at most 1, such as 0.4, not 40",
        ),
        (["--hours", "1", "--price", "-2"], "--price is a number above 0, such as 2.5, not -2"),
        (["--params", "10T"], "size is a number of parameters from 100k to 10B, such as 30M, not 10T"),
        (["--hours", "1", "--law", "none.json"], "none.json is missing"),
        (["fit", "none"], "none is no run folder; a law is fitted to finished runs, such as runs/ladder/*"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str) -> None:
    said = hornbook("plan", *words)
    assert (said.code, said.err) == (2, f"hornbook: {sentence}\n")


def test_the_help_has_examples_that_parse_and_explains_every_option() -> None:
    command = typer.main.get_command(app).commands["plan"]
    said = hornbook("plan", "--help")
    examples = [line.split() for line in said.out.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) == 4
    for name, verb, *words in examples:
        assert (name, verb) == ("hornbook", "plan")
        command.make_context("plan", words).close()
    assert all(getattr(each, "help", None) for each in command.params)


def test_a_plan_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planner, "STEPS_OF_SIZE", (1,))
    monkeypatch.setattr(planner, "LARGEST", 10_000_000)
    said = hornbook("plan", "--params", "1M", "--tokens", "100M", "--gpu", "A100x2", "--price", "3")
    assert said.code == 0, said.err
    told = " ".join(said.out.split())
    for fact in (
        "951k parameters",
        "2,048 tokens",
        "32,768 tokens",
        "3,052",
        "nats a token",
        "bits per byte by Hornbook's own small runs",
        "in tokens of a vocabulary of 2,048",
        "of its own vocabulary and text",
    ):
        assert fact in told
    assert "size=1M tokens=100M data.path=my-texts/" in told
    assert "2 x" in told and "at 3 an hour" in told and "one device as yet" in told
    assert "times beyond its runs" in told


@pytest.mark.slow
def test_a_recipe_of_the_ladder_is_shown_with_its_rules() -> None:
    said = hornbook("show", "llama-style", "size=100k", "train.precision=float32", "data.batch_size=2")
    assert said.code == 0, said.err
    assert "\n  vocabulary: 16 tokens for each number of width.\n" in said.out
