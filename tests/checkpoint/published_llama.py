"""Families that keep the names of Llama: Mistral, Qwen2, OLMo 2, SmolLM3, and Gemma 1 to 3."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from checkpoint.published_first import LLAMA_LIKE, made

FULL, SLIDING = "full_attention", "sliding_attention"


def mistral() -> dict[str, Callable[[], Any]]:
    """Mistral, with a window and without."""
    of = partial(made, "MistralConfig")
    return {
        "mistral window": of(**LLAMA_LIKE, sliding_window=7, rms_norm_eps=1e-5),
        "mistral, no window, odd head": of(**LLAMA_LIKE, sliding_window=None, head_dim=10),
        "mistral tied, yarn": of(
            **LLAMA_LIKE,
            sliding_window=13,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 12
            },
        ),
    }  # fmt: skip


def qwen2() -> dict[str, Callable[[], Any]]:
    """Qwen2, with windows in no, some, or other layers, and Qwen3 with windows."""
    of, of_qwen3 = partial(made, "Qwen2Config"), partial(made, "Qwen3Config")
    late = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
    return {
        "qwen2": of(**LLAMA_LIKE),
        "qwen2 tied, late windows": of(**LLAMA_LIKE, **late, tie_word_embeddings=True),
        "qwen2 windows by layer, odd head": of(
            **LLAMA_LIKE, **late, head_dim=10, layer_types=[SLIDING, FULL, SLIDING]
        ),
        "qwen3 late windows": of_qwen3(**LLAMA_LIKE, **late, head_dim=8),
        "qwen3 windows by layer": of_qwen3(
            **LLAMA_LIKE, **late, head_dim=8, layer_types=[SLIDING, SLIDING, FULL]
        ),
    }


def olmo2() -> dict[str, Callable[[], Any]]:
    """OLMo 2."""
    of = partial(made, "Olmo2Config")
    return {
        "olmo2": of(**LLAMA_LIKE | {"num_key_value_heads": 4}),
        "olmo2 grouped, tied, biases": of(
            **LLAMA_LIKE, attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-3
        ),
        "olmo2 odd head, linear": of(
            **LLAMA_LIKE,
            head_dim=10,
            rope_parameters={"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0},
        ),
    }


def smollm3() -> dict[str, Callable[[], Any]]:
    """SmolLM3, its layers without positions by rule and by list."""
    of = partial(made, "SmolLM3Config")
    five = LLAMA_LIKE | {"num_hidden_layers": 5}
    return {
        "smollm3": of(**five),
        "smollm3 untied, every second, biases": of(
            **five, no_rope_layer_interval=2, tie_word_embeddings=False, attention_bias=True, mlp_bias=True
        ),
        "smollm3 by list, windows": of(
            **five, no_rope_layers=[0, 1, 1, 0, 1], use_sliding_window=True, sliding_window=6
        ),
        "smollm3 windows by layer": of(
            **LLAMA_LIKE, use_sliding_window=True, sliding_window=6, layer_types=[SLIDING, FULL, FULL]
        ),
    }


def gemma() -> dict[str, Callable[[], Any]]:
    """Gemma."""
    of = partial(made, "GemmaConfig")
    return {
        "gemma": of(**LLAMA_LIKE, head_dim=8),
        "gemma one key head, untied, biases": of(
            **LLAMA_LIKE | {"num_key_value_heads": 1},
            head_dim=10,
            hidden_act="gelu",
            attention_bias=True,
            tie_word_embeddings=False,
        ),
    }


def gemma2() -> dict[str, Callable[[], Any]]:
    """Gemma 2, capped low enough to be seen."""
    of = partial(made, "Gemma2Config", head_dim=8)
    return {
        "gemma2": of(**LLAMA_LIKE, sliding_window=7),
        "gemma2 low caps, own scale": of(
            **LLAMA_LIKE,
            sliding_window=5,
            query_pre_attn_scalar=11,
            attn_logit_softcapping=1.5,
            final_logit_softcapping=0.7,
        ),
        "gemma2 no caps, by layer, biases": of(
            **LLAMA_LIKE,
            sliding_window=5,
            layer_types=[FULL, FULL, SLIDING],
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            attention_bias=True,
            hidden_activation="silu",
        ),
    }


def gemma3_text() -> dict[str, Callable[[], Any]]:
    """Gemma 3, with two rotary bases.

    Its `attn_logit_softcapping` is read by transformers and never used, so it is refused here.
    """
    of = partial(made, "Gemma3TextConfig", head_dim=8, sliding_window=7)
    scaled = {
        FULL: {"rope_type": "linear", "rope_theta": 5e4, "factor": 8.0},
        SLIDING: {"rope_type": "default", "rope_theta": 100.0},
    }
    return {
        "gemma3_text": of(**LLAMA_LIKE | {"num_hidden_layers": 7}),
        "gemma3_text every second, scaled": of(
            **LLAMA_LIKE, sliding_window_pattern=2, rope_parameters=scaled, query_pre_attn_scalar=5
        ),
        "gemma3_text windows only": of(**LLAMA_LIKE, layer_types=[SLIDING] * 3),
        "gemma3_text no windows, capped, biases": of(
            **LLAMA_LIKE, layer_types=[FULL] * 3, final_logit_softcapping=0.7, attention_bias=True
        ),
    }


def mixtral() -> dict[str, Callable[[], Any]]:
    """Mixtral."""
    of = partial(made, "MixtralConfig")
    return {
        "mixtral": of(**LLAMA_LIKE, num_local_experts=4, num_experts_per_tok=2),
        "mixtral one of five, window, tied": of(
            **LLAMA_LIKE,
            num_local_experts=5,
            num_experts_per_tok=1,
            sliding_window=6,
            head_dim=10,
            tie_word_embeddings=True,
        ),
    }


def qwen3_moe() -> dict[str, Callable[[], Any]]:
    """Qwen3 with a mixture of experts, in all layers or some.

    Transformers computes experts in groups, and only where their rows are multiples of 16 bytes; hence no odd
    width.
    """
    of = partial(made, "Qwen3MoeConfig", head_dim=8, moe_intermediate_size=20)
    return {
        "qwen3_moe": of(**LLAMA_LIKE, num_experts=6, num_experts_per_tok=3, norm_topk_prob=True),
        "qwen3_moe some layers, biases": of(
            **LLAMA_LIKE | {"num_hidden_layers": 5},
            num_experts=4,
            num_experts_per_tok=2,
            mlp_only_layers=[3],
            decoder_sparse_step=2,
            attention_bias=True,
        ),
        "qwen3_moe window, tied": of(
            **LLAMA_LIKE,
            num_experts=3,
            num_experts_per_tok=3,
            mlp_only_layers=[0],
            use_sliding_window=True,
            sliding_window=5,
            tie_word_embeddings=True,
        ),
    }
