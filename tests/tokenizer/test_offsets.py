"""Offsets: against the definition, character by character, and against tokenizers."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizer.test_foreign import unigram, word_piece
from tokenizer.texts import any_text, python_source, stable

from hornbook.base.errors import TextError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.foreign import Foreign
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


# Vocabularies of SentencePiece, whose decoders drop the first space


def check_foreign(engine: Foreign, ids: list[int]) -> None:
    """The spans lie in the decoded text, cover it, and hold what each token says."""
    text = engine.decode_bytes(ids).decode()
    spans = engine.offsets(ids)
    assert {place for start, end in spans for place in range(start, end)} == set(range(len(text)))
    for token, (start, end) in zip(ids, spans, strict=True):
        said = engine.token_bytes(token).decode("utf-8", "replace")
        if "\ufffd" not in said:
            # Where the text begins, a space may have been dropped, or all of those of the first token.
            assert text[start:end] in ({said, said[1:], said.lstrip(" ")} if start == 0 else {said})


def test_spans_lie_in_the_decoded_text_of_unigram() -> None:
    engine = Foreign(unigram(), "the file")
    assert engine.offsets([]) == []
    ids = engine.encode("def length").tolist()
    assert engine.offsets(ids)[0][0] == 0 and engine.offsets(ids)[-1][1] == len("def length")
    for text in ["def length(self): return", "a", " a", "  a  b ", *python_source()[2:4]]:
        check_foreign(engine, engine.encode(text).tolist())


@pytest.mark.parametrize("name", ["mistral_v1", "t5"])
def test_spans_lie_in_the_decoded_text_of_published_models(name: str, real_data: Path) -> None:
    tokenizer = Tokenizer.load(real_data / "tokenizers" / "sentencepiece" / f"{name}.model")
    engine = tokenizer._engine
    assert isinstance(engine, Foreign)
    for text in ["Hello world", " Hello", "  two  spaces", "naïve café 😀 中文", "", " ", python_source()[0]]:
        check_foreign(engine, tokenizer.encode(text))
    special = list(tokenizer.special_tokens.values())[-1]
    check_foreign(engine, [special, *tokenizer.encode("Hello world"), special])


def test_a_character_cut_short_has_the_spans_that_it_is_decoded_to(real_data: Path) -> None:
    tokenizer = Tokenizer.load(real_data / "tokenizers" / "sentencepiece" / "mistral_v1.model")
    engine = tokenizer._engine
    assert isinstance(engine, Foreign)
    byte = [engine.id_of(f"<0x{value:02X}>") or 0 for value in range(256)]
    hello = tokenizer.encode("a")
    ids = [*hello, byte[0xF0], byte[0x9F], *hello]
    assert tokenizer.decode(ids) == "a\ufffd\ufffd a"
    assert engine.offsets(ids) == [(0, 1), (1, 2), (2, 3), (3, 5)]


def test_words_without_spaces_have_no_offsets() -> None:
    engine = Foreign(word_piece(), "the file")
    with pytest.raises(TextError, match="has no bytes of its own"):
        engine.offsets(engine.encode("def").tolist())
