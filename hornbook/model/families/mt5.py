"""mT5 (Xue et al. 2021): T5 1.1 for many languages, under a name of its own.

Its output matrix must be in the file. What `tie_word_embeddings` says is passed over: version 5 of
transformers writes true for every model, and never scales logits; version 4 scales them where it is true, and
no published model says so.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.families import t5
from hornbook.model.families.family import CannotHold, Family
from hornbook.model.families.reading import Reading
from hornbook.model.seq2seq_config import Seq2SeqConfig


def _read(theirs: Reading) -> Seq2SeqConfig:
    theirs.take("tie_word_embeddings", None)
    return t5.read_sides(theirs, "gated-gelu", is_tied=False)


def _write(config: Seq2SeqConfig) -> dict[str, Any]:
    if config.decoder.head.tied:
        raise CannotHold("its output matrix is its own")
    return t5.write(config)


FAMILIES = (
    Family(
        "mt5",
        "MT5ForConditionalGeneration",
        _read,
        _write,
        t5.rules,
        ignored=t5.UNUSED,
        shape=Seq2SeqConfig,
    ),
)
