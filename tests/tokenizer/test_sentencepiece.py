"""SentencePiece's models: read without its library, and to the same ids."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer.texts import any_text, python_source

from hornbook.base.errors import RunFolderError
from hornbook.tokenizer import Tokenizer
from hornbook.tokenizer.files.protobuf import Message
from hornbook.tokenizer.pretokenize import utf8

sentencepiece = pytest.importorskip("sentencepiece")

PUBLISHED = ("mistral_v1", "mistral_v3", "t5", "test_model", "test_ja_model")
TRAINED: dict[str, dict[str, Any]] = {
    "bpe": {"model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "bpe_bytes": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 700},
    "bpe_own": {
        "model_type": "bpe", "byte_fallback": True, "vocab_size": 700, "normalization_rule_name": "identity",
        "user_defined_symbols": ["<tool>", "xyz", "xyzz", "\u2581<a"], "remove_extra_whitespaces": False,
    },
    "bpe_bare": {
        "model_type": "bpe", "add_dummy_prefix": False, "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False, "control_symbols": ["<ctrl>"],
    },
    "unigram": {"model_type": "unigram"},
    "unigram_bytes": {"model_type": "unigram", "byte_fallback": True, "vocab_size": 700},
    "unigram_bare": {
        "model_type": "unigram", "add_dummy_prefix": False, "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity", "pad_id": 3, "unk_id": 1, "bos_id": 0,
    },
}  # fmt: skip


def train(name: str) -> bytes:
    """A small model of one kind."""
    model = io.BytesIO()
    options = {"vocab_size": 400, "minloglevel": 9, "hard_vocab_limit": False, **TRAINED[name]}
    lines = [line for text in python_source() for line in text.split("\n")]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **options)
    return model.getvalue()


def texts_for(theirs: Any) -> st.SearchStrategy[str]:
    """Any text, and texts made of the model's own pieces."""
    pieces = [theirs.id_to_piece(place).replace("\u2581", " ") for place in range(theirs.vocab_size())]
    return any_text | st.lists(st.sampled_from([*pieces, " ", "  "]), max_size=20).map("".join)


def has_quirk(text: str, charsmap: bool) -> bool:
    """Whether a text is one of the known exceptions (see `sentencepiece.py`)."""
    import regex

    return "<0x" in text or (charsmap and any(len(grapheme) > 1 for grapheme in regex.findall(r"\X", text)))


