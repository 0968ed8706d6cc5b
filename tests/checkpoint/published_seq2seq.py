"""Encoder-decoders: T5 and its version 1.1, mT5, BART and Marian.

Ids of padding, and of what a text begins and ends with, are below 4, so that tests can keep them out of
texts: the families' own vectors of padding do not learn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from checkpoint.published import drawn
from checkpoint.published_first import made

FIRST_WORD = 4
"""The ids below are for other uses."""


def t5() -> dict[str, Callable[[], Any]]:
    """T5, and mT5, which is its version 1.1 under another name."""
    sizes = {"vocab_size": 37, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 3, "num_heads": 4}
    of = partial(made, "T5Config", **sizes, n_positions=24, decoder_start_token_id=0)
    odd = {
        "d_kv": 10,
        "num_heads": 3,
        "num_decoder_layers": 1,
        "relative_attention_num_buckets": 10,
        "relative_attention_max_distance": 13,
        "layer_norm_epsilon": 1e-3,
    }
    return {
        "t5": of(),
        "t5 wide heads, one layer writes": made(
            "T5Config", **sizes | odd, n_positions=24, decoder_start_token_id=3
        ),
        "t5 gated, exact gelu": of(feed_forward_proj="gated-gelu", dense_act_fn="gelu"),
        "t5 1.1": of(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        "t5 1.1, silu, more layers write": of(
            feed_forward_proj="gated-silu",
            tie_word_embeddings=False,
            num_decoder_layers=4,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=9,
        ),
        "mt5": made("MT5Config", **sizes, n_positions=20),
        "mt5 narrow heads, relu": made(
            "MT5Config", **sizes | odd | {"d_kv": 2}, n_positions=20, feed_forward_proj="relu"
        ),
    }


SIZES = {
    "vocab_size": 37,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 40,
    "max_position_embeddings": 20,
}
"""Sizes by the names of BART."""
UNLIKE_SIDES = {
    "encoder_layers": 1,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 3,
    "decoder_ffn_dim": 28,
}


def bart() -> dict[str, Callable[[], Any]]:
    """BART."""
    of = partial(made, "BartConfig")
    return {
        "bart": of(**SIZES),
        "bart scaled, unlike sides": of(
            **SIZES | UNLIKE_SIDES, scale_embedding=True, activation_function="gelu_new",
            decoder_start_token_id=3, activation_dropout=0.2,
        ),
        "bart untied": of(**SIZES, tie_word_embeddings=False, activation_function="relu"),
    }  # fmt: skip


def marian() -> dict[str, Callable[[], Any]]:
    """Marian, whose every model on record begins with padding."""
    ids = {"pad_token_id": 3, "decoder_start_token_id": 3}
    of = partial(made, "MarianConfig", **ids)
    published = SIZES | {"activation_function": "swish", "scale_embedding": True}
    return {
        "marian": of(**published),
        "marian unlike sides, not scaled": of(**SIZES | UNLIKE_SIDES, activation_function="relu"),
        "marian two tables": of(**published, share_encoder_decoder_embeddings=False, decoder_vocab_size=31),
        "marian three tables": of(
            **published, share_encoder_decoder_embeddings=False, tie_word_embeddings=False
        ),
    }


SEQ2SEQ_CASES: dict[str, Callable[[], Any]] = {**t5(), **bart(), **marian()}
"""By family and setting."""


def published(case: str) -> Any:
    """A model of transformers with every parameter drawn, in evaluation mode.

    Where such models have an output matrix of their own, it gets one: version 5 of transformers makes them
    with one matrix for all ends, and unties them when it reads a file that has two. What it adds to the
    logits is no parameter there, and is drawn too. Queries of T5 are drawn smaller: it scales no scores.
    """
    import transformers

    config = SEQ2SEQ_CASES[case]()
    model = transformers.AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager")
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(5))
        return drawn(model)
    if not getattr(config, "scale_decoder_outputs", False):
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    with torch.no_grad():
        for name, parameter in drawn(model).named_parameters():
            if name.endswith(".q.weight"):
                parameter.mul_(config.d_kv**-0.5)
    return model
