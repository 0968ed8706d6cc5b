"""The header of a folder of token shards: what it holds, checked when it is read.

A header is the last file that is written, so a folder with a header is complete. One that is foreign, damaged
or of another tokenizer is refused by name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_json, write_json

FORMAT = 2
NAME = "header.json"

Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class ShardRecord:
    """One shard, as the header knows it."""

    name: Annotated[str, Field(pattern=r"^[0-9][0-9-]*$")]
    """What its files are called, before the dot."""
    tokens: PositiveInt
    documents: PositiveInt
    max_id: NonNegativeInt
    """The largest token id in it."""
    sha256: dict[Literal["offsets", "checks"], Checksum]
    """Of its small files; `checks` has those of the large one, block by block."""


@dataclass(frozen=True)
class Header:
    """What a folder of token shards holds."""

    vocab_size: PositiveInt
    end_of_text: NonNegativeInt
    """The id that begins every document."""
    tokenizer: str
    """SHA-256 of the tokenizer's file."""
    bytes: NonNegativeInt
    """Length of the text in UTF-8."""
    shards: tuple[ShardRecord, ...]
    dtype: Literal["<u2", "<u4"] = "<u2"
    """How a token is stored: a little-endian integer of 16 or 32 bits."""
    format: Literal[2] = 2


def write_header(folder: Path, header: Header) -> None:
    """Write a folder's header, which completes it."""
    write_json(folder / NAME, asdict(header))


def read_header(folder: Path, fingerprint: str | None = None) -> Header:
    """Read a folder's header; `fingerprint` is that of the tokenizer it must be of."""
    path = folder / NAME
    if not path.exists():
        raise RunFolderError(f"{path} is missing; tokenize the text again")
    header = _parsed(path, read_json(path))
    if fingerprint is not None and header.tokenizer != fingerprint:
        raise RunFolderError(
            f"{folder} was made with another tokenizer ({header.tokenizer[:12]}, this one is "
            f"{fingerprint[:12]}); tokenize the text again"
        )
    for shard in header.shards:
        if shard.max_id >= header.vocab_size:
            raise RunFolderError(
                f"{folder / shard.name}.tokens holds the id {shard.max_id}, and the vocabulary ends at "
                f"{header.vocab_size - 1}; tokenize the text again"
            )
    return header


def _parsed(path: Path, data: Any) -> Header:
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise RunFolderError(
            f"{path} is not a token header of format {FORMAT} but of {found!r}; tokenize the text again"
        )
    try:
        return pydantic.TypeAdapter(Header).validate_python(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunFolderError(
            f"{path} is damaged at {place}: {first['msg'].lower()}; tokenize the text again"
        ) from None
