"""Tables of ranks: tiktoken gives our ids from them, and what is no table is refused with the reason."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, few_letters, hard, python_source, stable

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import PATTERNS, utf8
from hornbook.tokenizer.vocabulary import Vocabulary


@functools.cache
def trained() -> Tokenizer:
    return Tokenizer.train(python_source(), 1500)


def tiktoken_of(tokenizer: Tokenizer) -> Any:
    tiktoken = pytest.importorskip("tiktoken")
    expression = tokenizer.vocabulary.pattern
    special = tokenizer.special_tokens
    return tiktoken.Encoding(
        "x", pat_str=expression, mergeable_ranks=tokenizer.ranks(), special_tokens=special
    )


@functools.cache
def theirs() -> Any:
    return tiktoken_of(trained())


@given((any_text | hard | few_letters).filter(stable))
def test_tiktoken_gives_the_ids_of_trained_merges(text: str) -> None:
    text = utf8(text)[0]
    assert trained().encode(text, allowed_special="all") == theirs().encode(text, allowed_special="all")


def test_tiktoken_gives_the_ids_of_real_text() -> None:
    for text in python_source():
        assert trained().encode(text) == theirs().encode(text)


@settings(max_examples=200)
@given(
    st.lists(st.text(alphabet="abc", max_size=60), min_size=1, max_size=4),
    st.text(alphabet="abc", max_size=60),
)
def test_a_table_is_refused_or_exact(texts: list[str], text: str) -> None:
    ours = Tokenizer.train([*texts, "ab"], 280, ".+", special_tokens=(), min_frequency=1)
    try:
        encoding = tiktoken_of(ours)
    except ConfigError as error:
        assert "cannot be a table of ranks" in str(error)
    else:
        assert ours.encode(text) == encoding.encode(text)


@given(few_letters)
def test_there_and_back(text: str) -> None:
    assert from_ranks().encode(text) == trained().encode(text)


@functools.cache
def from_ranks() -> Tokenizer:
    again = Tokenizer.from_ranks(trained().ranks(), "gpt2", trained().special_tokens)
    assert again.ranks() == trained().ranks()
    assert again.special_tokens == trained().special_tokens
    assert again.settings == trained().settings
    return again


def test_ids_need_no_order_beyond_that_of_the_merges(tmp_path: Path) -> None:
    """A special token may come first, as trainers elsewhere have it; tiktoken takes the gap."""
    vocabulary = trained().vocabulary
    moved = replace(
        vocabulary,
        tokens=[b"<|endoftext|>", *vocabulary.tokens[:-1]],
        left=vocabulary.left + 1,
        right=vocabulary.right + 1,
        special_tokens={"<|endoftext|>": 0},
    )
    ours = Tokenizer(ByteLevel(moved))
    assert ours.ranks() == {token: place + 1 for token, place in trained().ranks().items()}
    assert tiktoken_of(ours).encode(python_source()[0]) == ours.encode(python_source()[0])


def test_a_file_of_ranks(tmp_path: Path) -> None:
    trained().save_ranks(tmp_path / "x.tiktoken")
    again = Tokenizer.load(tmp_path / "x.tiktoken", pattern="gpt2")
    assert again.ranks() == trained().ranks()


# What is no table


def small(*merges: tuple[bytes, bytes], whole_words: bool = False, **changes: Any) -> Vocabulary:
    """A vocabulary of these merges, in this order."""
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += dict.fromkeys(left + right for left, right in merges)
    pairs = np.array([[tokens.index(part) for part in pair] for pair in merges], np.int32).reshape(-1, 2)
    left, right = pairs.T.copy()
    ranks = np.arange(len(merges), dtype=np.int32)
    return Vocabulary(tokens, left, right, ranks, PATTERNS["gpt2"], whole_words=whole_words, **changes)


def reordered(vocabulary: Vocabulary) -> Vocabulary:
    return replace(vocabulary, ranks=vocabulary.ranks[::-1].copy())


REFUSED = [
    # b"abc" is never made, since b"bc" is merged before b"ab".
    (small((b"b", b"c"), (b"a", b"b"), (b"ab", b"c")), "never make the token b'abc', which a table looks up"),
    # Looked up it is, but inside a longer word a + bc would be joined by a table.
    (
        small((b"b", b"c"), (b"a", b"b"), (b"ab", b"c"), whole_words=True),
        "leave two parts of the token b'abc', which a table joins",
    ),
    (reordered(small((b"a", b"b"), (b"c", b"d"))), "b'cd' is made before b'ab' or with it"),
    (
        replace(small((b"a", b"b"), (b"c", b"d")), ranks=np.zeros(2, np.int32)),
        "b'ab' is made before b'cd' or with",
    ),
    (small((b"a", b"b"), normalizer="NFC"), "text is first normalized to NFC"),
]


@pytest.mark.parametrize(("vocabulary", "message"), REFUSED)
def test_what_is_no_table_is_refused(vocabulary: Vocabulary, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tokenizer(ByteLevel(vocabulary)).ranks()


def test_a_whole_word_that_no_merge_comes_near_is_no_obstacle() -> None:
    ours = Tokenizer(ByteLevel(replace(small((b"b", b"c"), (b"bc", b"d")), whole_words=True)))
    tokens = [*ours.vocabulary.tokens, b"xyz"]
    ours = Tokenizer(ByteLevel(replace(ours.vocabulary, tokens=tokens)))
    for text in ("xyz", "xyzz", "bcd xyz", "abcd"):
        assert ours.encode(text) == tiktoken_of(ours).encode(text)


def test_ranks_from_elsewhere_are_checked() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    with pytest.raises(RunFolderError, match="the table of ranks is damaged: the rank 256 is missing"):
        Tokenizer.from_ranks({**ranks, b"ab": 257}, "gpt2")
    with pytest.raises(RunFolderError, match="lacks 1 of the 256 bytes"):
        Tokenizer.from_ranks({token: rank for token, rank in ranks.items() if rank < 255}, "gpt2")


# Published vocabularies


@pytest.mark.slow
def test_the_merges_of_gpt2_are_the_ranks_of_r50k(real_data: Path) -> None:
    merges = Tokenizer.load(real_data / "tokenizers" / "gpt2")
    ranks = Tokenizer.load(real_data / "tokenizers" / "tiktoken" / "r50k_base.tiktoken", pattern="gpt2")
    assert merges.ranks() == ranks.ranks()


@pytest.mark.slow
def test_ranks_survive_a_tokenizer_json(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "tokenizers" / "tiktoken" / "cl100k_base.tiktoken"
    tokenizer = Tokenizer.load(file, pattern="cl100k")
    tokenizer.save(tmp_path)
    tokenizer.save_ranks(tmp_path / "again.tiktoken")
    assert Tokenizer.load(tmp_path).ranks() == tokenizer.ranks()
    assert (tmp_path / "again.tiktoken").read_bytes() == file.read_bytes()
