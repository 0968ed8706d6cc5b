"""The whole way from files to a corpus folder: read, deduplicate, split, write.

The steps are generators over documents, so memory holds one document at a time and a few bytes of hashes
for each. The split has to know all sizes before it can choose; until then the documents wait in shards in a
work folder inside `out`. An older corpus in `out` stays whole until the new one is ready beside it.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hornbook.base.errors import RunFolderError
from hornbook.base.progress import Progress, silent, tracked
from hornbook.corpus import dedup, python_library, readers, split
from hornbook.corpus.document import Document
from hornbook.corpus.folder import BUILDING, PARTS, check_free, install, read_corpus, read_ledger
from hornbook.corpus.ledger import Ledger, Part
from hornbook.corpus.readers import PathLike
from hornbook.corpus.shards import ShardWriter, read_shards, write_shards

__all__ = ["PYTHON", "build_corpus", "read_corpus", "read_ledger"]

PYTHON = "python"
"""The input that stands for the running interpreter's own library; a folder of that name is `./python`."""


def build_corpus(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    held_out_share: float = split.DEFAULT_SHARE,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Ledger:
    """Build a corpus folder from text files, folders, globs or `"python"`, and return its ledger.

    `seed` chooses which documents are held out. A finished corpus in `out` is replaced only with `overwrite`;
    files that are not ours are never touched. `progress` counts documents, first read, then written.
    Raises `TextError` where there is no text, `RunFolderError` where `out` is taken or cannot be written.
    """
    folder = Path(out)
    split.check_share(held_out_share)
    check_free(folder, overwrite)
    ledger = Ledger(inputs=[_name(given) for given in readers.as_list(inputs)])
    documents = read_inputs(readers.as_list(inputs), ledger, folder)
    building = folder / BUILDING
    was_there = folder.exists()
    try:
        _remove(building)
        building.mkdir(parents=True)
        _build(documents, building, ledger, held_out_share, seed, progress)
        install(building, folder, ledger)
    except OSError as error:
        raise RunFolderError(f"cannot write the corpus to {folder}: {error.strerror or error}") from error
    finally:
        _remove(building)
        if not was_there:
            _remove_if_empty(folder)
    return ledger


def _build(
    documents: Iterator[Document],
    building: Path,
    ledger: Ledger,
    share: float,
    seed: int,
    progress: Progress,
) -> None:
    """Write the shards of both parts below `building` and book every step."""
    unique = dedup.deduplicate(documents, ledger.step("deduplicate", dedup.NOTE))
    prints, sizes = array("Q"), array("Q")
    waiting = write_shards(_measured(unique, prints, sizes, seed, progress), building / "all")
    plan = split.plan_split(prints, sizes, share, seed)
    again = tracked(read_shards(building / "all" / name for name in waiting), progress, len(sizes))
    _divide(again, plan, building, ledger)


def _name(given: PathLike) -> str:
    """An input as the ledger names it."""
    return f"python {platform.python_version()}" if given == PYTHON else os.fspath(given)


def read_inputs(inputs: Sequence[PathLike], ledger: Ledger, out: Path) -> Iterator[Document]:
    """Open the inputs, all under one step of the ledger; an input that does not exist is told at once.

    They are those of `build_corpus`; the folder `out` is passed over.
    """
    step = ledger.step("read", "")
    streams: list[Iterator[Document]] = []
    notes: list[str] = []
    if PYTHON in inputs:
        streams.append(python_library.read_python_library(step))
        notes.append(python_library.NOTE)
    if paths := [given for given in inputs if given != PYTHON]:
        streams.append(readers.read_text(paths, step, exclude=out))
        notes.append(readers.NOTE)
    step.note = " ".join(notes)
    return itertools.chain.from_iterable(streams)


def _measured(
    documents: Iterable[Document], prints: array[int], sizes: array[int], seed: int, progress: Progress
) -> Iterator[Document]:
    """Yield the documents unchanged, noting what the split has to know of each."""
    for document in documents:
        prints.append(split.fingerprint(document.text, seed))
        sizes.append(document.n_bytes)
        yield document
        progress(len(sizes), None)


def _divide(documents: Iterable[Document], plan: split.SplitPlan, building: Path, ledger: Ledger) -> None:
    """Write every document to its part and book it."""
    step = ledger.step("hold out", split.note(plan))
    with ShardWriter(building / "train") as train, ShardWriter(building / "held_out") as held_out:
        writers = {"train": train, "held_out": held_out}
        ledger.parts = {name: Part(shards=writer.names) for name, writer in writers.items()}
        for document in documents:
            step.enter(document.n_bytes)
            pieces = dict(zip(PARTS, plan.divide(document), strict=True))
            if None not in pieces.values():
                step.gain("cut in two, the tail held out", document.source, document.text)
            for name, piece in pieces.items():
                if piece is not None:
                    writers[name].write(piece)
                    step.leave(piece.n_bytes)
                    ledger.parts[name].count.add(1, piece.n_bytes)
                    ledger.kept.offer(piece.source, piece.text, part=name)
    if not all(part.shards for part in ledger.parts.values()):
        raise split.too_small(step.entered.bytes)


def _remove(building: Path) -> None:
    """Remove the work folder of a build, if it is there."""
    with suppress(FileNotFoundError):
        shutil.rmtree(building)


def _remove_if_empty(folder: Path) -> None:
    """Remove the folder of a build that failed before it put anything there."""
    with suppress(OSError):  # raised where the folder holds something: a finished corpus
        folder.rmdir()
