"""Rows of JSON lines and Parquet: every text, whatever holds it, and what is wrong by file and place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import TextError
from hornbook.corpus.ledger import Step
from hornbook.corpus.rows import has_lines, parquet_groups, read_lines, read_parquet

TEXTS = ["Once.", "two\nlines", "déjà vu 🎈", '\\ and "quotes"']


def lines(texts: Sequence[str | None], column: str = "text") -> bytes:
    return b"".join(json.dumps({column: text, "id": i}).encode() + b"\n" for i, text in enumerate(texts))


def texts_of(path: Path, column: str = "text", start: int = 0, stop: int | None = None) -> list[str]:
    step = Step("read")
    found = [document.text for document in read_lines(path, column, step, start, stop)]
    assert step.balanced() and step.left.documents == len(found)
    return found


def parquet(path: Path, group_rows: int, **columns: list[object]) -> Path:
    import pyarrow
    from pyarrow import parquet as files

    files.write_table(pyarrow.table(columns), path, row_group_size=group_rows)
    return path


def test_every_container_gives_the_same_texts(tmp_path: Path) -> None:
    raw = lines(TEXTS)
    two_frames = (zstandard.compress(raw[:70]), zstandard.compress(raw[70:]))
    files = {
        "a.jsonl": raw,
        "b.jsonl": raw.rstrip(b"\n"),
        "c.ndjson": raw.replace(b"\n", b"\r\n"),
        "d.jsonl.gz": gzip.compress(raw),
        "e.json.gz": gzip.compress(raw[:50]) + gzip.compress(raw[50:]),
        "f.jsonl.zst": zstandard.compress(raw),
        "g.json.zst": b"".join(two_frames),
        "h.jsonl": raw.replace(b"\n", b"\n\n"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert has_lines(tmp_path / name)
        assert texts_of(tmp_path / name) == TEXTS, name
    step = Step("read")
    table = parquet(tmp_path / "i.parquet", 3, text=list(TEXTS), id=list(range(4)))
    assert [document.text for document in read_parquet(table, "text", step)] == TEXTS
    assert len(parquet_groups(table)) == 2 and min(parquet_groups(table)) > 0
    assert not has_lines(tmp_path / "settings.json"), "a plain .json is one document"


@settings(max_examples=40)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=8), cuts=st.lists(st.integers(0, 400)))
def test_pieces_of_a_file_give_each_line_once(
    lengths: list[int], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However the bytes are cut: in a line, at its end, or several times in one line."""
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    texts = [f"{i}" * (1 + length) for i, length in enumerate(lengths)]
    path.write_bytes(lines(texts))
    size = path.stat().st_size
    borders = sorted({0, size, *(cut for cut in cuts if cut < size)})
    pieces = [texts_of(path, "text", a, b) for a, b in pairwise(borders)]
    assert [text for piece in pieces for text in piece] == texts


def test_row_groups_can_be_read_apart(tmp_path: Path) -> None:
    table = parquet(tmp_path / "a.parquet", 2, body=[f"text {i}" for i in range(5)])
    apart = [[d.text for d in read_parquet(table, "body", Step("read"), i, i + 1)] for i in range(3)]
    assert apart == [["text 0", "text 1"], ["text 2", "text 3"], ["text 4"]]


def test_rows_without_text_are_booked(tmp_path: Path) -> None:
    path, step = tmp_path / "a.jsonl", Step("read")
    path.write_bytes(lines(["a", "", None, " \n ", "b"]))
    assert [document.text for document in read_lines(path, "text", step)] == ["a", "b"]
    assert step.dropped["empty"].count.documents == 3 and step.balanced()


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    """JSON can spell what no UTF-8 text can hold; whole pairs are the letter they spell."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x\\ud83cy \\ud83c\\udf88"}\n')
    assert texts_of(path) == ["x\ufffdy 🎈"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a\.jsonl, the line at byte 14 is not JSON \(.*\); mend"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "a"}\n[1]\n'),
            r"a\.jsonl\.gz, line 2 is not an object with a",
        ),
        ("a.jsonl", b'{"texts": "a"}\n', r"has no column 'text', did you mean 'texts'\?; choose by --column"),
        ("a.jsonl", b'{"text": 3}\n', r"byte 0: the text is int; name a column of texts by --column"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 999)[:-9], r"a\.jsonl\.gz is damaged \(it ends in the middle\)"),
        (
            "a.jsonl.zst",
            zstandard.compress(b"{}" * 999)[:-3],
            r"a\.jsonl\.zst is damaged \(it ends in the mid",
        ),
        ("a.jsonl.gz", b"plain", r"a\.jsonl\.gz is damaged \(.*\); get it again"),
        ("a.jsonl.zst", b"plain", r"a\.jsonl\.zst is damaged \(.*\); get it again"),
        ("a.jsonl", b'\xff{"text": "a"}\n', r"a\.jsonl, the line at byte 0 is not JSON"),
    ],
    ids=["no JSON", "no object", "other name", "number", "gz cut", "zst cut", "no gz", "no zst", "latin"],
)
def test_a_damaged_row_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=message):
        texts_of(tmp_path / name)


def test_a_bad_parquet_file_is_named(tmp_path: Path) -> None:
    table = parquet(tmp_path / "a.parquet", 2, body=["a"], number=[1])
    with pytest.raises(TextError, match=r"a\.parquet has no column 'bodi', did you mean 'body'\?; choose by"):
        list(read_parquet(table, "bodi", Step("read")))
    with pytest.raises(TextError, match=r"row 0 of group 0: the text is int"):
        list(read_parquet(table, "number", Step("read")))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(TextError, match=r"b\.parquet is damaged or no Parquet file"):
        parquet_groups(tmp_path / "b.parquet")
