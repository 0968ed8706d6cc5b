"""Token shards: every document comes back, and a folder that is not whole is refused by name."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.shard_folders import END, ByteTokenizer, counted, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import RunFolderError, TextError
from hornbook.data import shards as module
from hornbook.data.reference import document_numbers
from hornbook.data.shards import TokenShards, write_shards

FINGERPRINT = "0123456789abcdef" * 4


@settings(max_examples=25)
@given(
    texts=st.lists(st.text(max_size=20), max_size=8),
    shard_tokens=st.integers(1, 60),
    vocab_size=st.sampled_from([257, 65_536, 65_537]),
)
def test_documents_come_back(texts: list[str], shard_tokens: int, vocab_size: int) -> None:
    """For every number of shards, in two bytes a token and in four."""
    with tempfile.TemporaryDirectory() as folder:
        counts = write_shards(
            texts,
            ByteTokenizer(vocab_size),
            Path(folder),
            fingerprint=FINGERPRINT,
            shard_tokens=shard_tokens,
        )
        shards = TokenShards(folder, fingerprint=FINGERPRINT)
        wanted = [[END, *text.encode()] for text in texts]
        assert [document.tolist() for document in shards.documents()] == wanted
        assert counts == shards.counts
        assert (counts.documents, counts.tokens) == (len(texts), sum(map(len, wanted)))
        assert counts.bytes == len("".join(texts).encode())
        assert len(shards) == counts.tokens


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    shard_tokens=st.integers(1, 30),
    cut=st.tuples(st.integers(0, 200), st.integers(1, 200)),
)
def test_any_stretch_can_be_read(lengths: list[int], shard_tokens: int, cut: tuple[int, int]) -> None:
    """Reading knows no shard borders, and the document numbers are those of the readable twin."""
    with tempfile.TemporaryDirectory() as folder:
        lists = counted(*lengths)
        shards = shards_of(lists, Path(folder), shard_tokens=shard_tokens)
        stream = [i for ids in lists for i in (0, *ids)]
        start = cut[0] % len(stream)
        stop = min(len(stream), start + cut[1])
        assert shards.read(start, stop).tolist() == stream[start:stop]
        numbers = document_numbers(stream, end_of_text=0)
        assert shards.document_numbers(start, stop).tolist() == numbers[start:stop]


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, "<u2"), (65_537, "<u4")])
def test_the_files_are_plain_little_endian_numbers(tmp_path: Path, vocab_size: int, dtype: str) -> None:
    """Anyone can read them without this package; ids up to the last one of the vocabulary fit."""
    shards_of([[1, 2], [vocab_size - 1]], tmp_path, vocab_size=vocab_size)
    header = json.loads((tmp_path / "header.json").read_text())
    assert (header["format"], header["dtype"], header["vocab_size"]) == (2, dtype, vocab_size)
    assert np.fromfile(tmp_path / "00000.tokens", dtype).tolist() == [0, 1, 2, 0, vocab_size - 1]
    assert np.fromfile(tmp_path / "00000.offsets", "<u8").tolist() == [0, 3]


def test_a_shard_is_cut_between_documents(tmp_path: Path) -> None:
    shards_of(counted(3, 3, 3), tmp_path, shard_tokens=5)
    header = json.loads((tmp_path / "header.json").read_text())
    assert [(s["name"], s["tokens"], s["documents"]) for s in header["shards"]] == [
        ("00000", 8, 2),
        ("00001", 4, 1),
    ]


def test_the_header_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing that breaks off leaves no header, not even that of former shards, and so no folder to trust."""
    shards_of([[1]], tmp_path)

    def break_off(path: Path) -> None:
        raise RuntimeError(f"killed before {path.name}")

    monkeypatch.setattr(module, "atomic_write", break_off)
    with pytest.raises(RuntimeError, match=r"00000\.tokens"):
        shards_of([[1], [2]], tmp_path)
    with pytest.raises(RunFolderError, match=r"header\.json is missing; tokenize the text again"):
        TokenShards(tmp_path)


def test_fewer_shards_than_before_are_read_as_what_they_are(tmp_path: Path) -> None:
    shards_of(counted(3, 3, 3), tmp_path, shard_tokens=1)
    assert len(shards_of([[7]], tmp_path)) == 2


def test_a_tokenizer_must_end_texts(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"no <\|endoftext\|> token"):
        write_shards(["a"], ByteTokenizer(end_of_text=None), tmp_path, fingerprint=FINGERPRINT)


def test_special_names_in_a_text_are_letters(tmp_path: Path) -> None:
    """A text that spells <|endoftext|> must neither end there nor stop the run."""
    seen: list[tuple[str, ...]] = []

    class Watched(ByteTokenizer):
        def encode_array(self, text: str, *, disallowed_special: tuple[str, ...]) -> np.ndarray:
            seen.append(disallowed_special)
            return super().encode_array(text, disallowed_special=disallowed_special)

    write_shards(["<|endoftext|>"], Watched(), tmp_path, fingerprint=FINGERPRINT)
    assert seen == [()]


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write_shards(["a"], ByteTokenizer(), tmp_path, fingerprint=FINGERPRINT)
    with pytest.raises(RunFolderError) as caught:
        TokenShards(tmp_path, fingerprint="f" * 64)
    assert str(caught.value) == (
        f"{tmp_path} was made with another tokenizer (0123456789ab, this one is ffffffffffff); "
        "tokenize the text again"
    )


