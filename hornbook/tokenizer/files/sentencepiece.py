"""SentencePiece's `.model` files, read by hand and told again as a `tokenizer.json`.

    content, settings = read_model(Path("tokenizer.model"))

SentencePiece (Kudo and Richardson 2018) takes text as one string in which U+2581 stands for the space. Its
normalizer becomes a row of normalizers of the `tokenizers` library, its pieces a Unigram or a BPE model,
whose merges follow from the scores: two pieces merge whenever they make a third, the best one first. The ids
are SentencePiece's, with these known exceptions:

- The library applies a table of normal forms (`Precompiled`) to a whole grapheme of less than six bytes, and
  its shortest entry alone, so that a mark after a ligature is lost: U+FB01 U+0301 becomes "fi", where
  SentencePiece keeps the accent.
- In Unigram, SentencePiece adds scores in 32 bits, the library in 64, and where two segmentations have one
  score rounding decides: "000" may be "0" and "00" or "00" and "0". In a text of thousands of pieces the sums
  of 32 bits no longer tell scores apart that are close.
- Before a text that the table of normal forms makes empty, SentencePiece leaves the space that it adds.
- Text that spells a byte, such as "<0x0A>", is cut after its "<" where the library would make it the byte.

What the library cannot do is refused by name.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_bytes
from hornbook.tokenizer.files.pipeline import Content
from hornbook.tokenizer.files.protobuf import Message
from hornbook.tokenizer.files.settings import Settings

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
ROLES = ((40, 0), (41, 1), (42, 2), (43, -1))
"""The fields, and the ids where they are missing, of the unknown token, of begin, end and padding."""
MODELS = {1: "Unigram", 2: "BPE", 3: "word", 4: "character"}


@dataclass(frozen=True)
class Piece:
    """A piece of the vocabulary; its id is its place."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class Model:
    """What a `.model` says, as far as it bears on ids."""

    pieces: list[Piece]
    kind: str
    byte_fallback: bool
    charsmap: bytes
    """The table of normal forms, as SentencePiece compiles it."""
    dummy_prefix: bool
    """Whether a space is put before every text."""
    one_space: bool
    """Whether spaces at the ends of a text are dropped, and rows of them become one."""
    file: Path

    def of_kind(self, *kinds: int) -> dict[str, int]:
        """The ids of the pieces of some kinds."""
        return {piece.text: place for place, piece in enumerate(self.pieces) if piece.kind in kinds}


def read_model(file: Path) -> tuple[Content, Settings]:
    """Read a `.model` as the content of a `tokenizer.json`, and the roles of its tokens."""
    data = read_bytes(file)
    if re.match(rb"[A-Za-z0-9+/]+=* [0-9]+\r?\n", data):
        raise RunFolderError(f"{file} is a rank file, not a SentencePiece model; name it NAME.tiktoken")
    try:
        message = Message(data)
        model, trainer = _model(message, file), message.message(2)
        unk, bos, eos, pad = (trainer.integer(number, default) for number, default in ROLES)
    except ValueError as error:
        raise RunFolderError(f"{file} is damaged: not a SentencePiece model ({error})") from None
    special = {place: text for text, place in model.of_kind(CONTROL, UNKNOWN).items()}
    settings = Settings(
        unk_token=special.get(unk),
        bos_token=special.get(bos),
        eos_token=special.get(eos),
        pad_token=special.get(pad),
    )
    return _content(model), settings


