"""The engine for vocabularies that are not a byte-level BPE of ours: the `tokenizers` library does the work.

These are WordPiece, Unigram, WordLevel, SentencePiece's BPE, and byte-level BPE with parts that we do not do.
Ids are those of the library's `encode(text, add_special_tokens=False)`, and text is what its decoder makes.
One thing is ours: the text of a special token is that token only where the caller has allowed it. As plain
text it is kept from the model too, which might have a word for it, and so is any text that a normalizer turns
into it. The library is an optional package and is loaded when the engine is made.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from hornbook.base.errors import TextError
from hornbook.tokenizer.alphabet import unspell
from hornbook.tokenizer.engine import TextStream
from hornbook.tokenizer.files.pipeline import Content, kinds, steps
from hornbook.tokenizer.jit import Int32s
from hornbook.tokenizer.library import Cutter, Library, cutting_out, panics, read, read_whole, without_special
from hornbook.tokenizer.offsets import offsets
from hornbook.tokenizer.pretokenize import utf8
from hornbook.tokenizer.stream import StreamDecoder

SPACE = "\u2581"
BYTE = re.compile("<0x([0-9A-F]{2})>")


class Foreign:
    """Encodes and decodes through the `tokenizers` library; `content` is that of a `tokenizer.json`.

    `origin` names the file in errors. A file that the library does not read, or of which it leaves something
    out, is a `RunFolderError`; without the library it is a `MissingPackageError`.
    """

    def __init__(self, content: Content, origin: str) -> None:
        self._content = content
        self._origin = origin
        self._library = read_whole(content, origin)
        added = content["added_tokens"]
        self.special_tokens = {each["content"]: each["id"] for each in added if each.get("special")}
        self.added_tokens = {each["content"]: each["id"] for each in added if not each.get("special")}
        self.vocab_size = 1 + max(self._library.get_vocab(with_added_tokens=True).values(), default=-1)
        self._decoder = kinds("decoder", content.get("decoder"))
        self._cutters: dict[frozenset[str], Cutter] = {}

    @property
    def pattern(self) -> str:
        """How text is cut into words: the library's names of the steps."""
        return ", ".join(kinds("pre_tokenizer", self._content.get("pre_tokenizer"))) or "none"

    # Text to ids

    def encode(self, text: str) -> Int32s:
        """Return the ids of a text; special tokens in it are plain text."""
        return self.encode_between(text, ())

    def encode_between(self, text: str, cut_out: Collection[str]) -> Int32s:
        """Return the ids of a text in which those special tokens become their ids, and no others."""
        return self._cutter(cut_out).encode(utf8(text)[0])

    def listed(self, ids: Int32s) -> list[int]:
        """Return ids as a list."""
        numbers: list[int] = ids.tolist()
        return numbers

    def encode_many(self, texts: Sequence[str], threads: int) -> list[list[int]]:
        """Return the ids of such texts; the library takes one thread, or as many as it is set to have."""
        cutter = self._cutter(())
        mended = [utf8(text)[0] for text in texts]
        if threads == 1:
            return [cutter.encode(text).tolist() for text in mended]
        return cutter.encode_many(mended)

    def _cutter(self, cut_out: Collection[str]) -> Cutter:
        """The library, set to cut out some special tokens."""
        wanted = frozenset(cut_out).intersection(self.special_tokens)
        found = self._cutters.get(wanted)
        if found is None:
            if wanted == self.special_tokens.keys():
                found = Cutter(self._library, {}, self._origin)
            else:
                found = cutting_out(self._library, self._plain_model, self._content, wanted, self._origin)
            # Which special tokens a text has is no limit to how many sets of them there can be.
            if len(self._cutters) >= 16:
                self._cutters.clear()
            self._cutters[wanted] = found
        return found

    @functools.cached_property
    def _plain_model(self) -> Library:
        """The model without the special tokens, so that no plain text becomes one."""
        return read(without_special(self._content, self.special_tokens), self._origin).model

    # Ids to text

    def id_of(self, text: str) -> int | None:
        """Return the id of a token as the file spells it, None where there is none."""
        return self._library.token_to_id(text)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 of the text of some ids."""
        return self._decode([self._checked(token)[0] for token in ids]).encode()

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id; of a special token, its text.

        A space before a word belongs to the word, also where it is dropped at the beginning of a text. A
        vocabulary that writes words without the spaces between them is a `TextError`.
        """
        place, text = self._checked(token)
        if text in self.special_tokens or text in self.added_tokens:
            return text.encode()
        if "ByteLevel" in self._decoder:
            spelled = unspell(text)
            return text.encode() if spelled is None else spelled
        if not self._has_spaces:
            raise TextError(
                f"the id {place} has no bytes of its own: this vocabulary writes words without the spaces "
                "between them; use decode"
            )
        if "ByteFallback" in self._decoder and (byte := BYTE.fullmatch(text)):
            return bytes.fromhex(byte[1])
        return text.replace(SPACE, " ").encode()

    def offsets(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return where each id begins and ends in `decode(ids)`, in characters; see `offsets.py`.

        A space that the decoder drops at the beginning of a text is in no span. Where tokens have no bytes of
        their own, or the decoder changes more than that space, it is a `TextError`.
        """
        places = [self._checked(token)[0] for token in ids]
        text = self._decode(places)
        whole = self._pieces(places)
        n_dropped = len(b"".join(whole).decode("utf-8", "replace")) - len(text)
        # Some decoders drop the spaces that begin a text, some those of the first token.
        for pieces in (_without_first(whole, n_dropped), [_unspaced(whole[0]), *whole[1:]] if whole else []):
            if b"".join(pieces).decode("utf-8", "replace") == text:
                return offsets(pieces)
        raise TextError(
            "these ids have no offsets: the text that this vocabulary's decoder makes of them is not that of "
            "their tokens one after another"
        )

    def _pieces(self, ids: Sequence[int]) -> list[bytes]:
        """The bytes of each id; in a row of single bytes that is not UTF-8, each is U+FFFD, as decoded."""
        pieces = [self.token_bytes(token) for token in ids]
        if "ByteFallback" in self._decoder:
            texts = [self._checked(token)[1] for token in ids]
            for single, row in itertools.groupby(range(len(ids)), lambda at: bool(BYTE.fullmatch(texts[at]))):
                places = list(row)
                if single and "\ufffd" in b"".join(pieces[at] for at in places).decode("utf-8", "replace"):
                    for at in places:
                        pieces[at] = "\ufffd".encode()
        return pieces

    def byte_lengths(self) -> Int32s:
        """Return how many bytes each id stands for, 0 for special and unused ones; int32 [vocab_size]."""
        lengths = np.zeros(self.vocab_size, np.int32)
        for text, place in self._library.get_vocab(with_added_tokens=True).items():
            lengths[place] = 0 if text in self.special_tokens else len(self.token_bytes(place))
        return lengths

    def stream(self) -> TextStream:
        """Return a decoder for ids that arrive one at a time."""
        return (
            StreamDecoder(self)
            if self._decoder == ["ByteLevel"]
            else _Differences(self._decode, self._checked)
        )

    def to_tokenizer_json(self) -> dict[str, Any]:
        """Return the content of the file that it was made of."""
        return dict(self._content)

    @functools.cached_property
    def _has_spaces(self) -> bool:
        """Whether a token that begins a word says so by U+2581, which the decoder makes a space."""
        replaced = [
            step.get("content")
            for step in steps("decoder", self._content.get("decoder"))
            if step["type"] == "Replace" and step.get("pattern") == {"String": SPACE}
        ]
        metaspace = [
            step.get("replacement")
            for step in steps("decoder", self._content.get("decoder"))
            if step["type"] == "Metaspace"
        ]
        return replaced == [" "] or metaspace == [SPACE]

    def _checked(self, token: int) -> tuple[int, str]:
        """An id and its token as the file spells it; one that there is not is a `TextError`."""
        place = operator.index(token)
        text = self._library.id_to_token(place) if 0 <= place < self.vocab_size else None
        if text is None:
            what = "unused" if 0 <= place < self.vocab_size else "out of range"
            raise TextError(f"the id {place} is {what}: this vocabulary has ids 0 to {self.vocab_size - 1}")
        return place, text

    def _decode(self, ids: Sequence[int]) -> str:
        with panics(self._origin):
            return self._library.decode(ids, skip_special_tokens=False)


class _Differences:
    """Text from ids that arrive one at a time, by what each adds to the text of those before it.

    Only the ids that gave the last text are decoded once more, so the work for each id does not grow. Text
    that ends in U+FFFD waits: it may be half a character.
    """

    def __init__(self, decode: Any, check: Any) -> None:
        self._decode, self._check = decode, check
        self._told: list[int] = []
        self._waiting: list[int] = []

    def push(self, token: int) -> str:
        """Take one id; return the characters that are complete now, often none."""
        self._waiting.append(self._check(token)[0])
        text = self._fresh()
        if not text or text.endswith("\ufffd"):
            return ""
        self._told, self._waiting = self._waiting, []
        return text

    def finish(self) -> str:
        """Return what is left, a character cut short as U+FFFD, and begin anew."""
        text = self._fresh()
        self._told, self._waiting = [], []
        return text

    def _fresh(self) -> str:
        """What the waiting ids add to the text."""
        before, after = self._decode(self._told), self._decode([*self._told, *self._waiting])
        # Bytes that spoil the character before them come after a character that was told already.
        return after[len(before) :] if after.startswith(before) else self._decode(self._waiting)


def _without_first(pieces: Sequence[bytes], n_dropped: int) -> list[bytes]:
    """Those bytes without so many spaces at their beginning, or as many as there are."""
    kept = []
    for piece in pieces:
        n_spaces = min(max(n_dropped, 0), len(piece) - len(piece.lstrip(b" ")))
        kept.append(piece[n_spaces:])
        n_dropped = n_dropped - n_spaces if n_spaces == len(piece) else 0
    return kept


def _unspaced(piece: bytes) -> bytes:
    return piece.replace(b" ", b"")
