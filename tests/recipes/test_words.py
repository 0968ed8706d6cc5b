"""How the program is told to be typed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from hornbook.recipes import words


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up environment `my env` with an interpreter; the person stands beside it."""
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    script(folder / "python")
    return folder


def script(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_by_name_where_that_finds_it(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(scripts / "hornbook")
    monkeypatch.setenv("PATH", str(scripts))
    assert words.program() == "hornbook"


def test_by_name_where_the_name_is_a_link_to_it(scripts: Path, tmp_path: Path) -> None:
    script(scripts / "hornbook")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/hornbook").symlink_to(scripts / "hornbook")
    assert words.program() == "hornbook"


def test_by_path_where_the_name_is_another_program(scripts: Path, tmp_path: Path) -> None:
    script(scripts / "hornbook")
    script(tmp_path / "elsewhere/hornbook")
    assert words.program() == "'my env/bin/hornbook'"


def test_by_module_where_there_is_no_script(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.program() == "'my env/bin/python' -m hornbook"
    monkeypatch.setenv("PATH", str(scripts))
    assert words.program() == "python -m hornbook"


def test_the_program_that_runs_the_tests_can_be_typed() -> None:
    program = shlex.split(words.program())[0]
    assert shutil.which(program) or Path(program).is_file()


def test_a_folder_with_a_blank_is_quoted() -> None:
    for command, _ in words.next_commands(Path("my runs/x"))[:3]:
        assert "my runs/x" in shlex.split(command)
    assert shlex.split(words.resume(Path("my runs/x")))[-3:] == ["train", "my runs/x", "--resume"]
