"""The ladder: Llama-style decoders from a million parameters to a billion, all derived from one dial; and
the rung that fits an ordinary laptop.

`size` is about how many parameters there shall be. From it follow, each by a rule that `llama_style` states,
shape, vocabulary, context, length of the training, batch and learning rates. `shapes.py` finds both by name,
and `hornbook plan` chooses the size.
"""

from __future__ import annotations

import math
from functools import cache

from hornbook.base.amounts import short_amount
from hornbook.base.errors import ConfigError
from hornbook.data.config import DataConfig
from hornbook.model.config import BlockConfig, ModelConfig, ZeroOutputInit
from hornbook.model.count import count_parameters, on_meta, training_flops_per_token
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, RMSNormConfig, RotaryConfig
from hornbook.train.config import AdamWConfig, MuonConfig, RunConfig, TokenizerConfig, TrainConfig

SMALLEST, LARGEST = 100_000, 10_000_000_000
"""Where the rules end. They are meant for a million to a billion; the small runs of the scaling law go
below."""
WIDTH_PER_LAYER = 64
"""Numbers of width for each layer: the shape of the quickstart, between those of Llama 3.2 1B (128) and of
SmolLM 135M (19). Loss hardly depends on it (Kaplan et al. 2020, section 3.1)."""
HEAD_DIM = 64
"""Width of a head, Llama 3.2's at a billion; half of it where there would be fewer than four heads."""
QUERIES_PER_KEY = 4
"""Query heads that share one head of keys and values (Ainslie et al. 2023), as in Llama 3."""
SHARED_FROM = 1024
"""Width from which on they share: below, the cache of keys and values is small, and sharing costs loss."""
TOKENS_PER_WIDTH = 16
"""Tokens of the vocabulary for each number of width: 4,096 at the quickstart's width, 28,672 at a billion. So
the vocabulary grows with the model, and more slowly than the rest of it, as it should (Tao et al. 2024)."""
SHORTEST = 256
"""Fewest tokens of context."""
TOKENS_PER_PARAMETER = 20
"""Training tokens for each parameter (Hoffmann et al. 2022, as read by Besiroglu et al. 2024)."""
BATCH_PER_ROOT = 3.0
"""Tokens in a batch over the square root of all tokens, to a power of two. The root is after Zhang et al.
2024; 3 gives the quickstart's 4,096 and, at a billion parameters, half a million, as in Brown et al. 2020."""
LAPTOP_FLOPS = 2.5e14
"""Operations of the laptop's run."""
RATE_WIDTH = 256
"""The quickstart's width, where the rates of head, gains and embeddings were chosen."""


