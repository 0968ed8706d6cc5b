"""Vocabularies as published beside models, made small by the `tokenizers` library: WordPiece and Unigram."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEXTS = ["a small text, one more small text"]


def write_word_piece(folder: Path) -> None:
    """WordPiece, as beside the first encoders: `[CLS]` before a text and `[SEP]` behind it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    roles = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    words = [*roles.values(), "a", "small", "text", "##s", "one", "more", ","]
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    _write(folder, made, roles, "[CLS] $A [SEP]")


def write_unigram(folder: Path, special: Sequence[str], around: str) -> None:
    """Unigram over 37 pieces, the first of them special tokens; `around` is how a text stands."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = [f"\u2581{word}" for word in ("a", "small", "text", "one", "more")]
    pieces = [*special, *words, "\u2581", *",.abcdefghijklmnopqrstuvwxyz"][:37]
    scores = [(piece, -float(place)) for place, piece in enumerate(pieces)]
    made = Tokenizer(models.Unigram(scores, unk_id=special.index("<unk>")))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    names = {"<s>": "bos", "</s>": "eos", "<pad>": "pad", "<unk>": "unk"}
    _write(folder, made, {names[text]: text for text in special}, around)


def _write(folder: Path, made: Any, roles: dict[str, str], around: str) -> None:
    from tokenizers import AddedToken, processors

    made.add_special_tokens([AddedToken(text, special=True) for text in roles.values()])
    used = [(text, made.token_to_id(text)) for text in around.split() if text != "$A"]
    made.post_processor = processors.TemplateProcessing(single=around, special_tokens=used)
    made.save(str(folder / "tokenizer.json"))
    settings = {f"{role}_token": text for role, text in roles.items()}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
