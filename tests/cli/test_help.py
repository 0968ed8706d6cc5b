"""Help: the first page, a page for every verb with examples that work, and hints after a slip."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
from recipes.tiny_runs import ended, home, hornbook, process

import hornbook as hb
from hornbook.cli.main import app

VERBS = [
    "quickstart", "train", "generate", "chat", "tokenize", "show", "report", "compare", "import", "export",
]  # fmt: skip


def examples(verb: str) -> list[str]:
    """The commands under `Examples:` on a verb's help page."""
    after = hornbook(verb, "--help").out.partition("Examples:")[2]
    return [line.strip() for line in after.splitlines() if line.strip()]


def test_no_verb_shows_the_page() -> None:
    said = hornbook()
    assert said.code == 0 and said == hornbook("--help") == hornbook("-h")
    assert all(verb in said.out for verb in VERBS)
    words = " ".join(said.out.split())
    assert "New here? Type hornbook quickstart" in words
    assert "hornbook VERB --help" in words


def test_the_page_lists_every_verb() -> None:
    assert [command.name or command.callback.__name__ for command in app.registered_commands] == VERBS


def test_version() -> None:
    assert hornbook("--version") == (0, f"hornbook {hb.__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_that_parse(verb: str) -> None:
    found = examples(verb)
    assert len(found) >= 2, f"hornbook {verb} --help shows {found}"
    group = typer.main.get_command(app)
    for line in found:
        name, typed, *words = shlex.split(line)
        assert (name, typed) == ("hornbook", verb)
        group.commands[verb].make_context(verb, words).close()


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb: str) -> None:
    for parameter in typer.main.get_command(app).commands[verb].params:
        assert getattr(parameter, "help", None), f"{verb} {parameter.name} has no help"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["quikstart"], "Did you mean 'quickstart'?"),
        (["quickstart", "--stepz", "3"], "--steps"),
        (["generate"], "Missing argument"),
        (["quickstart", "--steps", "0"], "greater than or equal to 1"),
        (["quickstart", "--size", "0"], "greater than or equal to 1"),
        (["quickstart", "--minutes", "soon"], "valid number"),
        (["quickstart", "--no-overwrite"], "No such option"),
    ],
)
def test_a_slip_is_told_with_a_hint(words: list[str], hint: str) -> None:
    said = hornbook(*words)
    assert said.code == 2 and not said.out
    assert hint in " ".join(re.sub("[│╭╮╰╯─]", " ", said.err).split())
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words", [[], ["quickstart", "--help"], ["show", "run"]], ids=["page", "help", "show"]
)
@pytest.mark.slow
def test_a_pipe_gets_no_colours(words: list[str]) -> None:
    said = ended(process(*words, cwd=home()))
    assert said.code == 0, said.err
    assert "\x1b" not in said.out and "\r" not in said.out


@pytest.mark.slow
def test_letters_that_the_output_cannot_take_do_no_harm() -> None:
    said = ended(process("show", "run", cwd=home(), PYTHONIOENCODING="ascii"))
    assert said.code == 0, said.err
    assert "? embedding" in said.out


@pytest.mark.slow
def test_a_reader_that_goes_away_does_no_harm() -> None:
    running = process("show", "run", cwd=home())
    assert running.stdout and running.stdout.readline() == "\n"
    running.stdout.close()
    running.wait(timeout=300)
    assert running.stderr
    with running.stderr as err:
        assert "Traceback" not in err.read()