def llama_style(size: int = 1_000_000, tokens: int | None = None) -> RunConfig:
    """A decoder of about `size` parameters in Llama's shape (Touvron et al. 2023), for `tokens` of text.

    RMSNorm before each branch, rotary positions, gated feed-forwards of 8/3 the width, no biases; queries and
    keys are normalised, so that a learning rate may be wrong by more (Wortsman et al. 2024).
    width: so that there is about one layer for each 64 numbers of it.
    layers: as many as bring the parameters nearest to `size` at that width.
    heads: 64 wide (32 below a width of 256); from a width of 1,024 on four share their keys and values.
    vocabulary: 16 tokens for each number of width.
    context: as many tokens as the vectors are wide, to the next power of two, at least 256: attention's
    scores then cost about a tenth of all arithmetic at any size.
    tokens: 20 for each parameter where they are not given.
    batch: 3 times the square root of the tokens, to a power of two.
    learning rates: Muon's is 0.02 at every size, since its updates have the same spectral norm at every width
    (Bernstein and Newhouse 2024); AdamW's, for the tables, the head and the gains, fall with the inverse root
    of the width from the quickstart's, which were measured here.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(
            f"size is a number of parameters from {short_amount(SMALLEST)} to {short_amount(LARGEST)}, such "
            f"as 30M, not {short_amount(size)}"
        )
    model = _shape(size)
    wanted = TOKENS_PER_PARAMETER * size if tokens is None else tokens
    batch = max(model.max_seq_len, _power_of_two(BATCH_PER_ROOT * math.sqrt(wanted)))
    steps = max(1, round(wanted / batch))
    share = math.sqrt(RATE_WIDTH / model.d_model)
    usual = MuonConfig()
    often = -(-steps // 10)
    return RunConfig(
        model=model,
        tokenizer=TokenizerConfig(vocab_size=model.vocab_size),
        data=DataConfig(seq_len=model.max_seq_len, batch_size=batch // model.max_seq_len),
        train=TrainConfig(
            steps=steps,
            optimizer=usual.model_copy(
                update={
                    "embeddings": _scaled(usual.embeddings, share),
                    "rest": _scaled(usual.rest, share),
                }
            ),
            log_every=max(1, min(10, steps // 100)),
            validate_every=often,
            sample_every=often,
            save_every=often,
            sample_prompts=("The",),
            final_prompts=("The", "In", "He"),
        ),
    )


def laptop(size: int = 6_000_000) -> RunConfig:
    """The rung for about half an hour on an ordinary laptop, on your own text: `data.path=my-texts/`.

    Whatever the size, the tokens are as many as 2.5e14 operations learn from, which two cores of the machine
    of docs/benchmarks.md do in 25 minutes at the speed of its quickstart; the rest of the half hour is for
    the tokenizer and the measuring. All else is the ladder's, and so the quickstart's: its shape, Muon, and a
    rate that warms up, stays and goes down to nothing. With less text than that the run reads it again.
    """
    config = llama_style(size)
    flops = training_flops_per_token(on_meta(config.model), config.data.seq_len)
    return llama_style(size, round(LAPTOP_FLOPS / flops))


@cache
def _shape(size: int) -> ModelConfig:
    """The decoder whose parameters are nearest to `size`."""
    width = min(_widths(), key=lambda width: _skewness(width, size))
    one, two = (count_parameters(on_meta(_decoder(width, n))) for n in (1, 2))
    return _decoder(width, max(1, 1 + round((size - one) / (two - one))))


def _skewness(width: int, size: int) -> float:
    """How far from one layer for each 64 numbers of width a decoder of a size and a width would be.

    About 12 * width**2 parameters are in a layer, and twice 16 * width**2 in the two tables.
    """
    n_layers = (size / width**2 - 2 * TOKENS_PER_WIDTH) / 12
    return abs(math.log(n_layers * WIDTH_PER_LAYER / width)) if n_layers > 0 else math.inf


def _widths() -> list[int]:
    """Widths that heads divide, and that machines multiply fast."""
    return [*range(32, 256, 32), *range(256, SHARED_FROM, 64), *range(SHARED_FROM, 4097, 256)]


def _decoder(width: int, n_layers: int) -> ModelConfig:
    """The decoder of a width and a depth."""
    head_dim = HEAD_DIM if width >= 4 * HEAD_DIM else HEAD_DIM // 2
    n_heads = width // head_dim
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=n_heads,
            n_kv_heads=n_heads // QUERIES_PER_KEY if width >= SHARED_FROM else n_heads,
            head_dim=head_dim,
            position=RotaryConfig(),
            qk_norm=RMSNormConfig(),
        ),
        feed_forward=FeedForwardConfig(d_ff=-(-width * 8 // (3 * 64)) * 64, activation="silu", gated=True),
    )
    return ModelConfig(
        vocab_size=TOKENS_PER_WIDTH * width,
        d_model=width,
        n_layers=n_layers,
        max_seq_len=max(SHORTEST, 1 << (width - 1).bit_length()),
        pattern=(block,),
        init=ZeroOutputInit(),
    )


def _power_of_two(number: float) -> int:
    """The power of two that is nearest by ratio."""
    return 1 << round(math.log2(number))


def _scaled(config: AdamWConfig, share: float) -> AdamWConfig:
    rate = float(f"{config.learning_rate * share:.3g}")
    return config.model_copy(update={"learning_rate": rate})
