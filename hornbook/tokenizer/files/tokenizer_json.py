"""Hugging Face's `tokenizer.json`: byte-level BPE, read and written.

A file is ours if all its parts can be done here to the same ids: NFC, ByteLevel or one Split before it, by an
expression that both libraries read alike (`expressions.py`), BPE over the 256 bytes, and added tokens that
are plain texts. Any other file is handed back as it is, for the `tokenizers` library to honour
(`foreign.py`). Ids are those of encoding without special tokens added (`add_special_tokens=False`); the
post-processor, which would add them, is kept and written again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.tokenizer.alphabet import spell
from hornbook.tokenizer.files.expressions import is_portable
from hornbook.tokenizer.files.pipeline import Content, kinds, read_pipeline, steps
from hornbook.tokenizer.files.spelling import from_texts
from hornbook.tokenizer.pretokenize import PATTERNS, name_of, resolve
from hornbook.tokenizer.vocabulary import Vocabulary

# The unknown token, fuse_unk and byte_fallback are for bytes without a token, and here every byte has one.
MODEL_PARTS = {
    "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
    "byte_fallback", "ignore_merges", "vocab", "merges",
}  # fmt: skip
BYTE_LEVEL_PARTS = {"type", "add_prefix_space", "trim_offsets", "use_regex"}
SPLIT_PARTS = {"type", "pattern", "behavior", "invert"}
# Of the Unicode forms, the library and Python agree about this one; of the others, not on all characters.
FORM = [{"type": "NFC"}]


def read_tokenizer_json(file: Path, own_expression: str | None = None) -> Vocabulary | Content:
    """Read a byte-level BPE from a `tokenizer.json`, or return the content of a file of another kind.

    `own_expression` is one by which a vocabulary was made here; it is taken as the `regex` package reads it.
    """
    data = read_pipeline(file)
    model = data["model"]
    if model["type"] == "BPE":
        for unknown in sorted(model.keys() - MODEL_PARTS):
            raise RunFolderError(f"{file}: the part {unknown!r} is not known and cannot be honoured")
    pattern = _expression(data.get("pre_tokenizer"), own_expression)
    if pattern is None or not _is_ours(data):
        return data
    ids: list[dict[str, int]] = [
        {
            token["content"]: token["id"]
            for token in data["added_tokens"]
            if token.get("special", False) is kind
        }
        for kind in (True, False)
    ]
    vocabulary = from_texts(model.get("vocab"), model.get("merges"), ids[0], ids[1], pattern, file)
    return dataclasses.replace(
        vocabulary,
        normalizer="NFC" if kinds("normalizer", data.get("normalizer")) else None,
        post_processor=data.get("post_processor"),
        whole_words=bool(model.get("ignore_merges", False)),
    )


def _is_ours(data: Content) -> bool:
    """Whether the parts around the pre-tokenizer can be done here to the same ids."""
    model, normalizer = data["model"], list(steps("normalizer", data.get("normalizer")))
    return (
        model["type"] == "BPE"
        and not any(model.get(part) for part in ("continuing_subword_prefix", "end_of_word_suffix"))
        and (not normalizer or normalizer == FORM)
        and kinds("decoder", data.get("decoder")) in ([], ["ByteLevel"])
        and _are_plain(data["added_tokens"], bool(normalizer))
        and not _are_merged(data["added_tokens"], model)
    )


def _are_plain(added: list[Content], normalizer: bool) -> bool:
    """Whether cutting out the texts of added tokens, the longest first, is all that is asked."""
    if any(token.get(flag) for token in added for flag in ("single_word", "lstrip", "rstrip")):
        return False
    # The library looks for the normalized ones in normalized text, and after the others.
    late = [token["content"] for token in added if token.get("normalized")]
    early = [token["content"] for token in added if not token.get("normalized")]
    return not (late and normalizer) and not any(_overlap(a, b) for a in late for b in early)


def _overlap(a: str, b: str) -> bool:
    """Whether two texts can share letters where both are found."""
    if a in b or b in a:
        return True
    shorter = min(len(a), len(b))
    return any(a[-size:] == b[:size] or b[-size:] == a[:size] for size in range(1, shorter))


def _are_merged(added: list[Content], model: Content) -> bool:
    """Whether merges make or use an added token, which then is one of two things."""
    ids, merges = model.get("vocab"), model.get("merges")
    if not isinstance(ids, dict) or not isinstance(merges, list):
        return False
    twofold = {token["content"] for token in added if token["content"] in ids}
    if not twofold:
        return False
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]
    parts = [[part for part in pair if isinstance(part, str)] for pair in pairs if isinstance(pair, list)]
    return any(not twofold.isdisjoint([*pair, "".join(pair)]) for pair in parts)


def _expression(part: Any, own: str | None) -> str | None:
    """The regular expression of a pre-tokenizer that is ByteLevel, or a Split before it; else None.

    It is None too for an expression that the library may read otherwise, unless it is our own.
    """
    found = list(steps("pre_tokenizer", part))
    if [step["type"] for step in found] not in (["ByteLevel"], ["Split", "ByteLevel"]):
        return None
    byte_level, split = found[-1], found[0]
    if byte_level.keys() - BYTE_LEVEL_PARTS or byte_level.get("add_prefix_space", True) is not False:
        return None
    if byte_level.get("use_regex", True) is not (len(found) == 1):
        return None
    if len(found) == 1:
        return PATTERNS["gpt2"]
    wanted = {"behavior": "Isolated", "invert": False}
    pattern = split.get("pattern")
    if split.keys() - SPLIT_PARTS or {key: split.get(key, False) for key in wanted} != wanted:
        return None
    if not isinstance(pattern, dict) or not isinstance(pattern.get("Regex"), str):
        return None
    expression = pattern["Regex"]
    if expression in PATTERNS or not (expression == own or is_portable(expression)):
        return None
    try:
        return resolve(expression)
    except ConfigError:
        return None


def to_tokenizer_json(vocabulary: Vocabulary) -> Content:
    """Return the vocabulary as the content of a `tokenizer.json`."""
    apart = {**vocabulary.special_tokens, **vocabulary.added_tokens}
    ids = {spell(token): place for token, place in vocabulary.ordinary_ids().items()}
    if twofold := ids.keys() & apart.keys():
        text = min(twofold)
        raise ConfigError(
            f"tokenizer.json has one id for each text, but {text!r} is an ordinary token, {ids[text]}, and "
            f"one that is cut out, {apart[text]}; give the latter another text"
        )
    texts = [spell(token) for token in vocabulary.tokens]
    # Ranks that are equal, as those of a rank file are, become an order.
    order = np.lexsort((vocabulary.right, vocabulary.left, vocabulary.ranks))
    pairs = zip(vocabulary.left[order].tolist(), vocabulary.right[order].tolist(), strict=True)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(text, place, text in vocabulary.special_tokens)
            for text, place in sorted(apart.items(), key=lambda item: item[1])
        ],
        "normalizer": vocabulary.normalizer and {"type": vocabulary.normalizer},
        "pre_tokenizer": _pre_tokenizer(vocabulary.pattern, byte_level),
        "post_processor": vocabulary.post_processor and dict(vocabulary.post_processor),
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
            # The library numbers added tokens anew, save those that it finds here.
            "vocab": dict(sorted((ids | apart).items(), key=lambda item: item[1])),
            "merges": [[texts[left], texts[right]] for left, right in pairs],
        },
    }


def _added(text: str, place: int, special: bool) -> dict[str, Any]:
    """An added token as `tokenizer.json` has it."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": place, "content": text, **flags, "special": special}


def _pre_tokenizer(expression: str, byte_level: Mapping[str, Any]) -> dict[str, Any]:
    if name_of(expression) == "gpt2":
        return dict(byte_level)
    split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, {**byte_level, "use_regex": False}]}
