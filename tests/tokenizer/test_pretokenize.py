"""Splitting: the compiled splitter against the `regex` package, and odd patterns and texts."""

from __future__ import annotations

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizer.texts import any_text

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer import pretokenize
from hornbook.tokenizer.pretokenize import PATTERNS, resolve, splitter, utf8


def words(expression: str, text: str) -> list[str]:
    mended, raw = utf8(text)
    ends = splitter(expression)(mended, np.frombuffer(raw, np.uint8)).tolist()
    starts = [0, *ends][: len(ends)]
    return [raw[start:end].decode() for start, end in zip(starts, ends, strict=True)]


@given(any_text)
@example("  a   b ")
@example("it's 'll 'S we'v")
@example("\u3000\u3000x\u2028")
def test_the_compiled_splitter_agrees_with_regex(text: str) -> None:
    assert words(PATTERNS["gpt2"], text) == regex.findall(PATTERNS["gpt2"], utf8(text)[0])


def test_the_compiled_splitter_agrees_on_every_character() -> None:
    for first in range(0, 0x110000, 0x8000):
        text = "".join(f"a{chr(point)}1" for point in range(first, first + 0x8000))
        assert words(PATTERNS["gpt2"], text) == regex.findall(PATTERNS["gpt2"], utf8(text)[0])


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


def test_names_and_expressions_come_back() -> None:
    for name, expression in PATTERNS.items():
        assert resolve(name) == expression
        assert pretokenize.name_of(expression) == name
    assert pretokenize.name_of("a+") == "a+"
