"""A small WordPiece vocabulary, whose ids have no bytes of their own; it takes the tokenizers library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hornbook.tokenizer import Tokenizer

WORDS = ["[UNK]", "a", "small", "text", "##s"]


def content() -> dict[str, Any]:
    """The content of its file; a word it does not know is [UNK]."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "[UNK]", **flags}],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: place for place, word in enumerate(WORDS)},
        },
    }


def word_piece(folder: Path) -> Tokenizer:
    """Write it to a folder, as `tokenizer.json`, and load it."""
    pytest.importorskip("tokenizers")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content()), encoding="utf-8")
    return Tokenizer.load(folder)
