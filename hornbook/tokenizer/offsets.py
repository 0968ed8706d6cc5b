"""Where each token stands in the text: bytes of tokens turned into spans of characters.

A token of byte-level BPE is bytes, and a character may be spread over several tokens. Here every byte is
given the number of the character it belongs to, for broken UTF-8 too, and a token spans the characters of
its bytes. This module knows neither ids nor vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hornbook.tokenizer.jit import Bytes, Int64s

Bools = npt.NDArray[np.bool_]


def offsets(tokens: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the span of characters, end excluded, of each token in the text that they spell together.

    The text is `b"".join(tokens).decode("utf-8", "replace")`. A token that holds part of a character has
    that whole character in its span, so tokens that share a character overlap there. Spans never
    run backwards, and together they cover the text. A token of no bytes has an empty span, or the character
    that it stands in the middle of.
    """
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    ends = np.cumsum(lengths)
    data = np.frombuffer(b"".join(tokens), np.uint8)
    # How many characters have begun before each byte, and before the end.
    begun = np.concatenate([np.zeros(1, np.int64), np.cumsum(_begins(data))])
    first = np.append(begun[1:] - 1, begun[-1])[ends - lengths]
    return list(zip(first.tolist(), begun[ends].tolist(), strict=True))


def _begins(data: Bytes) -> Int64s:
    """1 for each byte that begins a character, 0 for one that continues it.

    A character that is cut short is one U+FFFD as far as it goes, and so is each byte that can neither begin
    nor continue one: what Python does, and the Unicode Standard (section 3.9) calls maximal subparts.
    """
    padded = np.concatenate([data, np.zeros(3, np.uint8)])
    begins = np.ones(len(data) + 3, np.int64)
    follows = _may_follow(data, padded[1 : len(data) + 1])
    for step, longest in enumerate((0xC2, 0xE0, 0xF0), 1):
        follows = follows & (data >= longest)
        if step > 1:
            follows &= padded[step : len(data) + step] & 0xC0 == 0x80
        begins[step : len(data) + step][follows] = 0
    return begins[: len(data)]


def _may_follow(lead: Bytes, second: Bytes) -> Bools:
    """Whether a character may begin with these two bytes (Unicode Standard, table 3-7)."""
    lowest = np.select([lead == 0xE0, lead == 0xF0], [0xA0, 0x90], 0x80)
    highest = np.select([lead == 0xED, lead == 0xF4], [0x9F, 0x8F], 0xBF)
    return (lead >= 0xC2) & (lead <= 0xF4) & (second >= lowest) & (second <= highest)