def test_another_format_is_refused(tmp_path: Path) -> None:
    shards_of([[1]], tmp_path)
    path = tmp_path / "header.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(
        RunFolderError, match=r"header.json is not a token header of format 2 but of 1; tokenize"
    ):
        TokenShards(tmp_path)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["tokens", "offsets", "checks"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"00001\.{} has \d+ bytes instead of \d+; tokenize the text again"),
        (Path.unlink, r"00001\.{} has 0 bytes instead of \d+; tokenize the text again"),
        (flip_a_bit, r"00001\.{} is damaged: its checksum differs; tokenize the text again"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, suffix: str, damage: Callable[[Path], None], message: str
) -> None:
    """When the folder is opened, or when the damaged tokens are read; those of other shards can be."""
    shards_of(counted(3, 3, 3), tmp_path, shard_tokens=1)
    damage(tmp_path / f"00001.{suffix}")
    with pytest.raises(RunFolderError, match=message.format(suffix)):
        shards = TokenShards(tmp_path)
        assert shards.read(0, 4).tolist() == [0, 1, 2, 3]
        shards.read(2, 6)


def test_each_block_is_checked_when_it_is_read(tmp_path: Path) -> None:
    """Damage far away disturbs nobody, and a block once read is not read again to be checked."""
    per_block = module.BLOCK_BYTES // 2
    shards = shards_of([[7] * (3 * per_block)], tmp_path, vocab_size=10)
    path = tmp_path / "00000.tokens"
    flip_a_bit(path)  # In the middle of three and a bit, so in the second block.
    assert set(shards.read(1, per_block).tolist()) == {7}
    assert set(shards.read(2 * per_block, len(shards)).tolist()) == {7}
    with pytest.raises(RunFolderError, match=r"00000\.tokens is damaged"):
        shards.read(per_block - 1, per_block + 1)
    flip_a_bit(path)
    assert len(shards.read(0, len(shards))) == len(shards)
    assert len(os.listdir(tmp_path)) == 4


def test_an_id_beyond_the_vocabulary_is_refused(tmp_path: Path) -> None:
    shards_of([[1, 5]], tmp_path, vocab_size=6)
    path = tmp_path / "header.json"
    path.write_text(path.read_text().replace('"vocab_size": 6', '"vocab_size": 5'))
    with pytest.raises(RunFolderError) as caught:
        TokenShards(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/00000.tokens holds the id 5, and the vocabulary ends at 4; tokenize the text again"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "<f4"}, r"is damaged at dtype: "),
        ({"shards": 3}, r"is damaged at shards: "),
        ({"end_of_text": None}, r"is damaged at end_of_text: "),
        ({"shards": [{"name": "../secret"}]}, r"is damaged at shards\.0\.name: "),
    ],
)
def test_a_foreign_header_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    shards_of([[1]], tmp_path)
    path = tmp_path / "header.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunFolderError, match=message):
        TokenShards(tmp_path)
    path.write_text("[]")
    with pytest.raises(RunFolderError, match="is not a token header of format 2 but of None"):
        TokenShards(tmp_path)


def test_folders_are_read_as_one_text(tmp_path: Path) -> None:
    shards_of([[1, 2], [3]], tmp_path / "one", shard_tokens=1)
    shards_of([[4]], tmp_path / "two")
    both = TokenShards(tmp_path / "one", tmp_path / "two")
    assert both.read(0, len(both)).tolist() == [0, 1, 2, 0, 3, 0, 4]
    assert both.document_numbers(0, 7).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert (both.counts.documents, both.counts.tokens) == (3, 7)


def test_folders_of_two_tokenizers_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        write_shards([name], ByteTokenizer(), tmp_path / name, fingerprint=name * 64)
    with pytest.raises(
        RunFolderError, match=r"b was made with another tokenizer \(bbbbbbbbbbbb, this one is aaaa"
    ):
        TokenShards(tmp_path / "a", tmp_path / "b")


def test_more_shards_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAPPED_FILES", 2)
    shards = shards_of([[i] for i in range(1, 6)], tmp_path, shard_tokens=1)
    assert shards.read(0, 10).tolist() == [0, 1, 0, 2, 0, 3, 0, 4, 0, 5]
    assert shards._mapped.cache_info().currsize == 2
    assert shards.read(0, 3).tolist() == [0, 1, 0]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    write_shards(
        ["a", "b", "c"],
        ByteTokenizer(),
        tmp_path,
        fingerprint=FINGERPRINT,
        progress=lambda done, total, note="": told.append(done),
    )
    assert told == [1, 2, 3]
