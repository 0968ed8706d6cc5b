"""Tiny encoder-decoders for tests, of width 16 over 31 tokens: unlike sides, and tables shared or not."""

from __future__ import annotations

from typing import Any

from model.small_encoders import POST_NORM, stack
from model.small_models import LAYER, RMS, block

from hornbook.model.config import (
    BlockConfig,
    DecoderConfig,
    EmbeddingConfig,
    HeadConfig,
    NormSlotsConfig,
    StackConfig,
)
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LearnedPositionConfig,
    RelativeBiasConfig,
    RotaryConfig,
    SinusoidalPositionConfig,
    StridedConfig,
)
from hornbook.model.seq2seq_config import Seq2SeqConfig


def reading(kind: BlockConfig, **attention: Any) -> BlockConfig:
    """The same block with cross attention, of two heads but for what is given."""
    return kind.model_copy(update={"cross_attention": AttentionConfig(**{"n_heads": 2} | attention)})


def seq2seq(encoder: dict[str, Any], decoder: dict[str, Any], **fields: Any) -> Seq2SeqConfig:
    """An encoder-decoder of the fields of two stacks; the decoder's have those of its head."""
    return Seq2SeqConfig(encoder=StackConfig(**encoder), decoder=DecoderConfig(**decoder), **fields)


SINES = EmbeddingConfig(position=SinusoidalPositionConfig(), scale=4.0)
LEARNED = EmbeddingConfig(position=LearnedPositionConfig(), norm=LAYER)


def by_distance(both_ways: bool, **fields: Any) -> BlockConfig:
    """A block without biases whose scores are as they come, but for a number for each distance."""
    distances = RelativeBiasConfig(n_buckets=8, max_distance=9, both_ways=both_ways)
    return block(
        {"position": distances, "scale": 1.0, "head_dim": 6},
        feed_forward=FeedForwardConfig(d_ff=24, activation="relu"),
        norms=NormSlotsConfig(input=RMS),
        **fields,
    )


SEQ2SEQ: dict[str, Seq2SeqConfig] = {
    "as first published": seq2seq(
        stack(POST_NORM, embedding=SINES),
        stack(reading(POST_NORM), embedding=SINES, head=HeadConfig(tied=True)),
    ),
    "by distance": seq2seq(
        stack(by_distance(True), embedding=EmbeddingConfig(), final_norm=RMS, n_layers=1),
        stack(
            by_distance(False, cross_attention=AttentionConfig(n_heads=3, head_dim=4, scale=1.0)),
            embedding=EmbeddingConfig(),
            final_norm=RMS,
            n_layers=3,
            head=HeadConfig(tied=True, scale=0.25),
        ),
    ),
    "two tables": seq2seq(
        stack(POST_NORM, embedding=LEARNED, n_layers=3, vocab_size=23),
        stack(
            reading(POST_NORM, qkv_bias=True, out_bias=True),
            embedding=LEARNED,
            n_layers=1,
            head=HeadConfig(tied=True, bias=True),
        ),
        shared_embedding=False,
        start_token=30,
    ),
    "read now and then": seq2seq(
        stack(block({"sparse": StridedConfig(stride=3)}), embedding=EmbeddingConfig(), final_norm=RMS),
        stack(
            block({"window": 3}),
            reading(block({"n_heads": 4, "n_kv_heads": 2}), n_heads=4, n_kv_heads=1, head_dim=6, qk_norm=RMS),
            block({"position": RotaryConfig(theta=100.0)}),
            embedding=EmbeddingConfig(),
            final_norm=RMS,
            n_layers=4,
        ),
    ),
}
