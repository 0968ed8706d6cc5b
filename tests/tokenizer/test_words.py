"""The word table and the counting of words: against dictionaries, for any words, threads and bounds."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source

from hornbook.base.errors import ConfigError
from hornbook.tokenizer import Tokenizer, reference, word_counts
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.word_counts import count_words
from hornbook.tokenizer.words import ABSENT, WordTable, lay_out

# Words of any length, and words that differ in one byte or in zeros at the end alone.
a_word = st.binary(min_size=1, max_size=40) | st.builds(
    lambda letter, n, zeros: letter * n + b"\0" * zeros,
    st.sampled_from([b"a", b"ab", b"\0"]), st.integers(1, 30), st.integers(0, 9),
)  # fmt: skip


def entered(table: WordTable, words: list[bytes]) -> list[int]:
    texts = lay_out(words)
    numbers = np.empty(len(words), np.int32)
    table.enter(texts.chunks, 0, texts.bounds, numbers, numbers.copy())
    return numbers.tolist()


@given(st.lists(st.lists(a_word, min_size=1, max_size=30), min_size=1, max_size=5))
def test_words_are_numbered_in_the_order_of_first_sight(batches: list[list[bytes]]) -> None:
    table, numbers = WordTable(n_words=1), {}
    for batch in batches:
        for word in batch:
            numbers.setdefault(word, len(numbers))
        assert entered(table, batch) == [numbers[word] for word in batch]
    assert len(table) == len(numbers)
    words = table.spelled()
    bounds = [0, *words.bounds.tolist()]
    raw = words.data.tobytes()
    assert [raw[start:end] for start, end in pairwise(bounds)] == list(numbers)


@given(st.lists(a_word, min_size=1, unique=True), st.lists(a_word, min_size=1))
def test_fresh_words_take_over_the_numbers_of_a_table_that_knows_them(
    known: list[bytes], words: list[bytes]
) -> None:
    other, table = WordTable(), WordTable(longest=20)
    entered(other, known)
    other.entries[: len(known), 2] = np.arange(len(known)) + 1
    other.entries[: len(known), 3] = np.arange(len(known)) + 101
    texts = lay_out(words)
    numbers, fresh = np.empty(len(words), np.int32), np.empty(len(words), np.int32)
    n_fresh = table.enter(texts.chunks, 0, texts.bounds, numbers, fresh)
    first_seen = [place for place, word in enumerate(words) if len(word) > 20 or word not in words[:place]]
    assert fresh[:n_fresh].tolist() == first_seen

    n_unknown = table.take_over(numbers, fresh[:n_fresh], other)
    taken = {word for word in words if word in known and len(word) <= 20}
    assert fresh[:n_unknown].tolist() == [place for place in first_seen if words[place] not in taken]
    for number, word in zip(numbers, words, strict=True):
        if word in taken:
            place = known.index(word)
            assert table.entries[number, 2:].tolist() == [place + 1, place + 101]


def test_words_that_are_too_long_are_fresh_each_time() -> None:
    table = WordTable(longest=3)
    texts = lay_out([b"abc", b"abcd", b"abc", b"abcd"])
    numbers, fresh = np.empty(4, np.int32), np.empty(4, np.int32)
    assert table.enter(texts.chunks, 0, texts.bounds, numbers, fresh) == 3
    assert numbers.tolist() == [0, ABSENT, 0, ABSENT]
    assert fresh[:3].tolist() == [0, 1, 3]


def as_counter(texts: list[str], **options: int) -> Counter[bytes]:
    table, counts = count_words(texts, PATTERNS["gpt2"], **options)
    words = table.spelled()
    starts = [0, *words.bounds.tolist()]
    raw = words.data.tobytes()
    pairs = zip(pairwise(starts), counts.tolist(), strict=True)
    return Counter({raw[start:end]: count for (start, end), count in pairs})


@given(st.lists(any_text.filter(str.isascii) | st.just("the cat"), min_size=1), st.integers(1, 3))
def test_counts_are_those_of_the_reference(texts: list[str], threads: int) -> None:
    texts.append("a")
    expected = Counter(word for text in texts for word in reference.split(text, PATTERNS["gpt2"]))
    assert as_counter(texts, threads=threads) == expected


def test_threads_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for text in python_source() for line in text.splitlines(keepends=True)]
    expected = Tokenizer.train(lines, 600, threads=1)
    monkeypatch.setattr(word_counts, "BATCH", 1000)
    for threads in (1, 2, 5):
        trained = Tokenizer.train(iter(lines), 600, threads=threads)
        assert trained.merges == expected.merges


def test_a_bound_drops_the_rarest_words_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_counts, "BATCH", 1)
    texts = [" the" * 9, " of" * 5, *(f" once{letter}" for letter in "abcdefgh"), " the of"]
    with caplog.at_level(logging.WARNING):
        counts = as_counter(texts, max_words=4)
    assert counts[b" the"] == 10
    assert counts[b" of"] == 6
    assert len(counts) <= 4
    assert sum(counts.values()) < 24
    dropped = 24 - sum(counts.values())
    assert f"max_words=4 distinct words, rare ones were dropped {dropped} times" in caplog.text
    assert f"({100 * dropped / 24:.2f}% of the text's words)" in caplog.text


def test_a_bound_is_the_same_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "BATCH", 2000)
    lines = [line for text in python_source() for line in text.splitlines(keepends=True)]
    assert as_counter(lines, max_words=300) == as_counter(lines, max_words=300, threads=3)
    assert as_counter(lines, max_words=10**6) == as_counter(lines)


def test_a_bound_below_one_is_an_error() -> None:
    with pytest.raises(ConfigError, match="max_words=0 must be at least 1"):
        Tokenizer.train(["a b"], 300, max_words=0)