@pytest.mark.parametrize("name", list(TRAINED))
def test_the_ids_of_models_of_every_kind(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.model"
    file.write_bytes(train(name))
    check(file, charsmap="normalization_rule_name" not in TRAINED[name], examples=200)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_ids_of_published_models(name: str, real_data: Path, tmp_path: Path) -> None:
    file = real_data / "tokenizers" / "sentencepiece" / f"{name}.model"
    ours, theirs = check(file, charsmap="mistral" not in name, examples=500)
    ours.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    paths = [*(real_data / "udhr").rglob("*.txt"), *(real_data / "flores200" / "devtest").iterdir()]
    assert len(paths) > 60
    for path in sorted(paths):
        for line in path.read_text("utf-8").split("\n")[:200]:
            ids = theirs.encode(line)
            assert ours.encode(line, disallowed_special=()) == ids
            assert again.encode(line, disallowed_special=()) == ids


def check(file: Path, charsmap: bool, examples: int) -> tuple[Tokenizer, Any]:
    """Compare a model with SentencePiece; give both."""
    ours, theirs = Tokenizer.load(file), sentencepiece.SentencePieceProcessor(model_file=str(file))
    assert ours.vocab_size == theirs.vocab_size()
    assert ours.settings.eos_token == (theirs.id_to_piece(theirs.eos_id()))
    assert ours.special_tokens[ours.settings.unk_token] == theirs.unk_id()

    @settings(max_examples=examples)
    @given(texts_for(theirs).map(lambda text: utf8(text)[0]))
    def same(text: str) -> None:
        if not has_quirk(text, charsmap):
            assert_same(ours, theirs, text)

    same()
    # By lines, since SentencePiece's sums of scores are coarse in long texts.
    for line in "".join(python_source()).split("\n")[::3]:
        assert_same(ours, theirs, line)
    return ours, theirs


def assert_same(ours: Tokenizer, theirs: Any, text: str) -> None:
    """The ids are the same, or rounding alone can tell which are better."""
    found, expected = ours.encode(text, disallowed_special=()), theirs.encode(text)
    if found != expected:
        # Scores of a BPE are whole numbers, and no segmentation is the sum of them.
        assert any(theirs.get_score(token) % 1 for token in expected)
        scores = [math.fsum(map(theirs.get_score, ids)) for ids in (found, expected)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
        assert ours.decode(found) == ours.decode(expected)


def test_rows_of_spaces_grow_from_the_left(real_data: Path) -> None:
    """Mistral's rows of spaces all have one score, and the leftmost pair goes first."""
    file = real_data / "tokenizers" / "sentencepiece" / "mistral_v1.model"
    ours, theirs = Tokenizer.load(file), sentencepiece.SentencePieceProcessor(model_file=str(file))
    for size in range(400):
        for text in ("a" + " " * size + "b", " " * size, "\n" + "\u2581" * size):
            assert ours.encode(text) == theirs.encode(text)


def test_the_known_exceptions(tmp_path: Path) -> None:
    """Each is as the module says, so that a mended library shows here."""
    file = tmp_path / "x.model"
    file.write_bytes(train("unigram_bytes"))
    ours, theirs = Tokenizer.load(file), sentencepiece.SentencePieceProcessor(model_file=str(file))
    assert ours.encode("\ufb01\u0301") == ours.encode("fi") == theirs.encode("fi")
    assert theirs.encode("\ufb01\u0301") != theirs.encode("fi")
    for text in ("<0x41>", "a<0x41>b"):
        assert "A" not in ours.decode(ours.encode(text))
        assert ours.decode(ours.encode(text)) == text


def test_bytes_and_streams(tmp_path: Path) -> None:
    file = tmp_path / "x.model"
    file.write_bytes(train("bpe_bytes"))
    ours = Tokenizer.load(file)
    ids = ours.encode("def  中 x")
    assert b"".join(map(ours.token_bytes, ids)) == " def 中 x".encode()
    stream = ours.stream()
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) + stream.finish() == "def 中 x"
    assert "\ufffd" not in "".join(pieces)

    @settings(max_examples=300)
    @given(st.lists(st.integers(3, ours.vocab_size - 1) | st.sampled_from(ids), max_size=12))
    def same(some: list[int]) -> None:
        told = "".join([stream.push(token) for token in some]) + stream.finish()
        text = ours.decode(some)
        # The library gives up all of a row of bytes that is broken at its end; what was told stays told.
        assert told == text or "\ufffd" in text

    same()


# What is refused


def field(number: int, value: int | bytes | float) -> bytes:
    """A field of a message, written."""
    if isinstance(value, bytes):
        return bytes([number << 3 | 2, len(value)]) + value
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    return bytes([number << 3]) + value.to_bytes(1, "little")


def piece(text: str, score: float, kind: int = 1) -> bytes:
    return field(1, field(1, text.encode()) + field(2, score) + field(3, kind))


UNK = piece("<unk>", 0.0, 2)
LETTERS = UNK + piece("a", -1.0) + piece("b", -2.0)
BPE = field(2, field(3, 2))
NOT_HONOURED: list[tuple[str, bytes]] = [
    ("it has no pieces", b""),
    ("it has 0 unknown pieces", piece("a", -1.0)),
    ("the piece 'a' is empty or occurs twice", LETTERS + piece("a", -3.0)),
    ("the piece '' is empty", LETTERS + piece("", -3.0)),
    ("the piece 'c' has the score nan", LETTERS + piece("c", float("nan"))),
    ("the piece 'c' has the score -1.0 and the type 9", LETTERS + piece("c", -1.0, 9)),
    ("the model type word cannot be honoured", LETTERS + field(2, field(3, 3))),
    ("the model type 77 cannot be honoured", LETTERS + field(2, field(3, 77))),
    ("treat_whitespace_as_suffix", LETTERS + field(2, b"\xc0\x01\x01")),
    ("escape_whitespaces off", LETTERS + field(3, field(5, 0))),
    ("the denormalizer cannot be honoured", LETTERS + field(5, field(2, b"x"))),
    ("unused pieces in BPE", LETTERS + piece("c", -3.0, 5) + BPE),
    ("precompiled_charsmap. is cut short", LETTERS + field(3, field(2, b"\x20\0\0\0abc\0"))),
    ("lacks 256 of the 256 bytes, the first is <0x00>", LETTERS + field(2, b"\x98\x02\x01")),
    ("the pieces 'ab' and 'ba' have one score", LETTERS + piece("ab", -3.0) + piece("ba", -3.0) + BPE),
    ("user-defined piece 'cc' cannot be honoured beside pieces of", LETTERS + piece("cc", 0.0, 4)),
    ("bytes are announced at byte", LETTERS[:-1]),
    ("wire type 3", b"\x0b"),
    ("field 3 is not a number", LETTERS + field(2, field(3, b"x"))),
    ("a number stands where bytes should", field(1, 1)),
    ("field 2 is not a floating-point number", field(1, field(1, b"a") + field(2, b"x"))),
    ("is damaged: not a SentencePiece model", field(1, field(1, b"\xff"))),
]  # fmt: skip


@pytest.mark.parametrize(("message", "data"), NOT_HONOURED, ids=[message for message, _ in NOT_HONOURED])
def test_models_that_cannot_be_honoured(message: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(data)
    with pytest.raises(RunFolderError, match=message):
        Tokenizer.load(tmp_path / "x.model")


def test_a_rank_file_under_the_name_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(RunFolderError, match="is a rank file, not a SentencePiece model; name it"):
        Tokenizer.load(tmp_path)


# The reader of messages


def test_fields_of_a_message() -> None:
    data = field(1, 5) + b"\x10\xac\x02" + field(3, b"abc") + field(4, 0.5) + field(1, 7) + b"\x29" + bytes(8)
    message = Message(data + b"\x30" + b"\xff" * 9 + b"\x01")
    assert (message.integer(1), message.integer(2), message.text(3), message.single(4)) == (
        7,
        300,
        "abc",
        0.5,
    )
    assert (message.integer(6), message.data(5), message.integer(9, 4)) == (-1, bytes(8), 4)
    assert Message(field(1, field(2, 3)) * 2).messages(1)[1].integer(2) == 3


@pytest.mark.parametrize("read", [lambda m: m.integer(3), lambda m: m.data(1), lambda m: m.single(1)])
def test_a_field_of_another_type(read: Callable[[Message], object]) -> None:
    with pytest.raises(ValueError, match="number"):
        read(Message(field(1, 5) + field(3, b"abc")))
