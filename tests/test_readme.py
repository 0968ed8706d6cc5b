"""The README's own commands: every `make` target exists, every `hornbook` line runs or at least parses.

Commands that read `runs/quickstart` run on a tiny run in its place; those that would train for minutes are
only parsed; `make`, `pip` and the checks are looked up in the Makefile and pyproject.toml.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from recipes.tiny_runs import ROOT, home, hornbook, inside

from hornbook.cli.main import app

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FOLDER = "runs/quickstart"
CHEAP = {"generate", "chat", "show"}
OTHER_PROGRAMS = {"python", "python3", "pip", "ruff", "mypy", "pytest", "git", "cd", "source", "open"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every command of the sh blocks as words, joined lines apart and comments off."""
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    pieces = [piece for line in lines for piece in line.split("&&")]
    return [words for piece in pieces if (words := shlex.split(piece, comments=True))]


def program(words: list[str]) -> str:
    return Path(words[0]).name


def test_there_is_something_to_check() -> None:
    found = [program(words) for words in commands()]
    assert {"make", "hornbook"} <= set(found)
    assert blocks("python")


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_is_known(words: list[str]) -> None:
    name, *rest = program(words), *words[1:]
    if name == "make":
        targets = [word for word in rest if "=" not in word]
        assert all(re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE) for target in targets)
        variables = [word.partition("=")[0] for word in rest if "=" in word]
        assert all(re.search(rf"^{variable} \?=", MAKEFILE, flags=re.MULTILINE) for variable in variables)
    elif name == "hornbook":
        verb, *options = rest
        group = typer.main.get_command(app)
        assert verb in group.commands, f"there is no verb {verb}"
        group.commands[verb].make_context(verb, options).close()
    else:
        assert name in OTHER_PROGRAMS, f"{name} is a program this test does not know"


@pytest.mark.parametrize(
    "words", [w for w in commands() if program(w) == "hornbook" and w[1] in CHEAP], ids=" ".join
)
def test_a_cheap_command_runs(words: list[str]) -> None:
    with inside(home()):
        said = hornbook(*("run" if word == FOLDER else word for word in words[1:]), stdin="The\n")
    assert said.code == 0, said.err
    assert said.out.strip()


@pytest.mark.parametrize("code", blocks("python"))
def test_a_python_block_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    with inside(home()):
        exec(compile(code.replace(FOLDER, "run"), "README.md", "exec"), {})
    assert "print" not in code or capsys.readouterr().out


def test_a_recipe_line_resolves() -> None:
    """`hornbook train quickstart KEY=VALUE ...` names settings that exist."""
    from hornbook.recipes.shapes import resolve

    lines = [words for words in commands() if program(words) == "hornbook" and words[1:2] == ["train"]]
    recipes = [words for words in lines if words[2] == "quickstart"]
    assert recipes, "the README shows how a recipe is changed"
    for words in recipes:
        assert resolve("quickstart", [word for word in words[3:] if "=" in word])
