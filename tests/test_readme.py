"""The commands and Python examples of the README and of pages with examples: they run, or at least parse.

Commands that read `runs/quickstart` run on a tiny run in its place, and those that read `my-texts/` on tiny
texts; those that would train for minutes are only parsed; `make`, `pip` and the checks are looked up in the
Makefile and pyproject.toml. The examples of one document go on from one another, so they run in their order.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from recipes.tiny_runs import ROOT, home, hornbook

from hornbook.cli.main import app

DOCUMENTS = ("README.md", "docs/tokenizer.md", "docs/families.md", "docs/data.md", "docs/watching.md")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FOLDER = "runs/quickstart"
TEXTS = "my-texts/"
CHEAP = {"generate", "chat", "show", "tokenizer", "tokenize", "export", "import"}
OTHER_PROGRAMS = {"python", "python3", "pip", "ruff", "mypy", "pytest", "git", "cd", "source", "open"}

each_document = pytest.mark.parametrize("document", DOCUMENTS)


def blocks(language: str, document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(*documents: str) -> list[list[str]]:
    """Every command of the sh blocks as words, joined lines apart and comments off."""
    found = [block for document in documents for block in blocks("sh", document)]
    lines = "\n".join(found).replace("\\\n", " ").splitlines()
    pieces = [piece for line in lines for piece in line.split("&&")]
    return [words for piece in pieces if (words := shlex.split(piece, comments=True))]


def program(words: list[str]) -> str:
    return Path(words[0]).name


def at_hand(words: str) -> str:
    """Words of a document, naming the tiny run and the tiny texts."""
    return words.replace(FOLDER, (home() / "run").as_posix()).replace(TEXTS, "texts/")


def parse(words: list[str]) -> None:
    """Go from group to verb, and let the verb take its options."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and not (command.name == "plan" and words[0].startswith("-")):
        name, *words = words
        assert name in command.commands, f"there is no verb {name}"
        command = command.commands[name]
    command.make_context(name, words).close()


def test_there_is_something_to_check() -> None:
    assert {"make", "hornbook"} <= {program(words) for words in commands("README.md")}
    assert {words[2] for words in commands("docs/tokenizer.md")} == {"train", "show", "report"}
    assert all(blocks("python", document) for document in DOCUMENTS)


@pytest.mark.parametrize("words", commands(*DOCUMENTS), ids=" ".join)
def test_a_command_is_known(words: list[str]) -> None:
    name, *rest = program(words), *words[1:]
    if name == "make":
        targets = [word for word in rest if "=" not in word]
        assert all(re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE) for target in targets)
        variables = [word.partition("=")[0] for word in rest if "=" in word]
        assert all(re.search(rf"^{variable} \?=", MAKEFILE, flags=re.MULTILINE) for variable in variables)
    elif name == "hornbook":
        parse(rest)
    else:
        assert name in OTHER_PROGRAMS, f"{name} is a program this test does not know"


@each_document
def test_the_cheap_commands_run(document: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another in one folder, since one may read what another wrote."""
    monkeypatch.delenv("HORNBOOK_DATA", raising=False)
    for words in commands(document):
        if program(words) == "hornbook" and words[1] in CHEAP:
            said = hornbook(*map(at_hand, words[1:]), stdin="The\n")
            assert said.code == 0, (words, said.err)
            assert said.out.strip(), words


@each_document
def test_the_python_blocks_run(document: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for code in blocks("python", document):
        exec(compile(at_hand(code), document, "exec"), names)
        assert "print" not in code or capsys.readouterr().out, code


def test_a_recipe_line_resolves() -> None:
    """`hornbook train quickstart KEY=VALUE ...` names settings that exist."""
    from hornbook.recipes.shapes import resolve

    found = [words for words in commands(*DOCUMENTS) if program(words) == "hornbook"]
    recipes = [words for words in found if words[1:3] == ["train", "quickstart"]]
    assert recipes, "the README shows how a recipe is changed"
    for words in recipes:
        assert resolve("quickstart", [word for word in words[3:] if "=" in word])
