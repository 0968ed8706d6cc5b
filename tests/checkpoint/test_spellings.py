"""Configurations as checkpoints of all ages spell them: each tells us what it tells transformers.

What transformers makes of a configuration is seen in the one that it writes, with everything said.
"""

from __future__ import annotations

import json
from copy import deepcopy
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
WHOLE_YARN = {"factor": 4.0, "original_max_position_embeddings": 12, "beta_fast": 32.0, "beta_slow": 1.0}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip

SPELLINGS: list[tuple[str, dict[str, Any]]] = [
    *((family, {}) for family in ("llama", "mistral", "qwen2", "qwen3", "olmo2", "smollm3")),
    *((family, {}) for family in ("gemma", "gemma2", "gemma3_text", "mixtral", "qwen3_moe")),
    ("llama", {"rope_theta": 5e5, "rope_scaling": LLAMA3, "pretraining_tp": 1, "head_dim": 8}),
    *(
        (family, {"rope_scaling": {"type": kind, "factor": 2.5}})
        for family in ("llama", "mistral", "qwen2", "qwen3", "olmo2", "smollm3", "gemma", "mixtral")
        for kind in ("linear", "dynamic")
    ),
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
    # It writes into what it is given.
    theirs = transformers.AutoConfig.for_model(family, **deepcopy(LLAMA_LIKE | attributes)).to_json_string()
    assert as_computed(ours) == as_computed(read(family, json.loads(theirs)))
    assert reason_against(load_family(family), ours) is None


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"head_dim": 8, "partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
    (
        "llama",
        {"rope_scaling": {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 12}},
        "original_max_position_embeddings = 12 is refused, because .* 48",
    ),
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


WRITTEN_FOR_ALL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("llama", {"type": "linear", "factor": 3.0}, {"type": "linear", "factor": 3.0}),
    ("llama", {"rope_type": "dynamic", "factor": 3.0}, {"type": "dynamic", "factor": 3.0}),
    ("olmo2", {"rope_type": "linear", "factor": 3.0}, {"type": "linear", "factor": 3.0}),
    ("llama", LLAMA3, LLAMA3),
    ("qwen2", YARN, {**WHOLE_YARN, "rope_type": "yarn"}),
    ("gemma3_text", {"type": "linear", "factor": 3.0}, {"rope_type": "linear", "factor": 3.0}),
]
"""A family, how its rotary positions are scaled, and how that is written."""


@pytest.mark.parametrize(("family", "scaling", "expected"), WRITTEN_FOR_ALL)
def test_scaled_positions_are_written_as_every_version_reads_them(
    family: str, scaling: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Version 4 knows no `rope_parameters`. Its first ones, and OLMo 2 in its last, ask for a `type` and a
    factor and nothing else; Gemma 3 in version 5 knows no `type`, and would take the positions as not scaled.
    """
    config = read(family, LLAMA_LIKE | SIX | {"rope_scaling": scaling})
    written = load_family(family).write(config)
    assert "rope_parameters" not in written
    assert written["rope_theta"] == (1e6 if family == "gemma3_text" else 1e4)
    assert written["rope_scaling"] == expected


def test_dynamic_positions_grow_from_the_longest_sequence_alone() -> None:
    """Transformers has no name for another length that they were trained with."""
    config = read("llama", LLAMA_LIKE | {"rope_scaling": {"type": "dynamic", "factor": 2.0}})
    longer = config.model_copy(update={"max_seq_len": 96})
    assert reason_against(load_family("llama"), config) is None
    assert "trained_len = 48" in str(reason_against(load_family("llama"), longer))
