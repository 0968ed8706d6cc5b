"""Recipes of models with an encoder: one that fills in masked tokens, and one that writes what is missing.

Both are small enough for a laptop and have the shapes of published models, so that `hornbook export` can
write them as such. Their dial is `size`; `shapes.py` finds them by name.
"""

from __future__ import annotations

from hornbook.data.config import DataConfig
from hornbook.model.config import (
    BlockConfig,
    DecoderConfig,
    EmbeddingConfig,
    NormSlotsConfig,
    StackConfig,
)
from hornbook.model.encoder_config import MaskedHeadConfig, MaskedLMConfig, PoolerConfig, TransformConfig
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
    RelativeBiasConfig,
    RMSNormConfig,
)
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.train.config import AdamWConfig, LinearConfig, RunConfig, TokenizerConfig, TrainConfig
from hornbook.train.objective_config import MaskedPairsConfig, SpanDenoisingConfig

HEAD_DIM = 64


def bert_small(size: int = 4, vocab_size: int = 8192) -> RunConfig:
    """The encoder of Devlin et al. 2019, and both of its objectives.

    Size 4 has the shape of the small one of Turc et al. 2019: size layers, each 128 numbers wide for every
    layer there is, heads of 64, a feed-forward of four times the width; norms after each sum, learned
    positions, two segments.
    """
    d_model, norm, dropout = 2 * HEAD_DIM * size, LayerNormConfig(eps=1e-12), 0.1
    block = BlockConfig(
        attention=AttentionConfig(n_heads=2 * size, qkv_bias=True, out_bias=True, dropout=dropout),
        feed_forward=FeedForwardConfig(d_ff=4 * d_model, activation="gelu", bias=True),
        norms=NormSlotsConfig(residual=norm),
        dropout=dropout,
    )
    model = MaskedLMConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=size,
        max_seq_len=512,
        pattern=(block,),
        embedding=EmbeddingConfig(position=LearnedPositionConfig(), n_segments=2, norm=norm, dropout=dropout),
        final_norm=None,
        head=MaskedHeadConfig(transform=TransformConfig(norm=norm)),
        pairs=PoolerConfig(),
    )
    return RunConfig(
        model=model,
        tokenizer=TokenizerConfig(vocab_size=vocab_size),
        data=DataConfig(seq_len=128, batch_size=32),
        train=TrainConfig(
            steps=1000,
            objective=MaskedPairsConfig(),
            optimizer=AdamWConfig(learning_rate=5e-4, betas=(0.9, 0.98), weight_decay=0.01),
            schedule=LinearConfig(warmup_share=0.1),
            max_grad_norm=1.0,
        ),
    )


def t5_small(size: int = 8, vocab_size: int = 8192) -> RunConfig:
    """The encoder-decoder of Raffel et al. 2020, with the gated layers of its version 1.1, and its denoising.

    size heads of 64, which make the width, and 3/4 as many layers on each side; a gated feed-forward of
    twice the width, biases by distance. A row of text becomes a source a little shorter and a target of
    about a fifth.
    """
    d_model, n_layers, norm = HEAD_DIM * size, max(1, 3 * size // 4), RMSNormConfig(eps=1e-6)
    heads = AttentionConfig(n_heads=size, head_dim=HEAD_DIM, scale=1.0)

    def block(both_ways: bool) -> BlockConfig:
        distances = RelativeBiasConfig(both_ways=both_ways)
        return BlockConfig(
            attention=heads.model_copy(update={"position": distances}),
            cross_attention=None if both_ways else heads,
            feed_forward=FeedForwardConfig(d_ff=2 * d_model, activation="gelu_tanh", gated=True),
            norms=NormSlotsConfig(input=norm),
        )

    def stack(both_ways: bool) -> StackConfig:
        return StackConfig(
            vocab_size=vocab_size,
            d_model=d_model,
            n_layers=n_layers,
            max_seq_len=512,
            pattern=(block(both_ways),),
            final_norm=norm,
        )

    return RunConfig(
        model=Seq2SeqConfig(
            encoder=stack(both_ways=True),
            decoder=DecoderConfig(**dict(stack(both_ways=False))),
            start_token=vocab_size - 1,  # The end of a text, which begins the next.
        ),
        tokenizer=TokenizerConfig(vocab_size=vocab_size),
        data=DataConfig(seq_len=256, batch_size=16),
        train=TrainConfig(
            steps=1000,
            objective=SpanDenoisingConfig(),
            optimizer=AdamWConfig(learning_rate=1e-3, betas=(0.9, 0.98), weight_decay=0.01),
            schedule=LinearConfig(warmup_share=0.1),
            max_grad_norm=1.0,
        ),
    )
