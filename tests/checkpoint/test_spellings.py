"""Configurations as checkpoints of all ages spell them: each tells us what it tells transformers.

What transformers makes of a configuration is seen in the one that it writes, with everything said.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from checkpoint.published_first import LLAMA_LIKE

from hornbook.base.errors import ConfigError
from hornbook.model.config import ModelConfig
from hornbook.model.families.family import as_computed, load_family, read_config, reason_against

transformers = pytest.importorskip("transformers")

FULL, SLIDING = "full_attention", "sliding_attention"
SIX = {"num_hidden_layers": 6}
LATE = {"sliding_window": 8, "max_window_layers": 4}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 12}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip

SPELLINGS: list[tuple[str, dict[str, Any]]] = [
    *((family, {}) for family in ("llama", "mistral", "qwen2", "qwen3", "olmo2", "smollm3")),
    *((family, {}) for family in ("gemma", "gemma2", "gemma3_text", "mixtral", "qwen3_moe")),
    ("llama", {"rope_theta": 5e5, "rope_scaling": LLAMA3, "pretraining_tp": 1, "head_dim": 8}),
    ("mistral", {"sliding_window": None, "rope_theta": 1e6}),
    ("mistral", {"sliding_window": 4096, "head_dim": None, "attention_dropout": 0.1}),
    ("qwen2", {**SIX, **LATE, "use_sliding_window": False, "rope_theta": 1e6, "use_mrope": False}),
    ("qwen2", {**SIX, **LATE, "use_sliding_window": True, "rope_scaling": YARN}),
    ("qwen2", {**SIX, **LATE, "use_sliding_window": True, "sliding_window": None}),
    ("qwen3", {**SIX, **LATE, "use_sliding_window": True, "rope_theta": 1e6, "rope_scaling": None}),
    ("olmo2", {"rope_theta": 5e5, "rope_scaling": None, "rms_norm_eps": 1e-6, "attention_bias": False}),
    (
        "smollm3",
        {
            **SIX, "rope_theta": 5e6, "rope_scaling": None, "no_rope_layers": [1, 1, 1, 0, 1, 1, 1],
            "layer_types": [FULL] * 6, "sliding_window": None, "use_sliding_window": False,
            "max_window_layers": 28,
        },
    ),
    ("gemma", {"hidden_act": "gelu", "hidden_activation": None, "rope_theta": 1e4}),
    ("gemma", {"hidden_act": "gelu_pytorch_tanh", "rope_scaling": None}),
    ("gemma2", {**SIX, "hidden_act": "gelu_pytorch_tanh", "cache_implementation": "hybrid"}),
    ("gemma2", {"query_pre_attn_scalar": 144, "attn_logit_softcapping": None}),
    (
        "gemma3_text",
        {
            **SIX, "rope_theta": 2e6, "rope_local_base_freq": 20_000, "sliding_window_pattern": 3,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "attn_logit_softcapping": None,
        },
    ),
    ("gemma3_text", {"layer_types": [SLIDING, FULL, SLIDING], "_sliding_window_pattern": 6}),
    ("mixtral", {"num_local_experts": 4, "router_aux_loss_coef": 0.02, "rope_theta": 1e6}),
    (
        "qwen3_moe",
        {
            "num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": True, "head_dim": 16,
            "sliding_window": None, "use_sliding_window": False, "max_window_layers": 48,
        },
    ),
]  # fmt: skip


def read(family: str, attributes: dict[str, Any]) -> ModelConfig:
    return read_config(load_family(family), attributes, "config.json")


@pytest.mark.parametrize(("family", "attributes"), SPELLINGS)
def test_a_spelling_tells_us_what_it_tells_transformers(family: str, attributes: dict[str, Any]) -> None:
    ours = read(family, LLAMA_LIKE | attributes)
    theirs = transformers.AutoConfig.for_model(family, **LLAMA_LIKE | attributes).to_json_string()
    assert as_computed(ours) == as_computed(read(family, json.loads(theirs)))
    assert reason_against(load_family(family), ours) is None


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"head_dim": 8, "partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
    ("mistral", {"layer_types": [FULL] * 3}, "layer_types"),
    ("qwen2", {"layer_types": [FULL, SLIDING, FULL]}, "no window is given"),
    ("qwen2", {"layer_types": [FULL, FULL]}, "3 times"),
    ("qwen3", {"layer_types": [FULL, FULL, "chunked_attention"]}, "chunked_attention"),
    ("qwen2", {"use_mrope": True}, "use_mrope = True"),
    ("smollm3", {"no_rope_layers": [1, 0]}, "3 are expected"),
    ("smollm3", {"layer_types": [SLIDING] * 3, "sliding_window": 4}, "no window is given"),
    ("gemma", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ("gemma", {"hidden_act": "relu", "hidden_activation": "gelu_pytorch_tanh"}, "hidden_activation"),
    ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
    ("gemma3_text", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, "rope_parameters"),
    ("mixtral", {"router_jitter_noise": 0.1}, "router_jitter_noise"),
    ("qwen3_moe", {"use_sliding_window": True, "max_window_layers": 2}, "max_window_layers = 2"),
]


@pytest.mark.parametrize(("family", "attributes", "words"), REFUSED)
def test_what_cannot_be_honoured_is_refused(family: str, attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(family, LLAMA_LIKE | attributes)
