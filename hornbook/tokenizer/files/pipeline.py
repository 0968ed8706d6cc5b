"""The parts of a `tokenizer.json`: which there are, and which no tokenizer here honours.

The format describes a pipeline: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder. Each
part has a type, and some are sequences of others. What this module lets pass is made of known parts;
whether ours (`tokenizer_json.py`) or the `tokenizers` library (`foreign.py`) honours it is decided later.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbook.base.errors import RunFolderError, did_you_mean
from hornbook.base.files import read_json
from hornbook.tokenizer.files.spelling import LARGEST_ID

Content = dict[str, Any]
"""What a `tokenizer.json` holds."""

FILE_PARTS = {
    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
    "decoder", "model",
}  # fmt: skip
KINDS: dict[str, set[str]] = {
    "normalizer": {
        "BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled",
        "Prepend", "Replace", "Sequence", "Strip", "StripAccents",
    },
    "pre_tokenizer": {
        "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace",
        "Punctuation", "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit",
    },
    "post_processor": {
        "BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing",
    },
    "decoder": {
        "BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Sequence", "Strip",
        "WordPiece",
    },
}  # fmt: skip
"""The known types of each part."""
STEPS = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
    "decoder": "decoders",
}
"""Where a Sequence of parts keeps them."""
MODELS = {"BPE", "Unigram", "WordLevel", "WordPiece"}


def read_pipeline(file: Path) -> Content:
    """Read a `tokenizer.json` whose parts are all known; a `RunFolderError` names one that is not."""
    data = read_json(file)
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise RunFolderError(f"{file} is not a tokenizer.json: it has no model")
    for unknown in sorted(data.keys() - FILE_PARTS):
        raise RunFolderError(f"{file}: the part {unknown!r} is not known and cannot be honoured")
    for part, why in (
        ("truncation", "text would be lost"),
        ("padding", "texts would get ids that they lack"),
    ):
        if data.get(part) is not None:
            raise RunFolderError(f"{file}: the {part} cannot be honoured, {why}; set it to null")
    model = data["model"] = dict(data["model"])
    if model.get("dropout"):
        raise RunFolderError(
            f"{file}: the model dropout {model['dropout']!r} cannot be honoured, ids would be random"
        )
    model["type"] = _model_kind(model, file)
    _check_ids(model.get("vocab"), file)
    for part in KINDS:
        check_kinds(part, data.get(part), file)
    data["added_tokens"] = data.get("added_tokens") or []
    check_added(data["added_tokens"], file)
    return data


def _model_kind(model: Content, file: Path) -> str:
    """The type of a model; older files do not write it, and then it shows in what they write."""
    if "type" not in model:
        shown = {"merges": "BPE", "max_input_chars_per_word": "WordPiece", "unk_id": "Unigram"}
        return next((kind for key, kind in shown.items() if key in model), "WordLevel")
    if not isinstance(kind := model["type"], str) or kind not in MODELS:
        raise RunFolderError(
            f"{file}: the model type {kind!r} is not known, {did_you_mean(str(kind), MODELS)}"
        )
    return kind


def _check_ids(vocab: Any, file: Path) -> None:
    """Refuse impossible ids, of which libraries would make long lists."""
    for text, place in vocab.items() if isinstance(vocab, dict) else ():
        if type(place) is not int or not 0 <= place <= LARGEST_ID:
            raise RunFolderError(f"{file} is damaged: the id {place!r} of the token {text!r} is impossible")


def check_kinds(part: str, found: Any, file: Path) -> None:
    """Refuse a part, or a step of one, whose type is not known."""
    for step in steps(part, found):
        kind = step.get("type") if isinstance(step, dict) else step
        if not isinstance(kind, str) or kind not in KINDS[part]:
            known = did_you_mean(str(kind), KINDS[part])
            raise RunFolderError(f"{file}: the {part} {kind!r} is not known, {known}")


def steps(part: str, found: Any) -> Iterator[Any]:
    """The steps of a part, a Sequence opened, none where the part is missing."""
    if isinstance(found, dict) and found.get("type") == "Sequence":
        inside = found.get(STEPS[part])
        for step in inside if isinstance(inside, list) else [inside]:
            yield from steps(part, step)
    elif found is not None:
        yield found


def kinds(part: str, found: Any) -> list[str]:
    """The types of the steps of a part that has been checked."""
    return [step["type"] for step in steps(part, found)]


def check_added(added: Any, file: Path) -> None:
    """Refuse added tokens that are none, that occur twice, or whose ids are impossible."""
    seen: set[str] = set()
    for token in added if isinstance(added, list) else [added]:
        text = token.get("content") if isinstance(token, dict) else None
        if not isinstance(text, str) or not text or "id" not in token:
            raise RunFolderError(f"{file} is damaged: {token!r} is not an added token")
        if type(token["id"]) is not int or not 0 <= token["id"] <= LARGEST_ID:
            raise RunFolderError(
                f"{file} is damaged: the id {token['id']!r} of the token {text!r} is impossible"
            )
        if text in seen:
            raise RunFolderError(f"{file} is damaged: the added token {text!r} occurs twice")
        for flag in ("special", "single_word", "lstrip", "rstrip", "normalized"):
            if type(token.get(flag, False)) is not bool:
                raise RunFolderError(
                    f"{file} is damaged: {flag} of the added token {text!r} is not true or false"
                )
        seen.add(text)
