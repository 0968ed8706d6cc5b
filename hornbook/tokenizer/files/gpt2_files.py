"""GPT-2's own files: `vocab.bpe` with a merge on each line, and `encoder.json` with the ids."""

from __future__ import annotations

from pathlib import Path

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_bytes, read_json
from hornbook.tokenizer.alphabet import spell
from hornbook.tokenizer.files.spelling import from_texts
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.vocabulary import Vocabulary


def read_gpt2(merges: Path, encoder: Path) -> Vocabulary:
    """Read GPT-2's merges, a pair on each line, and its vocabulary; what text cannot become is special."""
    ids = read_json(encoder)
    if not isinstance(ids, dict):
        raise RunFolderError(f"{encoder} is damaged: it is not a map from tokens to ids")
    try:
        lines = read_bytes(merges).decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise RunFolderError(f"{merges} is damaged: not UTF-8") from None
    pairs = [line for line in lines if line and not line.startswith("#version")]
    made = {line.replace(" ", "", 1) for line in pairs} | {spell(bytes([byte])) for byte in range(256)}
    special = {text: place for text, place in ids.items() if text not in made}
    return from_texts(ids, pairs, special, {}, PATTERNS["gpt2"], merges)
