"""What GPT-Neo, GPT-NeoX, GPT-J, OPT and BLOOM have of their own: former spellings, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoint.published import CASES

from hornbook.base.errors import ConfigError
from hornbook.checkpoint.hugging_face import read_model
from hornbook.model.config import ModelConfig, ParallelWiring
from hornbook.model.families.family import as_computed, family_of, read_config
from hornbook.model.families.names import share_of

transformers = pytest.importorskip("transformers")


def attributes_of(case: str, *without: str, **changes: Any) -> dict[str, Any]:
    """What transformers writes for a case, some attributes left out and some changed."""
    written: dict[str, Any] = json.loads(CASES[case]().to_json_string())
    return {name: value for name, value in written.items() if name not in without} | changes


def read(attributes: dict[str, Any]) -> ModelConfig:
    return read_config(family_of(attributes, "config.json"), attributes, "config.json")


SUMMARY = {
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "summary_activation": None,
    "summary_proj_to_labels": True,
    "summary_first_dropout": 0.1,
}
"""A head for another task, which the first configurations carry."""


@pytest.mark.parametrize(
    ("case", "without", "changes"),
    [
        ("gpt-neo", ["attention_layers"], SUMMARY),
        ("gpt-neox", ["rope_parameters", "attention_bias"], {"rotary_pct": 0.25, "rotary_emb_base": 10_000}),
        ("gpt-neox whole heads, own base", ["rope_parameters"], {"rotary_pct": 1, "rotary_emb_base": 500}),
        (
            "gpt-neox linear",
            ["rope_parameters"],
            {
                "rotary_pct": 0.5,
                "rotary_emb_base": 10_000,
                "rope_theta": 10_000,
                "partial_rotary_factor": 0.5,
                "rope_scaling": {"type": "linear", "factor": 3.0},
                "hidden_dropout_prob": 0,
            },
        ),
        (
            "gpt-j",
            [],
            {**SUMMARY, "rotary": True, "scale_attn_weights": True, "gradient_checkpointing": False},
        ),
        (
            "opt",
            ["enable_bias", "layer_norm_elementwise_affine"],
            {"activation_dropout": 0.0, "prefix": "</s>"},
        ),
        (
            "bloom",
            ["hidden_size", "n_head"],
            {
                "n_embed": 24,
                "n_inner": None,
                "num_attention_heads": 4,
                "attention_softmax_in_fp32": True,
                "masked_softmax_fusion": True,
                "offset_alibi": 100,
                "skip_bias_add": True,
            },
        ),
    ],
)
def test_former_spellings_tell_the_same_model(case: str, without: list[str], changes: dict[str, Any]) -> None:
    assert as_computed(read(attributes_of(case, *without, **changes))) == as_computed(
        read(attributes_of(case))
    )


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("opt", {"do_layer_norm_before": False}, ["do_layer_norm_before = False"]),
        ("opt", {"word_embed_proj_dim": 12}, ["word_embed_proj_dim = 12", "24"]),
        ("opt", {"layer_norm_elementwise_affine": False}, ["layer_norm_elementwise_affine"]),
        ("opt", {"layerdrop": 0.1}, ["layerdrop = 0.1"]),
        ("bloom", {"apply_residual_connection_post_layernorm": True}, ["apply_residual_connection"]),
        ("bloom", {"n_embed": 25}, ["n_embed = 25", "hidden_size says otherwise"]),
        ("bloom", {"n_inner": 90}, ["n_inner = 90", "96"]),
        ("bloom", {"n_head": None}, ["lacks 'n_head'"]),
        ("gpt-j", {"rotary": False}, ["rotary = False"]),
        ("gpt-j", {"rotary_dim": 14}, ["rotary width 14", "head_dim 12"]),
        ("gpt-neox", {"hidden_act": "snake"}, ["hidden_act = 'snake'"]),
        ("gpt-neo", {"window_size": 0}, ["no possible model", "greater than 0"]),
        ("gpt-neo", {"num_layers": 5}, ["attention_types", "4 for num_layers = 5"]),
        ("gpt-neo", {"attention_layers": ["local"] * 4}, ["attention_layers"]),
        (
            "gpt-neo",
            {"attention_types": [[["global", "near"], 2]], "attention_layers": None},
            ["known are global and local", "near"],
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(case: str, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(attributes_of(case, **changes))
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_pattern_is_the_shortest_that_repeats() -> None:
    windows = [block.attention.window for block in read(attributes_of("gpt-neo")).pattern]
    assert windows == [None, 5]


def test_branches_side_by_side_share_a_norm_or_have_their_own() -> None:
    shared, own = read(attributes_of("gpt-j")).pattern[0], read(attributes_of("gpt-neox")).pattern[0]
    assert isinstance(shared.wiring, ParallelWiring) and isinstance(own.wiring, ParallelWiring)
    assert (shared.wiring.norm is None, shared.norms.input is None) == (False, True)
    assert (own.wiring.norm is None, own.norms.input is None) == (True, False)


def test_bloom_has_a_longest_sequence_though_its_configuration_does_not() -> None:
    assert read(attributes_of("bloom")).max_seq_len == 20
    assert read(attributes_of("bloom", "seq_length")).max_seq_len == 2048


def test_a_share_of_a_head_comes_back_as_the_same_width() -> None:
    for head_dim in range(2, 513):
        for width in range(2, head_dim, 2):
            assert int(head_dim * share_of(width, head_dim)) == width


@pytest.mark.parametrize("case", ["gpt2", "opt", "bloom", "bloom untied, odd"])
def test_a_file_saved_from_inside_the_head(case: str, tmp_path: Path) -> None:
    """The names of many published files lack their outermost part."""
    whole = transformers.AutoModelForCausalLM.from_config(CASES[case]()).eval()
    whole.base_model.save_pretrained(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert not any(name.startswith(whole.base_model_prefix + ".") for name in weights)
    if not whole.config.tie_word_embeddings:
        with pytest.raises(ConfigError, match=r"lacks tensors: lm_head\.weight$"):
            read_model(tmp_path)
        return
    _, ours = read_model(tmp_path)
    tokens = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(tokens), whole(tokens).logits, atol=1e-5, rtol=1e-5)
