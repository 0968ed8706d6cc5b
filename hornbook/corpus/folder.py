"""The corpus folder: how a finished corpus lies on the disk, and when a folder may become one.

    ledger.json                        what became of every document and byte, and which shards there are
    train/documents-*.jsonl.zst        what a model learns from
    held_out/documents-*.jsonl.zst     what it is measured on

The ledger is written last: a folder without it is not a corpus. This module tells its own files from
those of other people, which it never touches; it does not know how a corpus is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from hornbook.base.errors import ConfigError, RunFolderError, did_you_mean
from hornbook.base.files import read_json, write_json
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import FORMAT, Ledger
from hornbook.corpus.readers import PathLike
from hornbook.corpus.shards import SHARD_NAME, read_shards

PARTS = ("train", "held_out")
"""The folders of a corpus."""

BUILDING = ".hornbook-building"
"""The work folder of a build, in the place where its corpus will be."""

_LEDGER = "ledger.json"


def read_corpus(out: PathLike, part: Literal["train", "held_out"] = "train") -> Iterator[Document]:
    """Return the documents of one part of a corpus folder, in the order they were written."""
    if part not in PARTS:
        raise ConfigError(f"a corpus has no part {part!r}, {did_you_mean(part, PARTS)}")
    names = read_ledger(out)["parts"][part]["shards"]
    return read_shards(Path(out) / part / name for name in names)


def is_corpus(path: PathLike) -> bool:
    """Whether a path is a corpus folder."""
    return (Path(path) / _LEDGER).is_file() and (Path(path) / PARTS[0]).is_dir()


def read_ledger(out: PathLike) -> dict[str, Any]:
    """Return the ledger of a finished corpus folder as the plain data of `ledger.json`."""
    path = Path(out) / _LEDGER
    if not path.is_file():
        raise RunFolderError(f"{Path(out)} is no finished corpus: it has no {_LEDGER}; build it first")
    ledger: dict[str, Any] = read_json(path)
    if not isinstance(ledger, dict) or ledger.get("format") != FORMAT:
        found = ledger.get("format") if isinstance(ledger, dict) else None
        raise RunFolderError(f"{path} has format {found!r}, not {FORMAT}; build the corpus again")
    return ledger


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise unless the folder is free, holds an unfinished corpus of ours, or may be replaced."""
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; give a folder for the corpus")
    if not folder.exists():
        return
    if (folder / _LEDGER).exists() and not _is_our_ledger(folder / _LEDGER):
        raise RunFolderError(f"{folder / _LEDGER} is not ours; move it away, or give another folder")
    if overwrite:
        return
    if (folder / _LEDGER).exists():
        raise RunFolderError(
            f"{folder} already holds a corpus; give another folder, or overwrite=True to build it again"
        )
    foreign = sorted(_foreign(folder))
    if foreign:
        shown = ", ".join(foreign[:3]) + (" ..." if len(foreign) > 3 else "")
        raise RunFolderError(
            f"{folder} holds other files ({shown}); give another folder, or overwrite=True to keep both"
        )


def _foreign(folder: Path) -> Iterator[str]:
    """Yield the names in a corpus folder that no build of ours made."""
    for entry in folder.iterdir():
        if entry.name in PARTS and entry.is_dir():
            yield from (f"{entry.name}/{file.name}" for file in entry.iterdir() if not _is_ours(file.name))
        elif entry.name != BUILDING and not _is_temporary(entry.name):
            yield entry.name


def _is_our_ledger(path: Path) -> bool:
    """Say whether a file is a ledger of this package, whatever its format number."""
    try:
        ledger = read_json(path)
    except RunFolderError:
        return False
    return isinstance(ledger, dict) and {"format", "steps", "inputs"} <= ledger.keys()


def _is_ours(name: str) -> bool:
    return SHARD_NAME.fullmatch(name) is not None or _is_temporary(name)


def _is_temporary(name: str) -> bool:
    """Say whether a name is that of a file which an interrupted atomic write left behind."""
    return name.startswith((f".{_LEDGER}.", ".documents-")) and name.endswith(".tmp")


def install(building: Path, folder: Path, ledger: Ledger) -> None:
    """Put the finished shards in their place, the ledger last."""
    books = ledger.to_dict()
    (folder / _LEDGER).unlink(missing_ok=True)
    for name, part in ledger.parts.items():
        place = folder / name
        place.mkdir(exist_ok=True)
        for old in [file for file in place.iterdir() if _is_ours(file.name)]:
            old.unlink()
        for shard in part.shards:
            os.replace(building / name / shard, place / shard)
    write_json(folder / _LEDGER, books)
