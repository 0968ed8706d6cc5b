"""The table of characters: for every code point that of the Unicode that tiktoken follows."""

from __future__ import annotations

import numpy as np
import pytest

from hornbook.tokenizer.characters import (
    LETTER,
    LOWER,
    NEWLINE,
    NUMBER,
    SIGN,
    SPACE,
    UPPER,
    character_flags,
)  # fmt: skip

CLASSES = {
    r"\p{L}": LETTER,
    r"\p{N}": NUMBER,
    r"\s": SPACE,
    r"[^\s\p{L}\p{N}]": SIGN,
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]": UPPER,
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]": LOWER,
    r"[\r\n]": NEWLINE,
}
EVERY = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


@pytest.mark.parametrize("expression", CLASSES)
def test_the_flags_are_the_classes_of_tiktoken(expression: str) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    single_bytes = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding("x", pat_str=expression, mergeable_ranks=single_bytes, special_tokens={})
    # tiktoken drops what its pattern does not match.
    theirs = bytes(encoding.encode_ordinary(EVERY)).decode("utf-8")
    ours = np.flatnonzero(character_flags() & CLASSES[expression])
    assert [point for point in ours if not 0xD800 <= point < 0xE000] == [ord(letter) for letter in theirs]


def test_each_character_is_one_of_four_kinds() -> None:
    kinds = character_flags() & (LETTER | NUMBER | SPACE | SIGN)
    assert set(np.unique(kinds)) == {LETTER, NUMBER, SPACE, SIGN}
