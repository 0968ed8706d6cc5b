"""Token shards: tokenized documents on disk, as plain numbers anyone can read.

A folder holds `00000.tokens` (token ids, little-endian uint16, or uint32 for vocabularies above 65,536),
`00000.offsets` (little-endian uint64: where each document starts in that shard) and so on, and one
`header.json`, which is written last: a folder with a header is complete. Every document begins with the
end-of-text token, so that the model learns both how documents begin and where they end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import RunFolderError, TextError
from hornbook.base.files import atomic_write, read_json, sha256, write_json
from hornbook.base.progress import Progress, silent

FORMAT = 1
SHARD_TOKENS = 50_000_000
CHUNK_CHARACTERS = 2_000_000


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
    if tokenizer.end_of_text is None:
        raise TextError("the tokenizer has no <|endoftext|> token, which must stand between documents")
    out.mkdir(parents=True, exist_ok=True)
    (out / "header.json").unlink(missing_ok=True)
    writer = _Writer(out, np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4"), shard_tokens)
    n_bytes = 0
    for done, text in enumerate(texts, 1):
        ids = tokenizer.encode_array(text, disallowed_special=())
        writer.add(np.concatenate(([tokenizer.end_of_text], ids)))
        n_bytes += len(text.encode("utf-8", errors="replace"))
        progress(done, None)
    writer.flush()
    counts = TokenCounts(writer.total("tokens"), writer.total("documents"), n_bytes)
    header = {
        "format": FORMAT,
        "dtype": writer.dtype.str,
        "vocab_size": tokenizer.vocab_size,
        "tokenizer": fingerprint,
        "bytes": n_bytes,
        "shards": writer.shards,
    }
    write_json(out / "header.json", header)
    return counts


class _Writer:
    """Collects documents and writes a shard whenever enough tokens have come together."""

    def __init__(self, out: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.out, self.dtype, self.shard_tokens = out, dtype, shard_tokens
        self.shards: list[dict[str, Any]] = []
        self.waiting: list[NDArray[Any]] = []
        self.n_waiting = 0

    def add(self, ids: NDArray[Any]) -> None:
        self.waiting.append(ids.astype(self.dtype))
        self.n_waiting += len(ids)
        if self.n_waiting >= self.shard_tokens:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        lengths = [len(ids) for ids in self.waiting]
        offsets = np.cumsum([0, *lengths[:-1]]).astype("<u8")
        name = f"{len(self.shards):05d}"
        checksums = {}
        for suffix, numbers in (("tokens", np.concatenate(self.waiting)), ("offsets", offsets)):
            data = numbers.tobytes()
            checksums[suffix] = sha256(data)
            with atomic_write(self.out / f"{name}.{suffix}") as file:
                file.write(data)
        record = {"name": name, "tokens": sum(lengths), "documents": len(lengths), "sha256": checksums}
        self.shards.append(record)
        self.waiting, self.n_waiting = [], 0

    def total(self, key: str) -> int:
        return sum(shard[key] for shard in self.shards)


class TokenShards:
    """A folder of token shards, opened and checked; tokens are read from memory-mapped files."""

    def __init__(self, folder: str | Path, fingerprint: str | None = None) -> None:
        self.folder = Path(folder)
        path = self.folder / "header.json"
        if not path.exists():
            raise RunFolderError(f"{path} is missing; tokenize the text again")
        header = read_json(path)
        self._check_header(header, fingerprint)
        self.vocab_size: int = header["vocab_size"]
        self._tokens: list[NDArray[Any]] = []
        offsets: list[NDArray[Any]] = []
        start = 0
        for shard in header["shards"]:
            tokens = self._open(shard, "tokens", np.dtype(header["dtype"]), shard["tokens"])
            within = self._open(shard, "offsets", np.dtype("<u8"), shard["documents"])
            self._tokens.append(tokens)
            offsets.append(within + np.uint64(start))
            start += len(tokens)
        self.starts = np.cumsum([0, *map(len, self._tokens)])
        self.offsets = np.concatenate(offsets) if offsets else np.zeros(0, dtype="<u8")
        self.counts = TokenCounts(start, len(self.offsets), header["bytes"])

    def __len__(self) -> int:
        return self.counts.tokens

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Tokens [start, stop) counted through all shards."""
        pieces = []
        for begin, tokens in zip(self.starts, self._tokens, strict=False):
            low, high = max(start - begin, 0), min(stop - begin, len(tokens))
            if low < high:
                pieces.append(tokens[low:high])
        return np.concatenate(pieces).astype(np.int64)

    def document_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """For tokens [start, stop): the number of the document each belongs to."""
        positions = np.arange(start, stop, dtype=np.uint64)
        return np.searchsorted(self.offsets, positions, side="right") - 1

    def documents(self) -> Iterator[NDArray[np.int64]]:
        """The documents one by one, each with its leading end-of-text token."""
        for start, stop in pairwise([*self.offsets.tolist(), len(self)]):
            yield self.read(start, stop)

    def _check_header(self, header: Any, fingerprint: str | None) -> None:
        path = self.folder / "header.json"
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise RunFolderError(f"{path} is not a token header of format {FORMAT}; tokenize the text again")
        if fingerprint is not None and header["tokenizer"] != fingerprint:
            raise RunFolderError(
                f"{self.folder} was made with another tokenizer ({header['tokenizer'][:12]}, this one is "
                f"{fingerprint[:12]}); tokenize the text again"
            )

    def _open(self, shard: dict[str, Any], suffix: str, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
        """One file of a shard as an array over the mapped file, its size and checksum verified."""
        path = self.folder / f"{shard['name']}.{suffix}"
        expected = length * dtype.itemsize
        found = path.stat().st_size if path.exists() else 0
        if found != expected:
            raise RunFolderError(f"{path} has {found} bytes instead of {expected}; tokenize the text again")
        numbers = np.memmap(path, dtype=dtype, mode="r")
        if sha256(numbers.tobytes()) != shard["sha256"][suffix]:
            raise RunFolderError(f"{path} is damaged: its checksum differs; tokenize the text again")
        return numbers
