"""Recipes of decoders: a play's characters in seconds, and the model that made the field.

`shapes.py` finds recipes by name, and has the quickstart, which is a decoder too.
"""

from __future__ import annotations

from hornbook.data.config import DataConfig
from hornbook.model.config import (
    BlockConfig,
    EmbeddingConfig,
    HeadConfig,
    ModelConfig,
    NormSlotsConfig,
    ScaledNormalInit,
    ZeroOutputInit,
)
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
    RMSNormConfig,
    RotaryConfig,
)
from hornbook.train.config import (
    AdamWConfig,
    CosineConfig,
    MuonConfig,
    RunConfig,
    TokenizerConfig,
    TrainConfig,
)

N_BYTES = 257
"""Token ids of a tokenizer without merges: the bytes, and the end of a text."""


def shakespeare_char(size: int = 2) -> RunConfig:
    """Shakespeare letter by letter: the race of nanoGPT's laptop run, in 200 steps in place of 2,000.

    size layers of width 64 x size, over bytes, which are the letters of an ASCII text; the last tenth is held
    out. Steps and rates were chosen at size 2, for the least time to a loss of 1.88.
    """
    block = BlockConfig(
        attention=AttentionConfig(n_heads=2 * size, position=RotaryConfig(), qk_norm=RMSNormConfig()),
        feed_forward=FeedForwardConfig(d_ff=160 * size, activation="silu", gated=True),
    )
    return RunConfig(
        model=ModelConfig(
            vocab_size=N_BYTES,
            d_model=64 * size,
            n_layers=size,
            max_seq_len=128,
            pattern=(block,),
            init=ZeroOutputInit(),
        ),
        tokenizer=TokenizerConfig(vocab_size=N_BYTES),
        data=DataConfig(path="input.txt", held_out_share=0.1, seq_len=128, batch_size=8),
        train=TrainConfig(
            steps=200,
            optimizer=MuonConfig(momentum=0.9),
            micro_batch_size=None,  # A thousand letters fit wherever the weights do.
            log_every=10,
            sample_prompts=("ROMEO:",),
            final_prompts=("ROMEO:", "First Citizen:"),
        ),
    )


def gpt2_124m() -> RunConfig:
    """GPT-2's smallest (Radford et al. 2019), for ten billion tokens in batches of half a million.

    The rate is that of GPT-3's model of this size (Brown et al. 2020, table 2.1), with the clipping and the
    weight decay of its appendix B. It wants a GPU and text to match: `data.path=` a folder of token shards.
    """
    norm = LayerNormConfig()
    block = BlockConfig(
        attention=AttentionConfig(n_heads=12, qkv_bias=True, out_bias=True),
        feed_forward=FeedForwardConfig(d_ff=3072, activation="gelu_tanh", bias=True),
        norms=NormSlotsConfig(input=norm),
    )
    return RunConfig(
        model=ModelConfig(
            vocab_size=50_257,
            d_model=768,
            n_layers=12,
            max_seq_len=1024,
            pattern=(block,),
            embedding=EmbeddingConfig(position=LearnedPositionConfig()),
            final_norm=norm,
            head=HeadConfig(tied=True),
            init=ScaledNormalInit(),
        ),
        tokenizer=TokenizerConfig(vocab_size=50_257),
        data=DataConfig(path="tokens", seq_len=1024, batch_size=480),
        train=TrainConfig(
            steps=20_346,
            optimizer=AdamWConfig(learning_rate=6e-4),
            schedule=CosineConfig(),
            max_grad_norm=1.0,
            log_every=10,
            validate_every=250,
            sample_every=1000,
            save_every=1000,
        ),
    )
