"""The look inside: the traced words are the text, their ids those of encoding, their steps the merges."""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.texts import any_text, few_letters, python_source
from tokenizer.word_piece import word_piece

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.pretokenize import utf8
from hornbook.tokenizer.trace import LONGEST, Step, has_bytes, pieces, trace


@functools.cache
def trained(whole_words: bool = False) -> Tokenizer:
    """A tokenizer with special and added tokens; with whole words, also one that no merge makes."""
    tokenizer = Tokenizer.train(python_source(), 700, special_tokens=("<|endoftext|>", "<|end|>", "<|end|>>"))
    tokenizer = tokenizer.extend(tokens=["heq", "中", " \n\t"])
    if not whole_words:
        return tokenizer
    vocabulary = tokenizer.vocabulary
    return Tokenizer(ByteLevel(replace(vocabulary, tokens=[*vocabulary.tokens, b"aBa"], whole_words=True)))


texts = (
    any_text | few_letters | st.sampled_from(["<|end|>><|endoftext|>heq<|end|>", "aBa aBa", "theq中 \n\t b"])
)


@given(texts, st.booleans())
def test_the_ids_are_those_of_encoding(text: str, whole_words: bool) -> None:
    tokenizer = trained(whole_words)
    words = trace(tokenizer, text)
    assert [token for word in words for token in word.ids] == tokenizer.encode(text, allowed_special="all")
    assert "".join(word.text for word in words) == utf8(text)[0]
    for word in words:
        assert word.data == word.text.encode()
        assert [tokenizer.token_bytes(token) for token in word.ids] == list(word.tokens)


@given(texts)
def test_the_steps_lead_from_bytes_to_tokens_by_the_smallest_ranks(text: str) -> None:
    tokenizer = trained()
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    for word in trace(tokenizer, text):
        if word.kind != "word":
            continue
        states = [step.tokens for step in word.steps] + [word.tokens]
        assert states[0] == tuple(bytes([byte]) for byte in word.data)
        for step, after in zip(word.steps, states[1:], strict=True):
            pair = step.tokens[step.place], step.tokens[step.place + 1]
            assert step.merged == b"".join(pair)
            assert after == (*step.tokens[: step.place], step.merged, *step.tokens[step.place + 2 :])
            known = [(ranks[each], at) for at, each in enumerate(pairwise(step.tokens)) if each in ranks]
            assert (step.rank, step.place) == min(known)
            assert ranks[pair] == step.rank
        assert not any(pair in ranks for pair in pairwise(word.tokens))


def test_a_small_example_step_by_step() -> None:
    tokenizer = Tokenizer.train(["the thing in the hat"] * 3, 260)
    assert [left + right for left, right in tokenizer.merges] == [b"th", b"in", b" th"]
    special, word = trace(tokenizer, "<|endoftext|> then")
    assert (special.kind, special.whole, special.steps) == ("special", True, ())
    assert (special.ids, special.tokens) == ((259,), (b"<|endoftext|>",))
    assert (word.text, word.kind, word.whole) == (" then", "word", False)
    assert word.steps == (
        Step((b" ", b"t", b"h", b"e", b"n"), 1, b"th", 0),
        Step((b" ", b"th", b"e", b"n"), 0, b" th", 2),
    )
    assert word.tokens == (b" th", b"e", b"n")


def test_kinds_and_whole_words() -> None:
    tokenizer = trained(whole_words=True)
    added, whole, merged, special = trace(tokenizer, "heqclass classless<|end|>")
    assert (added.text, added.kind, added.whole) == ("heq", "added", True)
    assert (whole.text, whole.kind, whole.whole, whole.steps) == ("class", "word", True, ())
    assert (merged.text, merged.kind, merged.whole) == (" classless", "word", False)
    assert b"".join(merged.tokens) == merged.data and len(merged.steps) == len(merged.data) - len(merged.ids)
    assert (special.kind, special.whole) == ("special", True)
    (never_merged,) = trace(tokenizer, "aBa")
    assert never_merged.ids == (703,)


def test_a_normalizer_comes_before_the_words() -> None:
    tokenizer = Tokenizer(ByteLevel(replace(trained().vocabulary, added_tokens={}, normalizer="NFD")))
    assert "".join(word.text for word in trace(tokenizer, "né")) == "ne\u0301"


def test_what_cannot_be_traced() -> None:
    with pytest.raises(
        TextError, match=f"a word of {LONGEST + 1} bytes, beginning 'xxx.*{LONGEST} bytes at most"
    ):
        trace(trained(), "a+" + "x" * (LONGEST + 1))
    assert len(trace(trained(), "x" * LONGEST)) == 1
    with pytest.raises(TextError, match="takes text"):
        trace(trained(), b"bytes")  # type: ignore[arg-type]
    assert trace(trained(), "") == []


def test_a_long_word_can_be_skipped() -> None:
    text = "a+" + "x" * (LONGEST + 1) + " class"
    first, sign, long, last = trace(trained(), text, skip_long=True)
    assert [word.too_long for word in (first, sign, long, last)] == [False, False, True, False]
    assert (long.data, long.steps, long.ids, long.tokens) == (b"x" * (LONGEST + 1), (), (), ())
    assert last == trace(trained(), "a class")[1]
    assert not trace(trained(), "x" * LONGEST, skip_long=True)[0].too_long


def test_the_pieces_of_any_vocabulary(tmp_path: Path) -> None:
    ids = trained().encode("class \u4e2d\u00e9")
    assert has_bytes(trained()) and pieces(trained(), ids) == [trained().token_bytes(each) for each in ids]
    bare = word_piece(tmp_path)
    assert not has_bytes(bare)
    assert pieces(bare, bare.encode("small texts, x")) == [b"small", b"text", b"##s", b"[UNK]", b"[UNK]"]


def test_who_cannot_be_given_special_tokens_is_not_told_to_add_them(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a text"}]
    with pytest.raises(ConfigError, match=r"add them by tokenizer.extend\(special_tokens="):
        trained().apply_chat_template(messages)
    bare = word_piece(tmp_path)
    with pytest.raises(ConfigError, match=r"takes no new ones, .* by chat_template=$"):
        bare.apply_chat_template(messages)
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    assert bare.apply_chat_template(messages, chat_template=template).ids == bare.encode("a text")
