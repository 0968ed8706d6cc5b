"""Inputs cut into portions: pieces that can be read apart from each other, by several processes.

    portions = find_portions(["web/", "books.jsonl"], step)
    for document in read_portion(portions[0], step): ...

What a portion is follows from the inputs alone: many small text files, a stretch of a file of JSON lines,
some row groups of a Parquet file, a shard of a corpus. A compressed file of lines is one portion, for it can
only be read from its beginning. The portions in order give the documents in the order of the inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from hornbook.base.errors import TextError
from hornbook.corpus.document import Document
from hornbook.corpus.folder import PARTS, is_corpus, read_ledger
from hornbook.corpus.ledger import Step
from hornbook.corpus.readers import MAX_FILE_BYTES, PathLike, admit, as_list, find_files
from hornbook.corpus.rows import (
    has_lines,
    is_compressed,
    is_parquet,
    parquet_groups,
    read_lines,
    read_parquet,
)
from hornbook.corpus.shards import read_shards

MIN_BYTES, PORTIONS = 4 * 2**20, 256
"""A portion has at least so many bytes on disk; larger inputs are cut into about so many portions."""

Kind = Literal["text", "lines", "parquet", "corpus"]


@dataclass(frozen=True)
class Portion:
    """A piece of the inputs."""

    kind: Kind
    paths: tuple[str, ...]
    """The files, as absolute paths; one, unless they are whole texts."""
    n_bytes: int
    """Its size on disk."""
    start: int = 0
    """First byte of the lines, or first row group."""
    stop: int | None = None
    """Where the next portion of the file starts; None: the end of the file."""
    part: str | None = None
    """The part of a corpus that it is of, `train` or `held_out`."""


def find_portions(
    inputs: PathLike | Sequence[PathLike],
    step: Step,
    *,
    exclude: PathLike | None = None,
    portion_bytes: int | None = None,
) -> list[Portion]:
    """Cut files, folders, globs and corpus folders into portions, each file once.

    `step` books what is passed over. Raises `TextError` where there is nothing to read.
    """
    found: list[_File | Path] = []
    seen: set[tuple[int, int]] = set()
    for given in as_list(inputs):
        if is_corpus(given):
            found.append(Path(given))
        else:
            files = find_files(given, step, exclude=exclude)
            found += [sized for file in files if (sized := _sized(file, step, seen)) is not None]
    if not found:
        raise TextError(f"there are no files in {', '.join(map(str, as_list(inputs)))}; give some text")
    total = sum(each.n_bytes for each in found if isinstance(each, _File))
    return list(_cut(found, portion_bytes or max(MIN_BYTES, total // PORTIONS)))


def read_portion(portion: Portion, step: Step, column: str = "text") -> Iterator[Document]:
    """Yield the documents of a portion, booking them; `column` holds the text of tables."""
    paths = [Path(path) for path in portion.paths]
    if portion.kind == "corpus":
        for document in read_shards(paths):
            step.enter(document.n_bytes)
            step.leave(document.n_bytes)
            yield document
    elif portion.kind == "lines":
        yield from read_lines(paths[0], column, step, portion.start, portion.stop)
    elif portion.kind == "parquet":
        yield from read_parquet(paths[0], column, step, portion.start, portion.stop)
    else:
        admitted = (admit(path.read_bytes(), path.name, step) for path in paths)
        yield from (document for document in admitted if document is not None)


class _File(NamedTuple):
    """A file of text or of rows."""

    path: Path
    n_bytes: int

    @property
    def is_table(self) -> bool:
        """Whether it has rows."""
        return has_lines(self.path) or is_parquet(self.path)


def _sized(path: Path, step: Step, seen: set[tuple[int, int]]) -> _File | None:
    """A file that is to be read; None, and booked, where it is not."""
    status = path.stat()
    file = _File(path, status.st_size)
    key = (status.st_dev, status.st_ino)
    if status.st_ino and key in seen:
        reason = "named twice"
    elif not path.is_file():
        reason = "not a regular file"
    elif file.n_bytes > MAX_FILE_BYTES and not file.is_table:
        reason = f"larger than {MAX_FILE_BYTES} bytes"
    else:
        seen.add(key)
        return file
    step.enter(file.n_bytes)
    step.drop(reason, str(path), file.n_bytes)
    return None


def _cut(found: Sequence[_File | Path], portion_bytes: int) -> Iterator[Portion]:
    """Portions of files and corpus folders, in their order."""
    texts: list[_File] = []
    for each in found:
        if isinstance(each, _File) and not each.is_table:
            texts.append(each)
        if texts and (each is not texts[-1] or sum(file.n_bytes for file in texts) >= portion_bytes):
            yield _together(texts)
            texts = []
        if isinstance(each, Path):
            yield from _of_corpus(each)
        elif each.is_table:
            yield from _of_table(each.path, each.n_bytes, portion_bytes)
    if texts:
        yield _together(texts)


def _together(texts: Sequence[_File]) -> Portion:
    """Text files as one portion."""
    return Portion("text", tuple(str(file.path.absolute()) for file in texts), sum(f.n_bytes for f in texts))


def _of_table(file: Path, size: int, portion_bytes: int) -> Iterator[Portion]:
    """A file of rows in portions."""
    paths = (str(file.absolute()),)
    if is_parquet(file):
        start = n_bytes = 0
        groups = parquet_groups(file)
        for number, group in enumerate(groups, 1):
            n_bytes += group
            if n_bytes >= portion_bytes or number == len(groups):
                yield Portion("parquet", paths, n_bytes, start, number)
                start, n_bytes = number, 0
    elif is_compressed(file):
        yield Portion("lines", paths, size)
    else:
        for start in range(0, size, portion_bytes):
            stop = min(size, start + portion_bytes)
            yield Portion("lines", paths, stop - start, start, stop)


def _of_corpus(folder: Path) -> Iterator[Portion]:
    """The shards of a corpus, a portion each."""
    ledger = read_ledger(folder)
    for part in PARTS:
        for name in ledger["parts"][part]["shards"]:
            path = (folder / part / name).absolute()
            yield Portion("corpus", (str(path),), path.stat().st_size if path.exists() else 0, part=part)
