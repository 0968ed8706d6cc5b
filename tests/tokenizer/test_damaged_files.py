"""Damaged files: whatever bytes a file has, it is read to a tokenizer or refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import HornbookError, RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.files.rank_files import from_ranks
from hornbook.tokenizer.files.tokenizer_json import to_tokenizer_json

PIECES = "<unk>", "\u2581", "a", "b", "\u2581a", "ab"


def ranks() -> bytes:
    import base64

    tokens = [*(bytes([byte]) for byte in range(256)), b"ab", b"abc"]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def tokenizer_json() -> dict[str, Any]:
    table = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256, b"abc": 257}
    return to_tokenizer_json(from_ranks(table, "cl100k", {"<end>": 258}, "the table"))


def model() -> bytes:
    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    pieces = [
        field(
            1,
            field(1, text.encode())
            + b"\x15"
            + bytes([0, 0, 128, 191 + place % 2])
            + b"\x18"
            + bytes([1 + (not place)]),
        )
        for place, text in enumerate(PIECES)
    ]
    return b"".join(pieces) + field(2, b"\x18\x01") + field(3, b"\x18\x01")


FILES: dict[str, Callable[[], bytes]] = {
    "tokenizer.json": lambda: json.dumps(tokenizer_json()).encode(),
    "x.tiktoken": ranks,
    "x.model": model,
    "vocab.bpe": lambda: b"#version: 0.2\na b\nab c\n",
}


def load(file: Path) -> Tokenizer:
    if file.name == "vocab.bpe":
        vocab = tokenizer_json()["model"]["vocab"]
        file.with_name("encoder.json").write_text(json.dumps(vocab), encoding="utf-8")
    return Tokenizer.load(file, pattern="gpt2" if file.suffix == ".tiktoken" else None)


@pytest.mark.parametrize("name", list(FILES))
def test_the_good_file_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(FILES[name]())
    tokenizer = load(file)
    assert tokenizer.decode(tokenizer.encode("ab")) == "ab"


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\xff\xfe\xfd" * 50, b"{", b"\x93NUMPY\x01\x00"])
def test_rubbish_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    if (name, data) != ("vocab.bpe", b""):
        with pytest.raises(RunFolderError, match=r"damaged|lacks 256 of the 256 bytes|has no model"):
            load(file)


@pytest.mark.parametrize("name", list(FILES))
def test_a_file_cut_short_is_refused_or_whole(name: str, tmp_path: Path) -> None:
    file, data = tmp_path / name, FILES[name]()
    for size in range(0, len(data), 1 + len(data) // 40):
        file.write_bytes(data[:size])
        try:
            tokenizer = load(file)
        except HornbookError as error:
            assert str(file) in str(error)
        else:
            # Cut between two lines or pieces, it is a smaller file of its kind.
            assert name != "tokenizer.json"
            assert tokenizer.decode(tokenizer.encode("a", disallowed_special=()))


@pytest.mark.parametrize("name", list(FILES))
def test_bytes_changed_at_random(name: str, tmp_path: Path) -> None:
    file, data = tmp_path / name, FILES[name]()
    change = st.tuples(st.integers(0, len(data) - 1), st.integers(0, 3), st.binary(max_size=4))
    outcomes = set()

    @settings(max_examples=200, derandomize=True, database=None)
    @given(st.lists(change, min_size=1, max_size=4))
    def refused_or_read(changes: list[tuple[int, int, bytes]]) -> None:
        changed = bytearray(data)
        for place, size, new in changes:
            changed[place : place + size] = new
        file.write_bytes(changed)
        outcomes.add(outcome(file))

    refused_or_read()
    assert outcomes == {"used", "refused"}


RUBBISH: list[Any] = [
    None, True, 0, -1, 7, 1e300, "", "x", "\ud800", [], [[]], {}, {"type": "Sequence"}, {"type": "BPE"},
    {"a": 1}, [{"id": 1, "content": "ab"}], {"type": "NFC"}, {"type": "Split"}, {"type": "ByteLevel"}, 10**30,
]  # fmt: skip


def test_parts_changed_at_random(tmp_path: Path) -> None:
    """Any value of a tokenizer.json replaced by another one."""
    data = tokenizer_json()
    data["model"]["merges"] = data["model"]["merges"][:2]
    places = [place for place in paths(data) if "vocab" not in place[1:-1]]
    outcomes = set()

    @settings(max_examples=300, derandomize=True, database=None)
    @given(st.sampled_from(places), st.sampled_from(RUBBISH), st.booleans())
    def refused_or_read(place: tuple[Any, ...], value: Any, remove: bool) -> None:
        changed = json.loads(json.dumps(data))
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        if remove:
            del holder[place[-1]]
        else:
            holder[place[-1]] = value
        (tmp_path / "tokenizer.json").write_text(json.dumps(changed), encoding="utf-8")
        outcomes.add(outcome(tmp_path / "tokenizer.json"))

    refused_or_read()
    assert outcomes == {"used", "refused"}


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of JSON data stand."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [found for key in keys for found in [(*prefix, key), *paths(value[key], (*prefix, key))]]


def outcome(file: Path) -> str:
    """Read a file and use it: "used" or "refused"; nothing but a `HornbookError` may come of it."""
    try:
        tokenizer = load(file)
        ids = tokenizer.encode("a ab <end> é", disallowed_special=())
        tokenizer.decode(ids)
    except HornbookError as error:
        assert "\n" not in str(error).strip()
        return "refused"
    assert all(0 <= token < tokenizer.vocab_size for token in ids)
    return "used"
