"""Encoding: equal to the reference and to tiktoken, whatever the text and the number of threads."""

from __future__ import annotations

import base64
import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, few_letters, hard, python_source, stable

from hornbook.tokenizer import PATTERNS, Tokenizer, encode, merging, reference
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import BLOCK, utf8


@functools.cache
def trained(pattern: str = "gpt2", vocab_size: int = 1500) -> Tokenizer:
    return Tokenizer.train(python_source(), vocab_size, pattern=pattern)


@functools.cache
def of_two_letters() -> Tokenizer:
    """A vocabulary of long runs, where pairs overlap."""
    return Tokenizer.train(["ab" * 50, "a" * 100, "aab" * 30, "b" * 77], 290, ".+", min_frequency=1)


def by_reference(tokenizer: Tokenizer, text: str) -> list[int]:
    vocabulary = tokenizer.vocabulary
    merges = list(zip(vocabulary.left.tolist(), vocabulary.right.tolist(), strict=True))
    return reference.encode(utf8(text)[0], vocabulary.tokens, merges, vocabulary.pattern)


@given(any_text.filter(stable) | few_letters, st.sampled_from(list(PATTERNS)))
def test_the_fast_encoder_equals_the_reference(text: str, pattern: str) -> None:
    tokenizer = trained(pattern)
    assert tokenizer.encode(text, disallowed_special=()) == by_reference(tokenizer, text)


@given(st.text(alphabet="ab", max_size=3 * merging.SHORT))
def test_long_and_short_words_are_merged_alike(text: str) -> None:
    assert of_two_letters().encode(text) == by_reference(of_two_letters(), text)


def test_real_text_equals_the_reference() -> None:
    text = python_source()[3]
    assert trained().encode(text) == by_reference(trained(), text)
    assert reference.decode(trained().encode(text), trained().vocabulary.tokens) == text


@given(few_letters)
def test_a_merge_that_is_listed_twice_has_the_later_rank(text: str) -> None:
    twice = listed_twice()
    assert twice.encode(text) == by_reference(twice, text)


@functools.cache
def listed_twice() -> Tokenizer:
    """A vocabulary whose first merge comes again as the last one; `tokenizers` too does it there."""
    vocabulary = of_two_letters().vocabulary
    again = np.r_[: len(vocabulary.left), 0]
    ranks = np.arange(len(again), dtype=np.int32)
    left, right = vocabulary.left[again], vocabulary.right[again]
    return Tokenizer(ByteLevel(replace(vocabulary, left=left, right=right, ranks=ranks)))


@pytest.mark.parametrize("piece", ["a", " ", "\n", "ab", "\u0301", "中", "a\u200d", "0"])
def test_a_megabyte_of_one_thing_is_no_trouble(piece: str) -> None:
    text = piece * (1_000_000 // len(piece.encode()))
    for tokenizer in (trained(), of_two_letters()):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_threads_change_nothing() -> None:
    texts = [line for text in python_source() for line in text.splitlines()]
    expected = [trained().encode(text) for text in texts]
    for threads in (None, 1, 2, 5):
        assert trained().encode_batch(texts, threads=threads) == expected
    assert trained().encode_batch(iter(texts[:3])) == expected[:3]
    assert trained().encode_batch([], threads=2) == []


def test_a_full_memory_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [trained().encode(text) for text in python_source()]
    monkeypatch.setattr(encode, "MEMORY_WORDS", 10)
    monkeypatch.setattr(encode, "ROOM", 10)
    engine = ByteLevel(trained().vocabulary)
    assert [Tokenizer(engine).encode(text) for text in python_source()] == expected
    assert [memory.out.nbytes for memory in engine._memories] == [1 << 14]
    assert len(engine._memories[0].words) <= BLOCK


def as_tiktoken_has_it(ranks: dict[bytes, int], text: str) -> list[int]:
    tiktoken = pytest.importorskip("tiktoken")
    theirs = tiktoken.Encoding("x", pat_str=PATTERNS["gpt2"], mergeable_ranks=ranks, special_tokens={})
    ids: list[int] = theirs.encode_ordinary(text)
    return ids


def test_a_part_may_have_a_larger_rank_than_the_whole() -> None:
    single = {bytes([byte]): byte for byte in range(256)}
    ranks = {**single, b"abc": 256, b"ab": 257, b"bc": 258}
    ours = Tokenizer.from_ranks(ranks, "gpt2")
    for text in ("xabc", "abc", "abcabc", "bcabbc"):
        assert ours.encode(text) == as_tiktoken_has_it(ranks, text)


@settings(max_examples=300)
@given(
    st.lists(st.text("abc", min_size=2, max_size=6), unique=True, max_size=25),
    st.text("abcx ", max_size=40),
)
def test_tables_of_ranks_in_any_order_are_those_of_tiktoken(tokens: list[str], text: str) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {token.encode(): 256 + place for place, token in enumerate(tokens)}
    assert Tokenizer.from_ranks(ranks, "gpt2").encode(text) == as_tiktoken_has_it(ranks, text)


def rank_files(name: str, real_data: Path) -> tuple[Tokenizer, Any]:
    """Ours and tiktoken's encoding from the same rank file."""
    tiktoken = pytest.importorskip("tiktoken")
    file = real_data / "tokenizers" / "tiktoken" / {"gpt2": "r50k"}.get(name, name)
    file = file.with_name(file.name + "_base.tiktoken")
    ours = Tokenizer.load(file, pattern=name)
    lines = [line.split() for line in file.read_bytes().splitlines()]
    ranks = {base64.b64decode(code): int(rank) for code, rank in lines}
    theirs = tiktoken.Encoding(
        name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens=ours.special_tokens
    )
    return ours, theirs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k"])
def test_ids_are_those_of_tiktoken(name: str, real_data: Path) -> None:
    ours, theirs = rank_files(name, real_data)
    assert ours.vocab_size == theirs.n_vocab

    @settings(max_examples=1000)
    @given(any_text | hard)
    def same(text: str) -> None:
        assert ours.encode(text, disallowed_special=()) == theirs.encode(text, disallowed_special=())
        assert ours.encode(text, allowed_special="all") == theirs.encode(text, allowed_special="all")

    same()
    runs = [letter * length for letter in " a\né=." for length in range(1, 300)]
    files = sorted((real_data / "udhr").rglob("*.txt")) + sorted((real_data / "code").rglob("*.jsonl"))
    texts = [file.read_text(encoding="utf-8")[:100_000] for file in files]
    assert texts
    for text in runs + texts:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.slow
def test_the_published_splitting_of_cl100k_is_ours(real_data: Path) -> None:
    """Our spelling of the pattern and tiktoken's, which has possessive quantifiers, cut alike."""
    tiktoken = pytest.importorskip("tiktoken")
    published = (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    )
    ours, _ = rank_files("cl100k", real_data)
    ranks = {token: place for place, token in enumerate(ours.vocabulary.tokens[:100256])}
    theirs = tiktoken.Encoding("x", pat_str=published, mergeable_ranks=ranks, special_tokens={})

    @settings(max_examples=1000)
    @given((any_text | hard).filter(stable))
    def same(text: str) -> None:
        assert ours.encode(text, disallowed_special=()) == theirs.encode_ordinary(text)

    same()
