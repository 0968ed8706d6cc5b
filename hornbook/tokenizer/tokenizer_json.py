"""Hugging Face's `tokenizer.json`: byte-level BPE, read and written.

The format describes a pipeline: normalizer, pre-tokenizer, model, post-processor, decoder. Ours has a
pre-tokenizer and a model; a file that has more is refused by the name of the part, since to leave the
part out would give other ids. Ids are those of encoding without special tokens added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_json
from hornbook.tokenizer.alphabet import spell
from hornbook.tokenizer.pretokenize import PATTERNS, name_of, resolve
from hornbook.tokenizer.spelling import from_texts
from hornbook.tokenizer.vocabulary import Vocabulary

FILE_PARTS = {
    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
    "decoder", "model",
}  # fmt: skip
# The unknown token, fuse_unk and byte_fallback are for bytes without a token, and here every byte has one.
MODEL_PARTS = {
    "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
    "byte_fallback", "ignore_merges", "vocab", "merges",
}  # fmt: skip


def read_tokenizer_json(file: Path) -> Vocabulary:
    """Read a byte-level BPE from a `tokenizer.json`; refuse what is not one, or is one with additions."""
    data = read_json(file)
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise RunFolderError(f"{file} is not a tokenizer.json: it has no model")
    model = data["model"]
    _refuse(file, "model type", model.get("type", "BPE"), ["BPE"])
    for part in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        _refuse(file, f"model {part}", model.get(part) or None, [None])
    for unknown in sorted((data.keys() - FILE_PARTS) | (model.keys() - MODEL_PARTS)):
        raise RunFolderError(f"{file}: the part {unknown!r} is not known and cannot be honoured")
    for part in ("normalizer", "truncation", "padding"):
        _refuse(file, part, _kind(data.get(part)), [None])
    for part in ("post_processor", "decoder"):
        _refuse(file, part, _kind(data.get(part)), [None, "ByteLevel"])
    special = _special_tokens(data.get("added_tokens") or [], file)
    pattern = _expression(data.get("pre_tokenizer"), file)
    whole_words = bool(model.get("ignore_merges", False))
    return from_texts(model.get("vocab"), model.get("merges"), special, pattern, whole_words, file)


def _refuse(file: Path, part: str, found: object, known: Sequence[object]) -> None:
    """Refuse a file whose part is not among those that we honour."""
    if found not in known:
        names = " or ".join("none" if value is None else str(value) for value in known)
        raise RunFolderError(f"{file}: the {part} {found!r} cannot be honoured, only {names} can")


def _kind(part: Any) -> str | None:
    """The type of a part, None for none."""
    kind = part.get("type", "without a type") if isinstance(part, dict) else part
    return None if kind is None else str(kind)


def _special_tokens(added: Any, file: Path) -> dict[str, int]:
    """The added tokens, which must be plain and all be special."""
    special: dict[str, int] = {}
    for token in added if isinstance(added, list) else [added]:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or "id" not in token:
            raise RunFolderError(f"{file} is damaged: {token!r} is not an added token")
        for flag in ("single_word", "lstrip", "rstrip"):
            _refuse(file, f"{flag} of the added token {token['content']!r}", token.get(flag, False), [False])
        if not token.get("special", False):
            name = token["content"]
            raise RunFolderError(f"{file}: the added token {name!r} is not special and cannot be honoured")
        special[token["content"]] = token["id"]
    return special


def _expression(part: Any, file: Path) -> str:
    """The regular expression of a pre-tokenizer: ByteLevel's own, or a Split before it."""
    steps = part.get("pretokenizers", []) if _kind(part) == "Sequence" else [part]
    kinds = [_kind(step) for step in steps]
    if kinds not in (["ByteLevel"], ["Split", "ByteLevel"]):
        raise RunFolderError(
            f"{file}: the pre-tokenizer {kinds} cannot be honoured, only ByteLevel or Split and ByteLevel can"
        )
    _refuse(file, "ByteLevel add_prefix_space", steps[-1].get("add_prefix_space", True), [False])
    _refuse(file, "ByteLevel use_regex", steps[-1].get("use_regex", True), [len(steps) == 1])
    if len(steps) == 1:
        return PATTERNS["gpt2"]
    split = steps[0]
    _refuse(file, "Split behavior", split.get("behavior"), ["Isolated"])
    _refuse(file, "Split invert", split.get("invert", False), [False])
    expression = split.get("pattern", {}).get("Regex")
    if expression is None:
        found = split.get("pattern")
        raise RunFolderError(f"{file}: the Split pattern {found} cannot be honoured, only a Regex can")
    return resolve(expression)


def to_tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the vocabulary as the content of a `tokenizer.json`."""
    ids = {spell(token): place for token, place in vocabulary.ordinary_ids().items()}
    ids |= vocabulary.special_tokens
    texts = [spell(token) for token in vocabulary.tokens]
    # Ranks that are equal, as those of a rank file are, become an order.
    order = np.lexsort((vocabulary.right, vocabulary.left, vocabulary.ranks))
    pairs = zip(vocabulary.left[order].tolist(), vocabulary.right[order].tolist(), strict=True)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(text, place) for text, place in vocabulary.special_tokens.items()],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(vocabulary.pattern, byte_level),
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": vocabulary.whole_words,
            "vocab": dict(sorted(ids.items(), key=lambda item: item[1])),
            "merges": [[texts[left], texts[right]] for left, right in pairs],
        },
    }


def _added(text: str, place: int) -> dict[str, Any]:
    """A special token as `tokenizer.json` has it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": place, "content": text, **flags, "special": True}


def _pre_tokenizer(expression: str, byte_level: Mapping[str, Any]) -> dict[str, Any]:
    if name_of(expression) == "gpt2":
        return dict(byte_level)
    split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, {**byte_level, "use_regex": False}]}
