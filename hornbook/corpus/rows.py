"""Reads tables of texts: JSON lines, plain or compressed by gzip or Zstandard, and Parquet.

A row is a document if its text column holds any text; an empty one is booked and passed over. A row that is
damaged, or has no such column, stops the reading with its file and place: what a file leaves out in silence
nobody misses. Lines and row groups can be read in part, so that several processes share a large file.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from hornbook.base.errors import TextError, did_you_mean
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step

LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".json.gz", ".jsonl.zst", ".ndjson.zst", ".json.zst")
"""How names of files of JSON lines end. A plain .json is one document, as any text."""

_READ_BYTES = 2**20
_ROWS_AT_ONCE = 1024


def has_lines(path: Path) -> bool:
    """Whether a file is one of JSON lines, by its name."""
    return path.name.lower().endswith(LINES)


def is_compressed(path: Path) -> bool:
    """Whether a file must be read from its beginning."""
    return path.suffix.lower() in (".gz", ".zst")


def is_parquet(path: Path) -> bool:
    """Whether a file is a Parquet file, by its name."""
    return path.suffix.lower() == ".parquet"


def read_lines(
    path: Path, column: str, step: Step, start: int = 0, stop: int | None = None
) -> Iterator[Document]:
    """Yield the documents of JSON lines, of those that begin at the bytes [start, stop) of a plain file."""
    for place, line in _lines(path, start, stop):
        if line.strip():
            yield from _booked(_value(line, column, f"{path}, {place}"), f"{path}, {place}", step)


def read_parquet(
    path: Path, column: str, step: Step, start: int = 0, stop: int | None = None
) -> Iterator[Document]:
    """Yield the documents of a Parquet file, of its row groups [start, stop)."""
    with _parquet(path) as file:
        _check_column(file.schema_arrow, column, path)
        groups = range(start, file.num_row_groups if stop is None else stop)
        for group in groups:
            row = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield from _booked(value, f"{path}, row {row} of group {group}", step)
                    row += 1


def parquet_groups(path: Path) -> list[int]:
    """The compressed size of each row group of a Parquet file, in bytes."""
    with _parquet(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        return [
            sum(group.column(number).total_compressed_size for number in range(group.num_columns))
            for group in groups
        ]


def _booked(value: Any, source: str, step: Step) -> Iterator[Document]:
    """A row's text as a document, if there is any."""
    if value is not None and not isinstance(value, str):
        raise TextError(f"{source}: the text is {type(value).__name__}; name a column of texts by --column")
    document = Document(_whole(value or ""), source)
    step.enter(document.n_bytes)
    if not document.text.strip():
        step.drop("empty", source, document.n_bytes)
        return
    step.leave(document.n_bytes)
    yield document


def _whole(text: str) -> str:
    """Text without the halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _value(line: bytes, column: str, where: str) -> Any:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where} is not JSON ({error}); mend that line or take it out") from None
    if not isinstance(row, dict):
        raise TextError(f"{where} is not an object with a column {column!r}; give files of JSON lines")
    if column not in row:
        raise TextError(f"{where} has no column {column!r}, {did_you_mean(column, row)}; choose by --column")
    return row[column]


def _lines(path: Path, start: int, stop: int | None) -> Iterator[tuple[str, bytes]]:
    """The lines of a file, each with its place: its number, or its first byte in a piece of a file."""
    if is_compressed(path):
        assert start == 0 and stop is None, f"{path} is compressed and cannot be read in part"
        yield from _numbered(path)
        return
    with open(path, "rb") as file:
        if start:
            # A line belongs to the piece that it begins in; one that begins before is read to its end.
            file.seek(start - 1)
            file.readline()
        last = math.inf if stop is None else stop
        while (place := file.tell()) < last and (line := file.readline()):
            yield f"the line at byte {place}", line


def _numbered(path: Path) -> Iterator[tuple[str, bytes]]:
    unfinished: list[bytes] = []
    number = 1
    for chunk in _decompressed(path):
        first, *rest = chunk.split(b"\n")
        unfinished.append(first)
        for following in rest:
            yield f"line {number}", b"".join(unfinished)
            unfinished, number = [following], number + 1
    yield f"line {number}", b"".join(unfinished)


class _Decompressor(Protocol):
    """What zlib and zstandard have in common."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressed(path: Path) -> Iterator[bytes]:
    """The content of a compressed file of one or several frames; a damaged one is a `TextError`."""
    frame: _Decompressor | None = None
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_READ_BYTES):
                while chunk:
                    frame = frame or _begin(path)
                    yield frame.decompress(chunk)
                    # What follows the end of a frame is the next one.
                    chunk, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    except (zlib.error, zstandard.ZstdError) as error:
        raise TextError(f"{path} is damaged ({error}); get it again") from None
    if frame is not None:
        raise TextError(f"{path} is damaged (it ends in the middle); get it again")


def _begin(path: Path) -> Any:
    gzip_frame = 31  # The largest window, 15, in a gzip frame, 16.
    is_gzip = path.suffix.lower() == ".gz"
    return zlib.decompressobj(gzip_frame) if is_gzip else zstandard.ZstdDecompressor().decompressobj()


def _parquet(path: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise TextError(f"{path} is damaged or no Parquet file ({error}); get it again") from None


def _check_column(schema: Any, column: str, path: Path) -> None:
    if column not in schema.names:
        known = did_you_mean(column, schema.names)
        raise TextError(f"{path} has no column {column!r}, {known}; choose by --column")
