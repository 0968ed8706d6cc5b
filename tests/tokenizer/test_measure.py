"""Numbers about a tokenizer: counted by hand on small texts, and against plain counting on any texts."""

from __future__ import annotations

import functools
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source
from tokenizer.word_piece import word_piece

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.measure import Compression, compression, fairness
from hornbook.tokenizer.pretokenize import utf8


@functools.cache
def trained() -> Tokenizer:
    return Tokenizer.train(python_source(), 700)


def test_a_text_counted_by_hand() -> None:
    tokenizer = Tokenizer.train(["ab ab ab"], 259, special_tokens=["<|end|>"])
    assert tokenizer.merges == [(b"a", b"b"), (b" ", b"ab")]
    found = compression(tokenizer, ["ab ab", "é"])  # "ab", " ab" and the two bytes of é.
    assert (found.texts, found.bytes, found.characters, found.words, found.tokens) == (2, 7, 6, 3, 4)
    assert (found.single_byte_tokens, found.fragments, found.used, found.vocab_size) == (2, 2, 4, 259)
    assert (found.bytes_per_token, found.characters_per_token) == (7 / 4, 6 / 4)
    assert found.tokens_per_word == 4 / 3
    assert (found.single_byte_share, found.fragment_share, found.used_share) == (0.5, 0.5, 4 / 259)


@given(st.lists(any_text, max_size=5))
def test_the_numbers_are_those_of_plain_counting(texts: list[str]) -> None:
    texts.append("some word")
    found = compression(trained(), iter(texts))
    ids = [token for text in texts for token in trained().encode(text, disallowed_special=())]
    mended = [utf8(text)[0] for text in texts]
    assert (found.texts, found.tokens, found.used) == (len(texts), len(ids), len(set(ids)))
    assert found.bytes == sum(len(text.encode()) for text in mended)
    assert found.characters == sum(map(len, mended))
    assert found.words == sum(len(text.split()) for text in mended)
    assert found.single_byte_tokens == sum(len(trained().token_bytes(token)) == 1 for token in ids)
    assert found.fragments == sum("\ufffd" in trained().decode([token]) for token in ids)


def test_what_has_no_bytes_is_not_counted(tmp_path: Path) -> None:
    tokenizer = word_piece(tmp_path)
    for texts in (["a small text", "small texts"], ["unknown"]):
        found = compression(tokenizer, texts)
        assert (found.single_byte_tokens, found.fragments) == (None, None)
        assert (found.single_byte_share, found.fragment_share) == (None, None)
    found = compression(tokenizer, ["a small text", "small texts"])
    assert (found.tokens, found.used, found.vocab_size) == (6, 4, 5)
    with pytest.raises(TextError, match="nothing to measure: 1 texts, and no token in them"):
        compression(tokenizer, ["\u200b"])


def test_a_special_token_in_a_text_is_plain_text() -> None:
    assert compression(trained(), ["<|endoftext|>"]).tokens > 1


@pytest.mark.parametrize("texts", [[], [""], [" \n", ""]])
def test_nothing_to_measure(texts: list[str]) -> None:
    with pytest.raises(TextError, match=f"nothing to measure: {len(texts)} texts, and no word"):
        compression(trained(), texts)


def test_a_single_text_is_not_many() -> None:
    with pytest.raises(TextError, match="for a single text give"):
        compression(trained(), "abc")


# Fairness


def of(tokens: int, texts: int = 1, vocab_size: int = 300) -> Compression:
    return Compression(texts, 100, 100, 10, tokens, 0, 0, 1, vocab_size)


def test_premiums_are_relative_to_the_base() -> None:
    found = fairness({"tha_Thai": of(60), "eng_Latn": of(20), "deu_Latn": of(30)})
    assert list(found.premiums.items()) == [("eng_Latn", 1.0), ("deu_Latn", 1.5), ("tha_Thai", 3.0)]
    assert (found.base, found.best, found.worst, found.ratio) == ("eng_Latn", "eng_Latn", "tha_Thai", 3.0)
    other = fairness({"tha_Thai": of(60), "eng_Latn": of(20), "deu_Latn": of(30)}, base="deu_Latn")
    assert other.premiums["eng_Latn"] == 2 / 3
    assert (other.ratio, other.gini) == (found.ratio, found.gini)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_gini_is_half_the_relative_mean_difference(tokens: list[int]) -> None:
    found = fairness({str(place): of(count) for place, count in enumerate(tokens)}, base="0")
    differences = sum(abs(first - second) for first, second in product(tokens, tokens))
    assert found.gini == pytest.approx(differences / (2 * len(tokens) * sum(tokens)))
    assert found.ratio == max(tokens) / min(tokens)


def test_gini_at_its_ends() -> None:
    assert fairness({"a": of(7), "b": of(7), "c": of(7)}, base="a").gini == 0
    assert fairness({"a": of(1), "b": of(1), "c": of(10**9)}, base="a").gini == pytest.approx(2 / 3)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(
        ConfigError, match="base='eng_Latin' is none of the languages, did you mean 'eng_Latn'"
    ):
        fairness({"eng_Latn": of(1), "tha_Thai": of(2)}, base="eng_Latin")
    with pytest.raises(TextError, match="not the same ones: 1 in 'eng_Latn', 2 in 'tha_Thai'"):
        fairness({"eng_Latn": of(1), "tha_Thai": of(2, texts=2)})
    with pytest.raises(TextError, match="with different tokenizers"):
        fairness({"eng_Latn": of(1), "tha_Thai": of(2, vocab_size=301)})
