"""The `tokenizers` library: a file read by it, and all of the file, and its tokens cut out as we want it.

What the library leaves out of a file is refused here by its name, and so are ids that it would change. It is
an optional package, imported by this module alone and when it is needed; `foreign.py` makes an engine of it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbook.base.errors import HornbookError, MissingPackageError, RunFolderError
from hornbook.tokenizer.files.pipeline import KINDS, Content
from hornbook.tokenizer.jit import Int32s

Library = Any
"""A `tokenizers.Tokenizer`, or its model: an optional package gives no types."""
OLD_KEYS = {"add_prefix_space", "str_rep"}
"""What old files write in a Metaspace; the library reads it and writes it otherwise."""


class Cutter:
    """The library with one set of tokens to cut out, and the right ids of those that it numbers anew."""

    def __init__(self, library: Library, moved: Mapping[int, int], origin: str) -> None:
        self._library, self._moved, self._origin = library, dict(moved), origin

    def encode(self, text: str) -> Int32s:
        """Return the ids of a text."""
        with panics(self._origin):
            found = self._library.encode(text, add_special_tokens=False).ids
        return np.array(self._right(found), np.int32)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of many texts, encoded in the threads of the library."""
        with panics(self._origin):
            found = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [self._right(each.ids) for each in found]

    def _right(self, ids: list[int]) -> list[int]:
        return [self._moved.get(token, token) for token in ids] if self._moved else ids


def cutting_out(
    library: Library,
    model: Library,
    content: Content,
    wanted: Collection[str],
    origin: str,
) -> Cutter:
    """The library with the parts of a file, another model, and some of its special tokens."""
    import tokenizers

    made = tokenizers.Tokenizer(model)
    for part in ("normalizer", "pre_tokenizer"):
        setattr(made, part, getattr(library, part))
    moved = {}
    for each in content["added_tokens"]:
        if not each.get("special") or each["content"] in wanted:
            flags = {
                flag: each.get(flag, False) for flag in ("single_word", "lstrip", "rstrip", "normalized")
            }
            made.add_tokens(
                [tokenizers.AddedToken(each["content"], **flags, special=each.get("special", False))]
            )
            place = made.token_to_id(each["content"])
            if place is not None and place != each["id"]:
                moved[place] = each["id"]
    return Cutter(made, moved, origin)


@contextmanager
def panics(origin: str) -> Iterator[None]:
    """Tell of a failure inside the library, which it raises past `Exception`, as an error of the file."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, HornbookError) or type(error).__name__ != "PanicException":
            raise
        raise RunFolderError(f"{origin} is damaged: the tokenizers library fails on it ({error})") from None


def read_whole(content: Content, origin: str) -> Library:
    """Return the tokenizer that the library reads in some content; refuse what it would leave out."""
    library = read(content, origin)
    _check_all_read(content, json.loads(library.to_str()), origin)
    _check_ids(content, library, origin)
    return library


def read(content: Content, origin: str) -> Library:
    """Return what the library reads in some content; `origin` names it in errors."""
    try:
        import tokenizers
    except ImportError:
        raise MissingPackageError("tokenizers", "foreign") from None
    with panics(origin):
        try:
            return tokenizers.Tokenizer.from_str(json.dumps(content))
        # The library raises nothing more exact.
        except Exception as error:
            raise RunFolderError(f"{origin} is damaged: the tokenizers library says: {error}") from None


def _check_all_read(content: Content, known: Content, origin: str) -> None:
    """Refuse a file that says something that the library, writing it again, leaves out."""
    for part in (*KINDS, "model"):
        lost = _lost(content.get(part), known.get(part))
        if lost is not None:
            raise RunFolderError(f"{origin}: {part} {lost!r} is not known and cannot be honoured")


def _lost(said: Any, known: Any) -> str | None:
    """The first key that is not among the known ones, at any depth; vocabularies are not searched."""
    if isinstance(said, dict) and isinstance(known, dict):
        for key, value in said.items():
            if key in ("vocab", "merges") or (known.get("type") == "Metaspace" and key in OLD_KEYS):
                continue
            if key not in known:
                return str(key)
            if (lost := _lost(value, known[key])) is not None:
                return lost
    if isinstance(said, list) and isinstance(known, list):
        pairs = zip(said, known, strict=False)
        return next((lost for one, other in pairs if (lost := _lost(one, other)) is not None), None)
    return None


def _check_ids(content: Content, library: Library, origin: str) -> None:
    """Refuse ids that are twofold, or not those that the library gives."""
    vocab = content["model"].get("vocab")
    ids = vocab if isinstance(vocab, dict) else {}
    if len({*ids.values()}) < len(ids):
        raise RunFolderError(f"{origin} is damaged: two tokens have one id")
    n_tokens = library.get_vocab_size(with_added_tokens=False)
    for token in content["added_tokens"]:
        text, place = token["content"], token["id"]
        given = library.token_to_id(text)
        if given != place:
            raise RunFolderError(
                f"{origin}: the added token {text!r} has the id {place}, but the tokenizers library gives it "
                f"{given}: ids of added tokens must follow the others without a gap"
            )
        if text not in ids and ids and n_tokens <= max(ids.values()):
            raise RunFolderError(f"{origin}: the added token {text!r} comes after ids with gaps")


def without_special(content: Content, special: Mapping[str, int]) -> Content:
    """The content with the special tokens of its model named so that no text is one."""
    model = content["model"]
    kept = {model.get("unk_token")} if model["type"] != "BPE" else _used(model)
    # Nobody can write a name that is drawn when the file is read.
    names = {text: f"{text}{secrets.token_hex(16)}" for text in special if text not in kept}
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        vocab = {names.get(text, text): place for text, place in vocab.items()}
    else:
        vocab = [[names.get(text, text), score] for text, score in vocab]
    return {**content, "added_tokens": [], "post_processor": None, "model": {**model, "vocab": vocab}}


def _used(model: Content) -> set[str]:
    """The texts that the merges of a BPE need by their names, and that of the unknown token."""
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return {model.get("unk_token"), *(text for pair in pairs for text in (*pair, "".join(pair)))}
