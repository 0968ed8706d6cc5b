"""Rank files: read as tiktoken reads them, written as it would have, and refused where they are damaged."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tokenizer.texts import python_source

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.files.rank_files import from_ranks, write_ranks


def lines(file: Path, tokens: list[bytes], ranks: list[int] | None = None) -> Path:
    lines = [
        base64.b64encode(token) + b" %d\n" % rank
        for token, rank in zip(tokens, ranks or range(len(tokens)), strict=True)
    ]
    file.write_bytes(b"".join(lines))
    return file


def single_bytes() -> list[bytes]:
    return [bytes([byte]) for byte in range(256)]


def test_a_rank_file_needs_a_pattern(tmp_path: Path) -> None:
    file = lines(tmp_path / "x.tiktoken", [*single_bytes(), b"ab", b"abc"])
    with pytest.raises(ConfigError, match=r"give pattern= 'gpt2', 'cl100k', .* or a regular expression"):
        Tokenizer.load(file)
    tokenizer = Tokenizer.load(file, pattern=r"\p{L}+")
    assert tokenizer.encode("abc ab") == [257, 32, 256]
    assert tokenizer.special_tokens == {}


def test_a_whole_word_is_its_token_even_if_no_merge_makes_it(tmp_path: Path) -> None:
    file = lines(tmp_path / "x.tiktoken", [*single_bytes(), b"abcd"])
    tokenizer = Tokenizer.load(file, pattern="gpt2")
    assert tokenizer.encode("abcd abcd") == [256, 32, 97, 98, 99, 100]
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode("abcd abcd") == [256, 32, 97, 98, 99, 100]


@pytest.mark.parametrize(
    ("tokens", "ranks", "message"),
    [
        ([*single_bytes(), b"ab"], [*range(256), 257], "the rank 256 is missing"),
        ([*single_bytes(), b"ab"], [*range(256), 7], "the rank 7 occurs twice, again on line 257"),
        ([*single_bytes(), b"ab", b"ab"], None, "the token b'ab' has more than one rank"),
        (single_bytes()[:-1], None, "lacks 1 of the 256 bytes, the first is 0xff"),
    ],
)
def test_damaged_ranks(tokens: list[bytes], ranks: list[int] | None, message: str, tmp_path: Path) -> None:
    file = lines(tmp_path / "x.tiktoken", tokens, ranks)
    with pytest.raises(RunFolderError, match=message):
        Tokenizer.load(file, pattern="gpt2")


def test_a_line_that_is_no_rank(tmp_path: Path) -> None:
    file = lines(tmp_path / "x.tiktoken", single_bytes())
    file.write_bytes(file.read_bytes() + b"what is this\n")
    with pytest.raises(RunFolderError, match="line 257 is not a token in base64 and a rank"):
        Tokenizer.load(file, pattern="gpt2")


# From and to tables


def table() -> dict[bytes, int]:
    return {token: rank for rank, token in enumerate([*single_bytes(), b"ab", b"bc", b"abc"])}


def test_a_table_becomes_a_vocabulary() -> None:
    vocabulary = from_ranks(table(), "gpt2", {"<end>": 300}, "the table")
    assert vocabulary.special_tokens == {"<end>": 300}
    assert (len(vocabulary.tokens), vocabulary.tokens[258], vocabulary.tokens[299]) == (301, b"abc", b"")
    assert sorted(zip(vocabulary.left, vocabulary.right, vocabulary.ranks, strict=True)) == [
        (97, 98, 256), (97, 257, 258), (98, 99, 257), (256, 99, 258),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ranks", "special", "message"),
    [
        ({b"": 259}, {}, "^the table is damaged: the rank 259 has an empty token"),
        ({b"xy": 7}, {}, "^the table is damaged: a rank occurs twice"),
        ({b"xy": 300}, {}, "^the table is damaged: the rank 259 is missing"),
        (
            {},
            {"<end>": 258},
            "'<end>' cannot be a special token with the id 258; it must .* after the 259 ranks",
        ),
        ({}, {"\ud800": 259}, "cannot be a special token"),
        ({}, {"<end>": 30_000_000}, "with the id 30000000; .* at most 4194302"),
        ({}, {"<end>": 300.5}, "with the id 300.5; .* its id a whole number"),
        ({}, {"<end>": True}, "with the id True"),
        ({}, {"<a>": 259, "<b>": 259}, "two special tokens have one id"),
    ],
)
def test_tables_that_are_none(ranks: dict[bytes, int], special: dict[str, Any], message: str) -> None:
    with pytest.raises(RunFolderError, match=message):
        from_ranks(table() | ranks, "gpt2", special, "the table")


def test_what_is_trained_here_is_a_rank_file(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(python_source(), 600)
    # The ids of bytes are GPT-2's, so that its special token stands where the file ends.
    write_ranks(tokenizer.vocabulary, tmp_path / "x.tiktoken")
    again = Tokenizer.load(tmp_path / "x.tiktoken", pattern="gpt2")
    assert again.vocab_size == 599
    for text in python_source():
        assert again.encode(text) == tokenizer.encode(text)


def test_a_vocabulary_that_is_no_table_is_refused(tmp_path: Path) -> None:
    vocabulary = from_ranks(table(), "gpt2", {}, "the table")
    added = dataclasses.replace(vocabulary, tokens=[*vocabulary.tokens, b"<x>"], added_tokens={"<x>": 259})
    with pytest.raises(ConfigError, match="cannot say that '<x>' is cut out of every text"):
        write_ranks(added, tmp_path / "x.tiktoken")
    first = dataclasses.replace(
        vocabulary,
        tokens=[b"<x>", *vocabulary.tokens],
        left=vocabulary.left + 1,
        right=vocabulary.right + 1,
        ranks=vocabulary.ranks + 1,
        special_tokens={"<x>": 0},
    )
    with pytest.raises(
        ConfigError, match="has no gaps, but the id 0 is special or unused while ids up to 259"
    ):
        write_ranks(first, tmp_path / "x.tiktoken")
    with pytest.raises(ConfigError, match="NFC"):
        write_ranks(dataclasses.replace(vocabulary, normalizer="NFC"), tmp_path / "x.tiktoken")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_published_files_are_written_as_they_are(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "tokenizers"
    published = folder / "tiktoken"
    for name, pattern in (("r50k", "gpt2"), ("cl100k", "cl100k")):
        write_ranks(Tokenizer.load(published / f"{name}_base.tiktoken", pattern).vocabulary, tmp_path / name)
        assert (tmp_path / name).read_bytes() == (published / f"{name}_base.tiktoken").read_bytes()
    write_ranks(Tokenizer.load(folder / "gpt2").vocabulary, tmp_path / "gpt2")
    assert (tmp_path / "gpt2").read_bytes() == (published / "r50k_base.tiktoken").read_bytes()
