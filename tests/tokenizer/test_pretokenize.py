"""Splitting: the compiled splitters against two regex engines, and odd patterns and texts."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, stable

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import automaton, pretokenize
from hornbook.tokenizer.characters import character_flags
from hornbook.tokenizer.pretokenize import PATTERNS, resolve, splitter, utf8
from hornbook.tokenizer.split import AT_ONCE, SPLITS
from hornbook.tokenizer.words import lay_out


def words(expression: str, text: str) -> list[str]:
    texts = lay_out([utf8(text)[1]])
    ends = [int(end) for block in splitter(expression)(texts) for end in block]
    return [texts.data[start:end].tobytes().decode() for start, end in pairwise([0, *ends])]


def by_regex(expression: str, text: str) -> list[str]:
    return regex.findall(expression, utf8(text)[0])


def by_tokenizers(expression: str, text: str) -> list[str]:
    tokenizers = pytest.importorskip("tokenizers")
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(expression), "isolated")
    return [word for word, _ in split.pre_tokenize_str(text)]


every_pattern = pytest.mark.parametrize("name", PATTERNS)


def test_published_patterns_are_compiled() -> None:
    assert SPLITS.keys() == automaton.RULES.keys() == PATTERNS.keys()


@every_pattern
@settings(max_examples=400)
@given(text=any_text.filter(stable))
@example(text="  a   b ")
@example(text="it's 'll 'S we'v I'\u017f don'T")
@example(text="\u3000\u3000x\u2028")
@example(text=" \n  \r\n x\n\n  ")
@example(text="HTTPServer aB ABc \u0301A\u0301 !\u0301a !!\u0301 ǅa")
@example(text="1234567 ²³٣٤a//\n/\r.\n")
@example(text="abcdefgh abcdefghi ABCDEFGH ABCDEFGHi ABCDEFG'll abcdefgé")
def test_compiled_splitters_agree_with_regex(name: str, text: str) -> None:
    assert words(PATTERNS[name], text) == by_regex(PATTERNS[name], text)


def neighbours(points: range) -> str:
    """Each character beside letters of both cases, digits, signs, blanks and line ends."""
    return "".join(f"a{c}B{c}c1{c} {c}.{c}{c}\n {c}'s" for c in map(chr, points))


@every_pattern
def test_compiled_splitters_agree_about_characters_at_the_edge_of_their_kind(name: str) -> None:
    edges = np.flatnonzero(np.diff(character_flags()))
    points = sorted({*edges.tolist(), *(edges + 1).tolist()} - {*range(0xD800, 0xE000)})
    text = "".join(neighbours(range(point, point + 1)) for point in points)
    assert words(PATTERNS[name], text) == by_tokenizers(PATTERNS[name], text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cl100k", "o200k"])
def test_compiled_splitters_agree_about_every_character(name: str) -> None:
    """Of planes without any, and of those for private use, about every 64th."""
    for first in range(0, 0x110000, 0x800):
        if not 0xD800 <= first < 0xE000:
            has_none = 0x4 <= first >> 16 <= 0xD or first >> 16 >= 0xF
            text = neighbours(range(first, first + 0x800, 64 if has_none else 1))
            assert words(PATTERNS[name], text) == by_tokenizers(PATTERNS[name], text)


@every_pattern
def test_texts_one_after_another_are_split_each_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretokenize, "BLOCK", 3)
    parts = ["", "abc", "def ", " ", "ghi", "", "12", "345", "it'", "s", "\n", "\n\nx", "é", ""]
    texts = lay_out([part.encode() for part in parts])
    blocks = [block.copy() for block in splitter(PATTERNS[name])(texts)]
    assert len(blocks) > 2
    assert max(map(len, blocks)) <= 3 + AT_ONCE
    ends = np.cumsum([len(word.encode()) for part in parts for word in by_regex(PATTERNS[name], part)])
    assert np.concatenate(blocks).tolist() == ends.tolist()


@given(any_text, st.sampled_from([*PATTERNS.values(), r"\p{L}+", "a|(b)c", "x*"]))
def test_no_pattern_loses_text(text: str, expression: str) -> None:
    parts = words(expression, text)
    assert "".join(parts) == utf8(text)[0]
    assert all(parts)


def test_text_between_matches_is_a_word() -> None:
    assert words(r"\p{L}+", "1 ab, cd!") == ["1 ", "ab", ", ", "cd", "!"]


def test_surrogates_are_joined_or_replaced() -> None:
    assert utf8("a\ud83d\ude00b\ud83d") == ("a😀b\ufffd", "a😀b\ufffd".encode())


def test_bytes_are_refused() -> None:
    with pytest.raises(TextError, match=r"takes text .str., not bytes"):
        utf8(b"abc")  # type: ignore[arg-type]


def test_a_misspelt_name_is_not_taken_for_an_expression() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gpt2'"):
        resolve("gpt-2")


def test_a_broken_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a regular expression: missing"):
        resolve("(a")


def test_an_expression_without_a_compiled_splitter_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            list(splitter(r"\p{L}+|said once")(lay_out([b"ab cd"])))
    assert caplog.text.count("has no compiled splitter") == 1


def test_names_and_expressions_come_back() -> None:
    for name, expression in PATTERNS.items():
        assert resolve(name) == expression
        assert pretokenize.name_of(expression) == name
    assert pretokenize.name_of("a+") == "a+"
