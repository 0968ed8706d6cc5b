"""Tokenizers at hand: what a path or a folder of published vocabularies holds, each under its name.

`find_tokenizer("runs/base")` loads one, `compared(["vocabularies/"])` all that lie in a folder. Rank files do
not say how text is split; those of the published ones do by their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hornbook.base.errors import ConfigError, HornbookError, RunFolderError
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.tokenizer import Tokenizer

PUBLISHED = {"r50k_base": "gpt2", "cl100k_base": "cl100k", "o200k_base": "o200k"}
"""The pattern of each published rank file, by the name of the file."""

DEFAULT = Path("runs/quickstart")
"""Where a tokenizer is looked for when none is named."""


@dataclass(frozen=True)
class Named:
    """A tokenizer and the name a reader knows it by."""

    name: str
    tokenizer: Tokenizer


def find_tokenizer(path: str | os.PathLike[str] | None = None, pattern: str | None = None) -> Named:
    """Load a run folder, a tokenizer's folder or file; without a path, that of `runs/quickstart`.

    `pattern` is for rank files whose name is not a published one.
    """
    if path is None:
        if not (DEFAULT / "tokenizer.json").is_file():
            raise ConfigError(
                f"which tokenizer? there is none in {DEFAULT}; give --tokenizer PATH: a run folder, a "
                "tokenizer.json or a .tiktoken file"
            )
        path = DEFAULT
    place = Path(path)
    if place.suffix == ".tiktoken" and pattern is None and place.is_file():
        pattern = PUBLISHED.get(place.stem)
        if pattern is None:
            raise ConfigError(
                f"{place} does not say how text is split, and its name is none of {', '.join(PUBLISHED)}; "
                f"give --pattern, one of {', '.join(PATTERNS)} or a regular expression"
            )
    return Named(_name(place), Tokenizer.load(place, pattern))


def compared(paths: Sequence[str | os.PathLike[str]] = ()) -> tuple[list[Named], list[tuple[str, str]]]:
    """Load the tokenizers of files and folders; return them, and (path, reason) of what was left out.

    A file must be a tokenizer; of a folder the files that are none are left out. Without paths it is the
    folder `tokenizers` in the one that the variable HORNBOOK_DATA names, and there the files of GPT-2, r50k,
    cl100k and o200k alone. Two vocabularies that are the same get one name together.
    """
    found: list[Named] = []
    left_out: list[tuple[str, str]] = []
    for path in map(Path, paths):
        if path.is_dir():
            _add_folder(path, _candidates(path), found, left_out)
        else:
            found.append(find_tokenizer(path))
    if not paths and (data := os.environ.get("HORNBOOK_DATA")):
        folder = Path(data, "tokenizers")
        known = (file for file in _candidates(folder) if file.name == "vocab.bpe" or file.stem in PUBLISHED)
        _add_folder(folder, known, found, left_out)
    return _without_twins(found), left_out


def _candidates(folder: Path) -> Iterator[Path]:
    """The files of a folder, and of those inside it, that look like tokenizers."""
    for file in sorted(folder.rglob("*")):
        if file.name in ("tokenizer.json", "vocab.bpe") or file.suffix in (".tiktoken", ".model"):
            yield file


def _add_folder(
    folder: Path, files: Iterator[Path], found: list[Named], left_out: list[tuple[str, str]]
) -> None:
    before = len(found) + len(left_out)
    for file in files:
        try:
            found.append(find_tokenizer(file))
        except HornbookError as error:
            left_out.append((str(file), str(error)))
    if folder.is_dir() and before == len(found) + len(left_out):
        raise RunFolderError(f"there is no tokenizer in {folder}: no tokenizer.json, .tiktoken or vocab.bpe")


def _without_twins(found: list[Named]) -> list[Named]:
    """The same tokenizers, those that give the same ids under one name."""
    first: list[tuple[object, Tokenizer, list[str]]] = []
    for each in found:
        key = _identity(each.tokenizer)
        for known, tokenizer, names in first:
            if known == key and _merge_alike(tokenizer, each.tokenizer):
                names += [each.name] if each.name not in names else []
                break
        else:
            first.append((key, each.tokenizer, [each.name]))
    return [Named(" = ".join(names), tokenizer) for _, tokenizer, names in first]


def _identity(tokenizer: Tokenizer) -> object:
    """What two tokenizers share that give the same ids, merges aside."""
    try:
        vocabulary = tokenizer.vocabulary
    except ConfigError:
        return id(tokenizer)
    return (
        vocabulary.pattern, tuple(vocabulary.tokens), vocabulary.normalizer,
        dict(vocabulary.special_tokens), dict(vocabulary.added_tokens),
    )  # fmt: skip


def _merge_alike(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether two tokenizers with the same tokens merge them alike, whichever way it is written down."""
    if one is other:
        return True
    if _rules(one) == _rules(other):
        return True
    try:
        # One may list the merges and the other be a table of ranks.
        return one.ranks() == other.ranks()
    except ConfigError:
        return False


def _rules(tokenizer: Tokenizer) -> object:
    """The merges in the order in which they are done, and whether whole words are looked up before."""
    vocabulary = tokenizer.vocabulary
    columns = (vocabulary.ranks, vocabulary.left, vocabulary.right)
    order = sorted(zip(*(column.tolist() for column in columns), strict=True))
    ranks = {rank: place for place, rank in enumerate(sorted({rank for rank, _, _ in order}))}
    return [(ranks[rank], left, right) for rank, left, right in order], vocabulary.whole_words


def _name(path: Path) -> str:
    """What a tokenizer is called: its folder, or its file where that says more."""
    if path.is_dir():
        return path.resolve().name
    said_by_folder = path.name in ("tokenizer.json", "vocab.bpe")
    name = path.resolve().parent.name if said_by_folder else path.stem
    return name.removesuffix("_base")
