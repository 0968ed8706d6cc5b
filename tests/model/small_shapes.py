"""A tiny model of every shape that there is, over a vocabulary of any size."""

from __future__ import annotations

from typing import Any

from model.small_encoders import POST_NORM, stack
from model.small_models import LAYER, model_config

from hornbook.model.config import DecoderConfig, EmbeddingConfig, HeadConfig, StackConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig, PoolerConfig
from hornbook.model.part_config import AttentionConfig, LearnedPositionConfig, RelativeContentConfig
from hornbook.model.permutation_config import PermutationLMConfig
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig

TEXTS = EmbeddingConfig(position=LearnedPositionConfig(), norm=LAYER)
"""Without segments."""
READS = POST_NORM.attention
TWO_STREAMS = POST_NORM.model_copy(
    update={"attention": AttentionConfig(n_heads=2, position=RelativeContentConfig(by_segment=True))}
)


def shaped_configs(vocab_size: int = 31, **fields: Any) -> dict[str, AnyConfig]:
    """By kind, each such that a published family can hold it; `fields` change the stacks."""
    sized = {"vocab_size": vocab_size, **fields}
    return {
        "causal_lm": model_config(**sized),
        "masked_lm": MaskedLMConfig(**stack(**sized)),
        "classifier": ClassifierConfig(**stack(**sized), n_classes=3, pooler=PoolerConfig()),
        "permutation_lm": PermutationLMConfig(**stack(TWO_STREAMS, embedding=EmbeddingConfig(), **sized)),
        "seq2seq": seq2seq_config(**sized),
    }


def seq2seq_config(start_token: int = 0, **fields: Any) -> Seq2SeqConfig:
    """An encoder-decoder with one table of tokens."""
    writes = POST_NORM.model_copy(update={"cross_attention": READS})
    return Seq2SeqConfig(
        encoder=StackConfig(**stack(embedding=TEXTS, **fields)),
        decoder=DecoderConfig(
            **stack(writes, embedding=TEXTS, **fields), head=HeadConfig(tied=True, bias=True)
        ),
        start_token=start_token,
    )
