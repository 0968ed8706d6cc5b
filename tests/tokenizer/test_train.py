"""Training: equal to the reference and to the Hugging Face library, and clear about what cannot be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import few_letters, hard, python_source

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import Tokenizer, reference
from hornbook.tokenizer.alphabet import spell
from hornbook.tokenizer.pretokenize import PATTERNS, utf8


@settings(max_examples=200)
@given(st.lists(few_letters | hard, min_size=1, max_size=8), st.integers(0, 3), st.integers(0, 40))
def test_the_fast_trainer_equals_the_reference(texts: list[str], min_frequency: int, n_merges: int) -> None:
    texts = [utf8(text)[0] for text in texts] + ["ab"]
    tokens, merges = reference.train(texts, PATTERNS["gpt2"], 256 + n_merges, min_frequency, ["ab"])
    fast = Tokenizer.train(texts, 257 + n_merges, special_tokens=["ab"], min_frequency=min_frequency)
    assert fast.vocabulary.tokens == [*tokens, b"ab"]
    assert list(zip(fast.vocabulary.left, fast.vocabulary.right, strict=True)) == merges


@settings(max_examples=200)
@given(st.lists(st.text(alphabet="ab", max_size=60), min_size=1, max_size=6))
def test_they_are_equal_where_two_merges_spell_one_token(texts: list[str]) -> None:
    texts.append("ab")
    tokens, merges = reference.train(texts, ".+", 290, 1)
    fast = Tokenizer.train(texts, 290, pattern=".+", special_tokens=[], min_frequency=1)
    assert fast.vocabulary.tokens == tokens
    assert list(zip(fast.vocabulary.left, fast.vocabulary.right, strict=True)) == merges


@pytest.mark.parametrize(
    ("pattern", "min_frequency"), [("gpt2", 2), ("gpt2", 0), ("cl100k", 2), ("o200k", 3)]
)
def test_merges_are_those_of_the_hugging_face_trainer(pattern: str, min_frequency: int) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(PATTERNS[pattern]), "isolated")
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, byte_level])
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=3000,
        min_frequency=min_frequency,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(python_source(), trainer)
    ours = Tokenizer.train(python_source(), 3000, pattern=pattern, min_frequency=min_frequency)
    merges = json.loads(theirs.to_str())["model"]["merges"]
    assert [[spell(left), spell(right)] for left, right in ours.merges] == merges
    assert len(merges) == 3000 - 257


def test_training_twice_gives_the_same_and_texts_may_be_a_stream() -> None:
    def pages() -> Iterator[str]:
        for text in python_source():
            yield from text.splitlines(keepends=True)

    first, second = (Tokenizer.train(pages(), 1000) for _ in range(2))
    assert first.merges == second.merges
    assert first.n_merges == 1000 - 257


def test_progress_is_told_every_merge() -> None:
    notes: list[tuple[int, int | None, str]] = []

    def listen(done: int, total: int | None, note: str = "") -> None:
        notes.append((done, total, note))

    tokenizer = Tokenizer.train(["the the the é é é"] * 2, 260, progress=listen)
    assert [done for done, _, _ in notes] == [1, 2, 3]
    assert {total for _, total, _ in notes} == {3}
    assert notes[0][2] == "'h' + 'e' -> 'he'"
    assert tokenizer.n_merges == 3


def test_half_characters_are_shown_as_bytes() -> None:
    notes: list[str] = []
    Tokenizer.train(["éé"] * 2, 258, progress=lambda _done, _total, note="": notes.append(note))
    assert notes == ["b'\\xc3' + b'\\xa9' -> 'é'"]


def test_too_little_text_stops_early_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tokenizer = Tokenizer.train(["aaaa bbbb"], 5000)
    assert tokenizer.vocab_size < 5000
    assert f"gave {tokenizer.vocab_size} tokens of the 5000" in caplog.text
    assert tokenizer.decode(tokenizer.encode("aaaa bbbb cccc")) == "aaaa bbbb cccc"


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_is_an_error(texts: list[str]) -> None:
    with pytest.raises(TextError, match="no text to train"):
        Tokenizer.train(texts, 1000)


def test_a_vocabulary_below_the_bytes_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"vocab_size=256 is too small: .* are 257"):
        Tokenizer.train(["abc"], 256)


def test_a_single_text_is_not_many() -> None:
    with pytest.raises(TextError, match="for a single text give"):
        Tokenizer.train("abc", 1000)


@pytest.mark.parametrize("special", [["a", "a"], [""], ["Ġ"], "<|end|>"])
def test_impossible_special_tokens_are_refused(special: list[str]) -> None:
    with pytest.raises(ConfigError):
        Tokenizer.train(["abc"], 1000, special_tokens=special)


def test_text_never_becomes_a_special_token() -> None:
    tokenizer = Tokenizer.train(["the end the end"] * 9, 300, special_tokens=["the", "Ġend"])
    special = set(tokenizer.special_tokens.values())
    assert not special & set(tokenizer.encode("the end", disallowed_special=()))
    assert tokenizer.special_tokens == {"the": tokenizer.vocab_size - 2, "Ġend": tokenizer.vocab_size - 1}
