"""Offsets: against the definition, character by character, and against tokenizers."""

from __future__ import annotations

import functools

import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source, stable

from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.offsets import offsets
from hornbook.tokenizer.pretokenize import utf8

# Bytes at the edges of what may follow what.
EDGES = bytes.fromhex("41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e2 ed ef f0 f4 f5 ff")
broken = st.lists(st.sampled_from(EDGES), max_size=24).map(bytes) | st.binary(max_size=24)
tokens = st.lists(broken, max_size=8)


def by_hand(pieces: list[bytes]) -> list[tuple[int, int]]:
    """Spans by the definition: each character's bytes are found by decoding ever longer beginnings."""
    data = b"".join(pieces)
    text = data.decode("utf-8", "replace")
    # A byte continues a character if the text decoded up to it and the text decoded from it are one too many.
    begins = [
        place
        for place in range(len(data))
        if len(data[:place].decode("utf-8", "replace")) + len(data[place:].decode("utf-8", "replace"))
        == len(text)
        and data[:place].decode("utf-8", "replace") + data[place:].decode("utf-8", "replace") == text
    ]
    assert len(begins) == len(text)
    character = [sum(begin <= place for begin in begins) - 1 for place in range(len(data))]
    spans = []
    end = 0
    for piece in pieces:
        start, end = end, end + len(piece)
        spans.append((character[start], character[end - 1] + 1) if piece else (-1, -1))
    return spans


@given(st.lists(any_text.map(lambda text: utf8(text)[1]) | broken, max_size=6))
def test_spans_by_the_definition(pieces: list[bytes]) -> None:
    for found, wanted in zip(offsets(pieces), by_hand(pieces), strict=True):
        assert wanted == (-1, -1) or found == wanted


@given(tokens)
def test_spans_cover_the_text_and_never_run_backwards(pieces: list[bytes]) -> None:
    spans = offsets(pieces)
    text = b"".join(pieces).decode("utf-8", "replace")
    assert len(spans) == len(pieces)
    firsts, lasts = [start for start, _ in spans], [end for _, end in spans]
    assert firsts == sorted(firsts)
    assert lasts == sorted(lasts)
    assert all(start <= end for start, end in spans)
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == set(range(len(text)))
    if spans:
        assert (firsts[0], lasts[-1]) == (0, len(text))


def test_examples() -> None:
    assert offsets([]) == []
    assert offsets([b""]) == [(0, 0)]
    assert offsets([b"a", b"bc"]) == [(0, 1), (1, 3)]
    face = "😀".encode()
    assert offsets([b"a" + face[:1], face[1:3], b"", face[3:], b"", b"b"]) == [
        *[(0, 2), (1, 2), (1, 2), (1, 2)],
        *[(2, 2), (2, 3)],
    ]
    # Cut short, it is one U+FFFD; a surrogate in UTF-8 is three.
    assert offsets([face[:2], face[2:3], b"b"]) == [(0, 1), (0, 1), (1, 2)]
    assert offsets([b"\xed", b"\xa0", b"\x80"]) == [(0, 1), (1, 2), (2, 3)]


@functools.cache
def pair() -> tuple[Tokenizer, tokenizers.Tokenizer]:
    import json

    ours = Tokenizer.train(python_source(), 600)
    content = ours._engine.to_tokenizer_json()
    content["pre_tokenizer"]["trim_offsets"] = False
    return ours, tokenizers.Tokenizer.from_str(json.dumps(content))


@given(any_text)
def test_offsets_are_those_of_tokenizers(text: str) -> None:
    ours, theirs = pair()
    text = utf8(text.replace("<|endoftext|>", ""))[0]
    if stable(text):
        assert ours.offsets(ours.encode(text)) == theirs.encode(text).offsets