def _model(message: Message, file: Path) -> Model:
    """The model in a message, all of it within what can be honoured."""
    pieces = [Piece(each.text(1), each.single(2), each.integer(3, NORMAL)) for each in message.messages(1)]
    trainer, normalizer = message.message(2), message.message(3)
    kind = trainer.integer(3, 1)
    model = Model(
        pieces=pieces,
        kind=MODELS.get(kind, str(kind)),
        byte_fallback=bool(trainer.integer(35)),
        charsmap=normalizer.data(2),
        dummy_prefix=bool(normalizer.integer(3, 1)),
        one_space=bool(normalizer.integer(4, 1)),
        file=file,
    )
    _check_pieces(model)
    refused = {
        f"model type {model.kind}": model.kind not in ("Unigram", "BPE"),
        "space after words (treat_whitespace_as_suffix)": bool(trainer.integer(24)),
        "plain space (escape_whitespaces off)": not normalizer.integer(5, 1),
        "denormalizer": bool(message.message(5).data(2)),
        "unused pieces in BPE": kind == 2 and bool(model.of_kind(UNUSED)),
    }
    for name in (name for name, found in refused.items() if found):
        raise RunFolderError(f"{file}: the {name} cannot be honoured")
    return model


def _check_pieces(model: Model) -> None:
    """Refuse pieces that are empty, twofold, without a score or of no kind, and a table that is cut short."""
    file, texts = model.file, Counter(piece.text for piece in model.pieces)
    if not texts:
        raise RunFolderError(f"{file} is damaged: it has no pieces")
    for piece in model.pieces:
        if not piece.text or texts[piece.text] > 1:
            raise RunFolderError(f"{file} is damaged: the piece {piece.text!r} is empty or occurs twice")
        if not math.isfinite(piece.score) or not NORMAL <= piece.kind <= BYTE:
            raise RunFolderError(
                f"{file} is damaged: the piece {piece.text!r} has the score {piece.score} "
                f"and the type {piece.kind}"
            )
    unknown = model.of_kind(UNKNOWN)
    if len(unknown) != 1:
        raise RunFolderError(f"{file} is damaged: it has {len(unknown)} unknown pieces, and must have one")
    if model.byte_fallback and (
        missing := {f"<0x{byte:02X}>" for byte in range(256)} - model.of_kind(BYTE).keys()
    ):
        raise RunFolderError(f"{file} lacks {len(missing)} of the 256 bytes, the first is {min(missing)}")
    if model.charsmap:
        check_charsmap(model.charsmap, file)


def check_charsmap(charsmap: bytes, file: Path) -> None:
    """Refuse a table of normal forms that is cut short: the size of a trie, the trie, texts that end in 0."""
    size = struct.unpack("<I", charsmap[:4])[0] if len(charsmap) > 4 else 0
    if not 0 < size < len(charsmap) - 4 or size % 4 or not charsmap.endswith(b"\0"):
        raise RunFolderError(
            f"{file} is damaged: its table of normal forms (precompiled_charsmap) is cut short"
        )


def _content(model: Model) -> Content:
    """The model as the content of a `tokenizer.json`."""
    special = model.of_kind(UNKNOWN, CONTROL)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": place, "content": text, **flags, "special": True} for text, place in special.items()
        ],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(model)},
        "pre_tokenizer": _pre_tokenizer(model),
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": _decoders(model)},
        "model": _unigram(model) if model.kind == "Unigram" else _bpe(model),
    }


def _normalizers(model: Model) -> list[Content]:
    """What SentencePiece does to a text before it looks for pieces, step by step."""
    found: list[Content] = []
    if model.charsmap:
        table = base64.b64encode(model.charsmap).decode()
        found.append({"type": "Precompiled", "precompiled_charsmap": table})
    if model.one_space:
        found += [_replace({"Regex": " {2,}"}, " "), _replace({"Regex": r"\A | \z"}, "")]
    if model.dummy_prefix:
        found.append({"type": "Prepend", "prepend": SPACE})
    found.append(_replace({"String": " "}, SPACE))
    if model.one_space:
        found.append(_replace({"Regex": SPACE + r"+\z"}, ""))
    return found


