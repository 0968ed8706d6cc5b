"""Tokenizers at hand: under which names they are found, and what is said where there is none."""

from __future__ import annotations

import base64
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipes.tiny_runs import inside, story

from hornbook.base.errors import ConfigError, HornbookError, RunFolderError
from hornbook.recipes import at_hand
from hornbook.recipes.at_hand import Named, compared, find_tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.tokenizer import Tokenizer

TEXT = "The first book of letters. " * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer as a folder, `ours`, and as the rank files `cl100k_base` and `other`."""
    root = tmp_path_factory.mktemp("tokenizers")
    tokenizer = Tokenizer.train([story(20_000)], 400, pattern="cl100k", special_tokens=())
    tokenizer.save(root / "ours")
    lines = [
        f"{base64.b64encode(token).decode()} {i}\n" for i, token in enumerate(tokenizer.vocabulary.tokens)
    ]
    for name in ("cl100k_base", "other"):
        (root / f"{name}.tiktoken").write_text("".join(lines))
    return root


@pytest.mark.parametrize("path", ["ours", "ours/tokenizer.json"])
def test_a_folder_or_its_file_goes_by_the_name_of_the_folder(folder: Path, path: str) -> None:
    named = find_tokenizer(folder / path)
    assert named.name == "ours" and named.tokenizer.vocab_size == 400


def test_a_published_rank_file_says_its_pattern_by_its_name(folder: Path) -> None:
    named = find_tokenizer(folder / "cl100k_base.tiktoken")
    assert (named.name, named.tokenizer.pattern) == ("cl100k", "cl100k")
    assert find_tokenizer(folder / "other.tiktoken", "gpt2").tokenizer.pattern == "gpt2"
    with pytest.raises(ConfigError, match=r"does not say how text is split.*give --pattern, one of gpt2"):
        find_tokenizer(folder / "other.tiktoken")


def test_without_a_path_it_is_that_of_the_quickstart(folder: Path, tmp_path: Path) -> None:
    with inside(tmp_path):
        with pytest.raises(ConfigError, match=r"which tokenizer.*give --tokenizer PATH"):
            find_tokenizer()
        shutil.copytree(folder / "ours", "runs/quickstart")
        assert find_tokenizer().name == "quickstart"


def test_a_folder_gives_all_it_holds_and_says_what_it_does_not(folder: Path) -> None:
    found, left_out = compared([folder])
    assert [named.name for named in found] == ["cl100k = ours"]
    assert [Path(path).name for path, _ in left_out] == ["other.tiktoken"]
    assert "give --pattern" in left_out[0][1]


def test_a_file_must_be_a_tokenizer(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no tokenizer")
    with pytest.raises(HornbookError, match=r"notes\.txt"):
        compared([tmp_path / "notes.txt"])
    with pytest.raises(RunFolderError, match="there is no tokenizer in"):
        compared([tmp_path])


def test_the_same_vocabulary_twice_has_one_name(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "ours", tmp_path / "copy")
    found, _ = compared([folder / "ours", tmp_path / "copy", folder / "ours"])
    assert [named.name for named in found] == ["ours = copy"]


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": "NFC"},
        {"added_tokens": {"the": 300}},
        {"special_tokens": {"the": 300}},
        {"left": [], "right": [], "ranks": []},
    ],
)
def test_other_ids_are_another_tokenizer(folder: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    ours = Tokenizer.load(folder / "ours")
    arrays: dict[str, Any] = {
        name: np.array(value, np.int32) if value == [] else value for name, value in change.items()
    }
    other = Tokenizer(ByteLevel(dataclasses.replace(ours.vocabulary, **arrays)))
    named = [Named("ours", ours), Named("other", other), Named("twin", Tokenizer.load(folder / "ours"))]
    assert [each.name for each in at_hand._without_twins(named)] == ["ours = twin", "other"]


def test_without_paths_it_is_the_folder_of_the_data(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HORNBOOK_DATA", raising=False)
    assert compared() == ([], [])
    monkeypatch.setenv("HORNBOOK_DATA", str(tmp_path))
    assert compared() == ([], [])
    shutil.copytree(folder, tmp_path / "tokenizers")
    assert [named.name for named in compared()[0]] == ["cl100k"]


@pytest.mark.slow
def test_the_published_ones(real_data: Path) -> None:
    found, left_out = compared()
    assert [named.name for named in found] == ["gpt2 = r50k", "cl100k", "o200k"] and not left_out
    for named in found:
        assert named.tokenizer.decode(named.tokenizer.encode(TEXT)) == TEXT
