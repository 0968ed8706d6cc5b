"""Token shards: tokenized documents on disk, as plain numbers anyone can read.

A folder holds `00000.tokens` (token ids, little-endian uint16, or uint32 for vocabularies above 65,536),
`00000.offsets` (little-endian uint64: where each document starts in that shard), `00000.checks`
(little-endian uint32: the CRC-32 of each 64 KiB of tokens) and so on, and one `header.json`, which is written
last: a folder with a header is complete. Every document begins with the end-of-text token, so that the model
learns both how documents begin and where they end.

Opening a folder reads its small files and looks at the sizes of the large ones. A block of tokens is checked
when it is read for the first time: so a start takes no longer where there is more text, and damage still
reaches no model.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import RunFolderError, TextError
from hornbook.base.files import atomic_write, sha256
from hornbook.base.progress import Progress, silent
from hornbook.data.header import NAME, Header, ShardRecord, read_header, write_header

SHARD_TOKENS = 50_000_000
BLOCK_BYTES = 1 << 16
MAPPED_FILES = 256
"""Most shards whose tokens are mapped at a time: a process may hold so many files open."""


@runtime_checkable
class Encoder(Protocol):
    """What this room needs of a tokenizer."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def end_of_text(self) -> int | None: ...
    def encode_array(self, text: str, *, disallowed_special: tuple[str, ...]) -> NDArray[np.int32]: ...


@dataclass(frozen=True)
class TokenCounts:
    """What a folder of token shards holds."""

    tokens: int
    documents: int
    bytes: int

    @property
    def bytes_per_token(self) -> float:
        """How much text one token carries on average, in UTF-8 bytes."""
        return self.bytes / self.tokens


def write_shards(
    texts: Iterable[str],
    tokenizer: Encoder,
    out: Path,
    *,
    fingerprint: str,
    shard_tokens: int = SHARD_TOKENS,
    progress: Progress = silent,
) -> TokenCounts:
    """Tokenize texts, one a document, into a folder of shards and return what it holds.

    `fingerprint` names the tokenizer (the SHA-256 of its file); readers refuse shards of another one.
    """
    writer = ShardWriter(out, tokenizer, shard_tokens)
    (out / NAME).unlink(missing_ok=True)
    for done, text in enumerate(texts, 1):
        writer.add(text)
        progress(done, None)
    writer.flush()
    write_header(out, header_of(tokenizer, fingerprint, writer.n_bytes, writer.shards))
    return writer.counts


def header_of(tokenizer: Encoder, fingerprint: str, n_bytes: int, shards: Iterable[ShardRecord]) -> Header:
    """The header of a folder with these shards."""
    dtype, end = storage(tokenizer)
    return Header(tokenizer.vocab_size, end, fingerprint, n_bytes, tuple(shards), dtype.str)  # type: ignore[arg-type]


def storage(tokenizer: Encoder) -> tuple[np.dtype[Any], int]:
    """How the ids of a tokenizer are stored, and which one stands between documents; there must be one."""
    if tokenizer.end_of_text is None:
        raise TextError("the tokenizer has no <|endoftext|> token, which must stand between documents")
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4"), tokenizer.end_of_text


