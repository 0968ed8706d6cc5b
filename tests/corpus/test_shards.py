from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import RunFolderError
from hornbook.corpus.document import Document
from hornbook.corpus.shards import ShardWriter, read_shards, write_shards

words = st.text(max_size=20)


def paths(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@settings(max_examples=40)
@given(
    st.lists(st.builds(Document, words, words, st.dictionaries(words, words, max_size=2))),
    st.integers(1, 200),
)
def test_documents_come_back_as_they_were(documents: list[Document], shard_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        names = write_shards(documents, Path(name), shard_bytes)
        assert names == [path.name for path in paths(Path(name))]
        assert list(read_shards(paths(Path(name)))) == documents


def test_shards_are_numbered_and_closed_at_their_size(tmp_path: Path) -> None:
    names = write_shards([Document("x" * 100, str(number)) for number in range(5)], tmp_path, shard_bytes=200)
    assert names == [f"documents-0000{number}.jsonl.zst" for number in range(3)]


def test_other_tools_can_read_a_shard(tmp_path: Path) -> None:
    write_shards([Document("é\n", "a.txt", {"kind": "prose"})], tmp_path)
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(paths(tmp_path)[0].read_bytes())
    assert raw.endswith(b"\n") and raw.count(b"\n") == 1
    assert json.loads(raw) == {"text": "é\n", "source": "a.txt", "meta": {"kind": "prose"}}


def test_a_long_document_spans_many_reads(tmp_path: Path) -> None:
    text = "".join(f"{number * number} " for number in range(700_000))
    write_shards([Document(text, "long"), Document("short", "b")], tmp_path)
    assert paths(tmp_path)[0].stat().st_size > 2**20
    assert [document.text for document in read_shards(paths(tmp_path))] == [text, "short"]


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_a_truncated_shard_is_named(tmp_path: Path, keep: int) -> None:
    write_shards([Document(f"text {number}", str(number)) for number in range(100)], tmp_path)
    (path,) = paths(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunFolderError, match=r"documents-00000\.jsonl\.zst is damaged"):
        list(read_shards([path]))


def test_one_wrong_bit_anywhere_never_gives_other_documents(tmp_path: Path) -> None:
    documents = [Document(f"text {number}", str(number)) for number in range(6)]
    write_shards(documents, tmp_path)
    (path,) = paths(tmp_path)
    good = path.read_bytes()
    unnoticed = []
    for place in range(8 * len(good)):
        wrong = bytearray(good)
        wrong[place // 8] ^= 1 << place % 8
        path.write_bytes(wrong)
        try:
            unnoticed.append(list(read_shards([path])))
        except RunFolderError as error:
            assert "documents-00000.jsonl.zst is damaged" in str(error)
    # A few bits, such as the size of the window to decode with, do not matter.
    assert len(unnoticed) < 20
    assert all(read == documents for read in unnoticed)


def test_bytes_after_the_end_are_noticed(tmp_path: Path) -> None:
    write_shards([Document("text", "a")], tmp_path)
    (path,) = paths(tmp_path)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(RunFolderError, match=r"damaged \(something follows its end\)"):
        list(read_shards([path]))


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"text": "a"}\n', b'{"text": "a"', b"\xff\n"])
def test_a_whole_shard_with_wrong_lines_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "documents-00000.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(line))
    with pytest.raises(RunFolderError, match=r"documents-00000\.jsonl\.zst is damaged"):
        list(read_shards([path]))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"documents-00007\.jsonl\.zst is missing"):
        list(read_shards([tmp_path / "documents-00007.jsonl.zst"]))


def test_a_writer_that_fails_leaves_no_half_shard(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, shard_bytes=100) as writer:
        writer.write(Document("x" * 100, "finished"))
        writer.write(Document("y", "unfinished"))
        raise RuntimeError
    assert [path.name for path in paths(tmp_path)] == ["documents-00000.jsonl.zst"]
    assert [document.source for document in read_shards(paths(tmp_path))] == ["finished"]
