"""Documents on disk: shards of JSON lines, compressed with Zstandard.

A folder holds `documents-00000.jsonl.zst`, `documents-00001.jsonl.zst` and so on; a line is
`{"text": ..., "source": ..., "meta": {...}}`. Any tool that knows the two formats reads them
(`zstd -dc documents-00000.jsonl.zst`). Each shard appears whole or not at all and carries a
checksum. Reading streams, a document at a time. A folder does not know which shards it should have; the
ledger does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import zstandard

from hornbook.base.errors import RunFolderError
from hornbook.base.files import atomic_write
from hornbook.corpus.document import Document

SHARD_BYTES = 64 * 2**20
"""Uncompressed bytes after which a shard is closed."""

SHARD_NAME = re.compile(r"documents-\d{5,}\.jsonl\.zst")
"""What the files are called."""

_LEVEL = 3
_READ_BYTES = 2**20


class ShardWriter:
    """Writes documents to numbered shards in a folder; use it in a `with` statement.

    When the block raises, the shard being written disappears; those finished before stay.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.names: list[str] = []
        self._open_file = ExitStack()
        self._stream: IO[bytes] | None = None
        self._written = 0

    def __enter__(self) -> ShardWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream = None
        self._open_file.__exit__(kind, error, trace)

    def write(self, document: Document) -> None:
        """Append one document."""
        if self._stream is None:
            self.names.append(f"documents-{len(self.names):05d}.jsonl.zst")
            self._stream = self._open_file.enter_context(_compressed(self.folder / self.names[-1]))
            self._written = 0
        line = _to_line(document)
        self._stream.write(line)
        self._written += len(line)
        if self._written >= self.shard_bytes:
            self._stream = None
            self._open_file.close()


def write_shards(documents: Iterable[Document], folder: Path, shard_bytes: int = SHARD_BYTES) -> list[str]:
    """Write documents to a folder and return the names of the shards."""
    with ShardWriter(folder, shard_bytes) as writer:
        for document in documents:
            writer.write(document)
    return writer.names


def read_shards(paths: Iterable[Path]) -> Iterator[Document]:
    """Yield the documents of some shards; a missing or damaged one is a `RunFolderError` that names it."""
    for path in paths:
        try:
            for line in _lines(path):
                yield _from_line(line)
        except FileNotFoundError:
            raise RunFolderError(f"{path} is missing; build the corpus again") from None
        except (zstandard.ZstdError, ValueError, TypeError, KeyError, EOFError) as error:
            raise RunFolderError(f"{path} is damaged ({error}); build the corpus again") from None


@contextmanager
def _compressed(path: Path) -> Iterator[IO[bytes]]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with atomic_write(path) as file, compressor.stream_writer(file, closefd=False) as stream:
        yield stream


def _to_line(document: Document) -> bytes:
    row = {"text": document.text, "source": document.source, "meta": dict(document.meta)}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _from_line(line: bytes) -> Document:
    row: dict[str, Any] = json.loads(line)
    return Document(row["text"], row["source"], row["meta"])


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the decompressed lines; raise where the file and its Zstandard frame do not end together."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    unfinished: list[bytes] = []  # the pieces of a long line, joined once
    with open(path, "rb") as file:
        while not decompressor.eof and (chunk := file.read(_READ_BYTES)):
            first, *rest = decompressor.decompress(chunk).split(b"\n")
            unfinished.append(first)
            if rest:
                yield b"".join(unfinished)
                yield from rest[:-1]
                unfinished = [rest[-1]]
        if decompressor.unused_data or file.read(1):
            raise EOFError("something follows its end")
    if not decompressor.eof or any(unfinished):
        raise EOFError("it ends in the middle")