class ShardWriter:
    """Tokenizes texts and writes a shard whenever enough tokens have come together.

    The shards are called 00000, 00001 and so on, with `prefix` before that. Who uses it calls `flush` at the
    end and writes the header.
    """

    def __init__(
        self, out: Path, tokenizer: Encoder, shard_tokens: int = SHARD_TOKENS, prefix: str = ""
    ) -> None:
        self.out, self.tokenizer, self.shard_tokens, self.prefix = out, tokenizer, shard_tokens, prefix
        self.dtype, self.end = storage(tokenizer)
        out.mkdir(parents=True, exist_ok=True)
        self.shards: list[ShardRecord] = []
        self.n_bytes = 0
        self._waiting: list[NDArray[Any]] = []
        self._n_waiting = 0

    @property
    def counts(self) -> TokenCounts:
        """What was written."""
        tokens, documents = (sum(getattr(s, key) for s in self.shards) for key in ("tokens", "documents"))
        return TokenCounts(tokens, documents, self.n_bytes)

    def add(self, text: str) -> None:
        """Add one document."""
        ids = self.tokenizer.encode_array(text, disallowed_special=())
        self._waiting.append(np.concatenate(([self.end], ids)).astype(self.dtype))
        self._n_waiting += len(ids) + 1
        self.n_bytes += len(text.encode("utf-8", errors="replace"))
        if self._n_waiting >= self.shard_tokens:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a shard."""
        if not self._waiting:
            return
        tokens = np.concatenate(self._waiting)
        offsets = np.cumsum([0, *map(len, self._waiting[:-1])]).astype("<u8")
        raw = tokens.view(np.uint8).data
        checks = np.array(
            [zlib.crc32(raw[i : i + BLOCK_BYTES]) for i in range(0, len(raw), BLOCK_BYTES)], "<u4"
        )
        name = f"{self.prefix}{len(self.shards):05d}"
        small = {"offsets": offsets.tobytes(), "checks": checks.tobytes()}
        for suffix, data in {"tokens": raw, **small}.items():
            with atomic_write(self.out / f"{name}.{suffix}") as file:
                file.write(data)
        sums = {suffix: sha256(data) for suffix, data in small.items()}
        record = ShardRecord(name, len(tokens), len(offsets), int(tokens.max()), sums)  # type: ignore[arg-type]
        self.shards.append(record)
        self._waiting, self._n_waiting = [], 0


class TokenShards:
    """Folders of token shards as one text; tokens are read from memory-mapped files."""

    def __init__(self, *folders: str | Path, fingerprint: str | None = None) -> None:
        self._shards: list[_Shard] = []
        offsets = [np.zeros(0, np.int64)]
        self.starts = [0]
        n_bytes, sums = 0, ""
        for folder in map(Path, folders):
            header = read_header(folder, fingerprint)
            fingerprint = header.tokenizer
            self.vocab_size, self.end_of_text = header.vocab_size, header.end_of_text
            n_bytes += header.bytes
            for record in header.shards:
                shard = _Shard(folder, record, np.dtype(header.dtype))
                self._shards.append(shard)
                offsets.append(shard.offsets() + self.starts[-1])
                self.starts.append(self.starts[-1] + record.tokens)
                sums += record.sha256["offsets"] + record.sha256["checks"]
        self.checksum = sha256(sums.encode())
        """Of all tokens, and of where each document begins."""
        self.offsets = np.concatenate(offsets)
        """Where each document begins, counted through all shards."""
        self.counts = TokenCounts(self.starts[-1], len(self.offsets), n_bytes)
        self._mapped = lru_cache(maxsize=MAPPED_FILES)(self._map)

    def __len__(self) -> int:
        return self.counts.tokens

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Tokens [start, stop) counted through all shards; a `RunFolderError` where they are damaged."""
        pieces = []
        number = bisect_right(self.starts, start) - 1
        while start < stop:
            begin, end = self.starts[number], min(stop, self.starts[number + 1])
            tokens = self._mapped(number)
            self._shards[number].check(tokens, start - begin, end - begin)
            pieces.append(tokens[start - begin : end - begin])
            start, number = end, number + 1
        return np.concatenate(pieces, dtype=np.int64) if pieces else np.zeros(0, np.int64)

    def document_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """For tokens [start, stop): the number of the document each belongs to."""
        return self.offsets.searchsorted(np.arange(start, stop), side="right") - 1

    def documents(self) -> Iterator[NDArray[np.int64]]:
        """The documents one by one, each with its leading end-of-text token."""
        for start, stop in pairwise([*self.offsets.tolist(), len(self)]):
            yield self.read(start, stop)

    def _map(self, number: int) -> NDArray[Any]:
        return self._shards[number].map()


class _Shard:
    """One shard, its small files read and the size of the large one verified."""

    def __init__(self, folder: Path, record: ShardRecord, dtype: np.dtype[Any]) -> None:
        self._folder, self._record, self._dtype = folder, record, dtype
        self._path = folder / f"{record.name}.tokens"
        size = record.tokens * dtype.itemsize
        _check_size(self._path, size)
        self._checks = self._small("checks", np.dtype("<u4"), -(-size // BLOCK_BYTES))
        self._is_checked = bytearray(len(self._checks))

    def offsets(self) -> NDArray[np.int64]:
        """Where each document starts in the shard."""
        return self._small("offsets", np.dtype("<u8"), self._record.documents).astype(np.int64)

    def map(self) -> NDArray[Any]:
        """The tokens, as an array over the mapped file."""
        return np.memmap(self._path, dtype=self._dtype, mode="r").view(np.ndarray)

    def check(self, tokens: NDArray[Any], start: int, stop: int) -> None:
        """Check the blocks of mapped tokens that [start, stop) lies in, each once."""
        item = self._dtype.itemsize
        for block in range(start * item // BLOCK_BYTES, (stop * item - 1) // BLOCK_BYTES + 1):
            if not self._is_checked[block]:
                first = block * BLOCK_BYTES // item
                if zlib.crc32(tokens[first : first + BLOCK_BYTES // item].data) != self._checks[block]:
                    raise _damaged(self._path)
                self._is_checked[block] = 1

    def _small(self, suffix: str, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
        """A small file of the shard, read and verified."""
        path = self._folder / f"{self._record.name}.{suffix}"
        _check_size(path, length * dtype.itemsize)
        data = path.read_bytes()
        if sha256(data) != self._record.sha256.get(suffix):  # type: ignore[call-overload]
            raise _damaged(path)
        return np.frombuffer(data, dtype)


def _check_size(path: Path, expected: int) -> None:
    found = path.stat().st_size if path.exists() else 0
    if found != expected:
        raise RunFolderError(f"{path} has {found} bytes instead of {expected}; tokenize the text again")


def _damaged(path: Path) -> RunFolderError:
    return RunFolderError(f"{path} is damaged: its checksum differs; tokenize the text again")