def _replace(pattern: dict[str, str], content: str) -> Content:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _decoders(model: Model) -> list[Content]:
    """How pieces become text: spaces again, bytes joined, and the space before the text dropped."""
    found: list[Content] = [_replace({"String": SPACE}, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
    if model.dummy_prefix or model.one_space:
        found.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return found


def _pre_tokenizer(model: Model) -> Content | None:
    """Cut out the user's own pieces in BPE, and cut apart text that spells a byte; else cut nothing."""
    spelled = "0x[0-9A-F]{2}>"
    if model.kind == "BPE":
        # A byte is only taken for one where it is a whole word, and so between two of the user's own pieces.
        longest_first = sorted(model.of_kind(USER_DEFINED), key=lambda text: (-len(text), text))
        own = "|".join(map(_literally, longest_first))
        expression = own and rf"{own}|(?:\A|(?<={own}))<(?={spelled}(?:{own}|\z))"
    else:
        expression = f"<(?={spelled})" if model.byte_fallback else ""
    if not expression:
        return None
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def _literally(text: str) -> str:
    """A text as a regular expression of the library."""
    return "".join(rf"\x{{{ord(letter):x}}}" for letter in text)


def _unigram(model: Model) -> Content:
    """The Unigram model; a piece that no text may become gets a space, and texts have none by then."""
    normal = [piece.score for piece in model.pieces if piece.kind == NORMAL]
    vocab: list[list[Any]] = []
    for piece in model.pieces:
        text, score = piece.text, piece.score
        if piece.kind == UNUSED:
            text = f" {text}"
        if piece.kind == USER_DEFINED:
            # SentencePiece lets such a piece win over any other way to spell it.
            score = len(text.encode()) * max(normal, default=0.0) - 0.1
            _check_user_defined(model, piece, score < min(normal, default=0.0))
        vocab.append([text, score])
    unknown = next(iter(model.of_kind(UNKNOWN).values()))
    return {"type": "Unigram", "unk_id": unknown, "vocab": vocab, "byte_fallback": model.byte_fallback}


def _bpe(model: Model) -> Content:
    """The BPE model, merges from the scores."""
    own = model.of_kind(USER_DEFINED)
    for place in own.values():
        _check_user_defined(model, model.pieces[place], False)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": next(iter(model.of_kind(UNKNOWN))),
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        # The user's own pieces are no merges of others: the library takes them as whole words.
        "ignore_merges": bool(own),
        "vocab": {piece.text: place for place, piece in enumerate(model.pieces)},
        "merges": _merges(model),
    }


def _merges(model: Model) -> list[list[str]]:
    """Every two pieces that make a third: the best score first.

    Among equal scores SentencePiece merges the leftmost pair, the library goes by the order of the list. For
    rows of one letter, such as spaces, the longest first comes to the same: a row then grows from the left,
    as the leftmost pair makes it grow. Other equal scores are refused.
    """
    normal = model.of_kind(NORMAL)
    by_score: dict[float, list[str]] = {}
    for text, place in normal.items():
        if len(text) > 1:
            by_score.setdefault(model.pieces[place].score, []).append(text)
    merges = []
    for score in sorted(by_score, reverse=True):
        equal = sorted(by_score[score], key=len, reverse=True)
        if len({*"".join(equal)}) > 1 < len(equal):
            raise RunFolderError(
                f"{model.file}: the pieces {equal[0]!r} and {equal[1]!r} have one score, {score}, and the "
                "tokenizers library cannot merge the leftmost of them first, as SentencePiece does"
            )
        merges += [
            [text[:cut], text[cut:]]
            for text in equal
            for cut in range(len(text) - 1, 0, -1)
            if text[:cut] in normal and text[cut:] in normal
        ]
    return merges


def _check_user_defined(model: Model, piece: Piece, too_bad: bool) -> None:
    """Refuse a user's own piece where the library would not find it as SentencePiece does."""
    if model.charsmap or too_bad:
        raise RunFolderError(
            f"{model.file}: the user-defined piece {piece.text!r} cannot be honoured beside "
            + ("a table of normal forms" if model.charsmap else "pieces of so high scores")
        )
