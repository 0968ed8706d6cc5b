"""GPT-Neo, GPT-NeoX, GPT-J, OPT and BLOOM."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from checkpoint.published_first import SMALL, made


def gpt_neo() -> dict[str, Callable[[], Any]]:
    """GPT-Neo, with windows shorter than the sequence."""
    of = partial(
        made, "GPTNeoConfig", **SMALL, max_position_embeddings=20, hidden_size=24, num_heads=3, window_size=5
    )
    return {
        "gpt-neo": of(num_layers=4, attention_types=[[["global", "local"], 2]]),
        "gpt-neo untied, odd": of(
            num_layers=3,
            attention_types=[[["local"], 2], [["global"], 1]],
            intermediate_size=50,
            activation_function="gelu",
            layer_norm_epsilon=1e-3,
            tie_word_embeddings=False,
        ),
        "gpt-neo global": of(num_layers=2, attention_types=[[["global"], 2]]),
    }


def gpt_neox() -> dict[str, Callable[[], Any]]:
    """GPT-NeoX and Pythia."""
    of = partial(
        made,
        "GPTNeoXConfig",
        **SMALL,
        max_position_embeddings=48,
        hidden_size=24,
        num_attention_heads=3,
        num_hidden_layers=2,
        intermediate_size=40,
    )
    return {
        "gpt-neox": of(),
        "gpt-neox in sequence, tied, no bias": of(
            use_parallel_residual=False,
            tie_word_embeddings=True,
            attention_bias=False,
            hidden_act="gelu_new",
            layer_norm_eps=1e-3,
        ),
        "gpt-neox whole heads, own base": of(rotary_pct=1.0, rotary_emb_base=500),
        "gpt-neox linear": of(rotary_pct=0.5, rope_scaling={"rope_type": "linear", "factor": 3.0}),
        # Six of 47 is a share that comes back as five when it is written as the nearest number.
        "gpt-neox odd heads": of(hidden_size=94, num_attention_heads=2, rotary_pct=0.13),
    }


def gptj() -> dict[str, Callable[[], Any]]:
    """GPT-J."""
    of = partial(made, "GPTJConfig", **SMALL, n_positions=20, n_embd=24, n_layer=2, n_head=2)
    return {
        "gpt-j": of(rotary_dim=4),
        "gpt-j tied, whole heads": of(
            rotary_dim=12,
            n_inner=50,
            activation_function="relu",
            tie_word_embeddings=True,
            layer_norm_epsilon=1e-3,
        ),
    }


def opt() -> dict[str, Callable[[], Any]]:
    """OPT.

    The vector of `pad_token_id` gets no gradient from the input in transformers, which is no part of what a
    model computes: there is no such token here.
    """
    of = partial(
        made,
        "OPTConfig",
        **SMALL | {"pad_token_id": None},
        max_position_embeddings=20,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        ffn_dim=50,
    )
    return {
        "opt": of(),
        "opt untied, no biases, odd": of(
            tie_word_embeddings=False, enable_bias=False, activation_function="gelu"
        ),
        "opt without last norm": of(_remove_final_layer_norm=True),
    }


def bloom() -> dict[str, Callable[[], Any]]:
    """BLOOM."""
    of = partial(made, "BloomConfig", **SMALL, seq_length=20, hidden_size=24, n_layer=2)
    return {
        "bloom": of(n_head=4),
        "bloom untied, odd": of(n_head=3, tie_word_embeddings=False, layer_norm_epsilon=1e-3),
    }
