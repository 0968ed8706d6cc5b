"""GPT-2, Llama and Qwen3."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

SMALL = {"vocab_size": 37, "bos_token_id": 0, "eos_token_id": 0}
LLAMA_LIKE: dict[str, Any] = SMALL | {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
    "pad_token_id": None,
}
"""Sizes by the names of Llama, which most families keep."""


def made(config: str, **attributes: Any) -> Callable[[], Any]:
    """A function that makes a configuration of a class of transformers."""

    def make() -> Any:
        import transformers

        return getattr(transformers, config)(**attributes)

    return make


def gpt2() -> dict[str, Callable[[], Any]]:
    """GPT-2."""
    of = partial(made, "GPT2Config", **SMALL, n_positions=20, n_embd=24, n_layer=2, n_head=3)
    return {
        "gpt2": of(),
        "gpt2 untied, odd": of(
            n_inner=50, activation_function="relu", tie_word_embeddings=False, layer_norm_epsilon=1e-3
        ),
    }


def llama() -> dict[str, Callable[[], Any]]:
    """Llama 1, 2 and 3, and its ways to longer sequences."""
    of = partial(made, "LlamaConfig")

    def scaled(**parameters: Any) -> Callable[[], Any]:
        return of(**LLAMA_LIKE | {"rope_parameters": {"rope_theta": 10_000.0, **parameters}})

    return {
        "llama 1": of(**LLAMA_LIKE | {"num_key_value_heads": 4, "rms_norm_eps": 1e-4}),
        "llama 2 grouped": of(**LLAMA_LIKE),
        "llama tied, biases, odd head": of(
            **LLAMA_LIKE, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, head_dim=10
        ),
        "llama 3.1": scaled(
            rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=16,
        ),
        "llama linear": scaled(rope_type="linear", factor=3.0),
        "llama dynamic": scaled(rope_type="dynamic", factor=2.0),
        "llama yarn": scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=12),
        "llama yarn, own numbers": scaled(
            rope_type="yarn", factor=4.0, original_max_position_embeddings=12, beta_fast=16.0,
            beta_slow=2.0, attention_factor=1.3,
        ),
    }  # fmt: skip


def qwen3() -> dict[str, Callable[[], Any]]:
    """Qwen3, dense."""
    of = partial(made, "Qwen3Config")
    return {
        "qwen3": of(**LLAMA_LIKE, head_dim=8),
        "qwen3 tied, biases": of(
            **LLAMA_LIKE, head_dim=6, tie_word_embeddings=True, attention_bias=True, rope_theta=1e6
        ),
    }
