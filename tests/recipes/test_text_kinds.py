"""Texts by kind: what is a kind, what it is called, what is held out, and which ones are parallel."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.tiny_runs import story

from hornbook.base.errors import TextError
from hornbook.corpus.pipeline import build_corpus
from hornbook.recipes import text_kinds
from hornbook.recipes.text_kinds import Kind, parallel, read_kinds


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def sentences(letter: str, lengths: list[int]) -> str:
    return "".join(f"{letter * length}\n" for length in lengths)


def test_each_file_and_each_folder_inside_is_a_kind(tmp_path: Path) -> None:
    written(tmp_path / "all", english="One.\n", german="Eins.\n")
    written(tmp_path / "all" / "novels", first="A long story.", second="Another one.")
    (tmp_path / "all" / ".notes").write_text("not read")
    alone = written(tmp_path / "one", letter="Dear reader,") / "letter.txt"
    kinds, step = read_kinds([tmp_path / "all", alone])
    assert [kind.name for kind in kinds] == ["english", "german", "novels", "letter"]
    assert kinds[2].texts == ("A long story.", "Another one.")
    assert step.left.documents == 5


def test_a_corpus_is_one_kind(tmp_path: Path) -> None:
    written(tmp_path / "texts", **{f"t{i}": story(500, seed=i) for i in range(5)})
    build_corpus(tmp_path / "texts", tmp_path / "corpus")
    kinds, _ = read_kinds(tmp_path / "corpus")
    assert [kind.name for kind in kinds] == ["corpus"] and kinds[0].texts


def test_a_folder_of_very_many_files_is_one_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "many", a="a", b="b", c="c")
    monkeypatch.setattr(text_kinds, "MOST_KINDS", 2)
    assert [kind.name for kind in read_kinds(folder)[0]] == ["many"]


def test_kinds_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, notes="words") for name in ("x", "y", "deep/y")]
    names = [kind.name for kind in read_kinds(folders)[0]]
    assert names == ["x/notes", "y/notes", "y/notes (2)"]


def test_a_long_kind_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_kinds, "MOST_CHARACTERS", 5)
    whole = written(tmp_path / "whole", a="12345") / "a.txt"
    long = written(tmp_path / "long", a="123456") / "a.txt"
    several = written(tmp_path / "up" / "several", a="123", b="45", c="6").parent
    found = [(kind.texts, kind.cut) for kind in read_kinds([whole, long, several])[0]]
    assert found == [(("12345",), False), (("12345",), True), (("123", "45"), True)]


def test_what_holds_no_text_is_left_out_and_nothing_is_an_error(tmp_path: Path) -> None:
    folder = written(tmp_path / "mixed", good="words", blank=" ")
    kinds, step = read_kinds(folder)
    assert [kind.name for kind in kinds] == ["good"] and list(step.dropped) == ["empty"]
    with pytest.raises(TextError, match=r"all of it was left out \(1 empty\)"):
        read_kinds(folder / "blank.txt")
    with pytest.raises(TextError, match="there are no files"):
        read_kinds(written(tmp_path / "empty"))
    with pytest.raises(TextError, match="there is no file or folder"):
        read_kinds(tmp_path / "missing")


def test_the_last_tenth_is_held_out() -> None:
    learned, held_out = Kind("a", "", (sentences("x", list(range(1, 41))),)).divided()
    assert learned.lines == ["x" * n for n in range(1, 37)]
    assert held_out.lines == ["x" * n for n in range(37, 41)]
    learned, held_out = Kind("a", "", ("abcdefghijklmnopqrst",)).divided()
    assert learned.texts[0] + held_out.texts[0] == "abcdefghijklmnopqrst\n"
    assert len(held_out.texts[0]) == 2


LENGTHS = [5 + (7 * i) % 40 for i in range(30)]


def test_the_same_lines_in_several_languages_are_found(tmp_path: Path) -> None:
    """Long lines are long in every language; a file with as many other lines is none of them."""
    folder = written(
        tmp_path / "languages",
        eng=sentences("a", LENGTHS),
        deu=sentences("b", [length + i % 3 for i, length in enumerate(LENGTHS)]),
        zho=sentences("\u5b57", [length // 3 for length in LENGTHS]),
        code=sentences("c", [45 - length for length in LENGTHS]),
        longer=sentences("d", [*LENGTHS, 3]),
    )
    elsewhere = written(tmp_path / "elsewhere", eng=sentences("a", LENGTHS))
    kinds, _ = read_kinds([folder, elsewhere])
    assert {kind.name for kind in parallel(kinds)} == {"deu", "languages/eng", "zho"}


@pytest.mark.parametrize(
    "lengths", [LENGTHS[:10], [4] * 30], ids=["too few to tell", "all alike, so nothing to tell"]
)
def test_lines_that_tell_nothing_are_not_parallel(lengths: list[int]) -> None:
    kinds = [Kind(name, "folder", (sentences(name, lengths),)) for name in "abc"]
    assert parallel(kinds) == []


def test_files_of_other_texts_are_not_parallel() -> None:
    kinds = [Kind(str(seed), "folder", ("\n".join(story(4000, seed).split()[:300]),)) for seed in range(2)]
    assert len(kinds[0].lines) == len(kinds[1].lines) == 300 and parallel(kinds) == []
