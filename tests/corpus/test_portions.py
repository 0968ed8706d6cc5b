"""Portions: together they are the inputs in order, whatever their size, and each can be read alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hornbook.base.errors import TextError
from hornbook.corpus.ledger import Step
from hornbook.corpus.pipeline import build_corpus, read_corpus
from hornbook.corpus.portions import Portion, find_portions, read_portion


def inputs(folder: Path) -> Path:
    """Small texts around tables, in the order of their names."""
    folder.mkdir()
    for i in (1, 2, 3, 7, 8):
        (folder / f"{i}.txt").write_text(f"text {i} " * 4)
    rows = [json.dumps({"text": f"row {i}"}) + "\n" for i in range(20)]
    (folder / "4.jsonl").write_text("".join(rows))
    (folder / "5.jsonl.gz").write_bytes(gzip.compress("".join(rows).encode()))
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"text": [f"cell {i}" for i in range(6)]})
    parquet.write_table(table, folder / "6.parquet", row_group_size=2)
    return folder


def texts_of(portions: list[Portion]) -> list[str]:
    return [document.text for portion in portions for document in read_portion(portion, Step("read"))]


@pytest.mark.parametrize("portion_bytes", [1, 50, 100, 10**6])
def test_portions_in_order_are_the_inputs(tmp_path: Path, portion_bytes: int) -> None:
    folder = inputs(tmp_path / "in")
    portions = find_portions(folder, Step("find"), portion_bytes=portion_bytes)
    rows = [f"row {i}" for i in range(20)]
    wanted = [f"text {i} " * 4 for i in (1, 2, 3)] + rows + rows + [f"cell {i}" for i in range(6)]
    assert texts_of(portions) == wanted + [f"text {i} " * 4 for i in (7, 8)]
    kinds = [portion.kind for portion in portions]
    if portion_bytes == 10**6:
        assert kinds == ["text", "lines", "lines", "parquet", "text"]
        assert sum(portion.n_bytes for portion in portions[:3]) == sum(
            (folder / name).stat().st_size for name in ("1.txt", "2.txt", "3.txt", "4.jsonl", "5.jsonl.gz")
        )
    if portion_bytes == 50:
        assert kinds.count("parquet") == 3 and kinds.count("text") == 3


def test_a_corpus_keeps_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i}.txt").write_text(f"This is the text of number {i}.")
    build_corpus(folder, tmp_path / "corpus", held_out_share=0.2)
    portions = find_portions(tmp_path / "corpus", Step("find"))
    for part in ("train", "held_out"):
        mine = [portion for portion in portions if portion.part == part]
        assert texts_of(mine) == [document.text for document in read_corpus(tmp_path / "corpus", part)]


def test_what_is_passed_over_is_booked(tmp_path: Path) -> None:
    folder = inputs(tmp_path / "in")
    step = Step("find")
    portions = find_portions([folder, folder / "1.txt"], step, exclude=folder)
    assert texts_of(portions) == ["text 1 " * 4]
    step = Step("find")
    find_portions([folder / "1.txt", folder / "*.txt"], step)
    assert step.dropped["named twice"].count.documents == 1
    (folder / "bad.txt").write_bytes(b"\xff\xfe")
    step = Step("read")
    assert list(read_portion(find_portions(folder / "bad.txt", Step("find"))[0], step)) == []
    assert list(step.dropped) == ["not UTF-8"]


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TextError, match=r"there are no files in .*empty; give some text"):
        find_portions(tmp_path / "empty", Step("find"))
    with pytest.raises(TextError, match="there is no file or folder"):
        find_portions(tmp_path / "missing", Step("find"))
