"""Qwen3 with a mixture of experts (Qwen team 2025) in place of the feed-forward, in every layer or some."""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import CannotHold, Family, needed
from hornbook.model.families.layers import layers_of, repeating
from hornbook.model.families.llama import (
    IGNORED,
    NAMES,
    named,
    read_attention,
    read_feed_forward,
    read_model,
    read_norm,
    written,
)
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, MixtureConfig, RMSNormConfig


def _read(theirs: Reading) -> ModelConfig:
    dense = read_feed_forward(theirs)
    attention, mixture = _read_attention(theirs), _read_mixture(theirs, dense)
    norms = NormSlotsConfig(input=read_norm(theirs))
    step, dense_layers = theirs.take("decoder_sparse_step", 1), theirs.take("mlp_only_layers", [])
    blocks = [
        BlockConfig(
            attention=attention,
            feed_forward=dense if layer in dense_layers or (layer + 1) % step else mixture,
            norms=norms,
        )
        for layer in range(theirs.take("num_hidden_layers"))
    ]
    return read_model(theirs, *repeating(blocks))


def _read_attention(theirs: Reading) -> AttentionConfig:
    """Attention as in the dense models; a window is in all layers or in none."""
    window = theirs.given("sliding_window", 4096)
    window = window if theirs.take("use_sliding_window", False) else None
    if window is None:
        theirs.take("max_window_layers", None)  # It says nothing while no window is used.
    else:
        theirs.expect("max_window_layers", None, 0)  # Some versions read it, some do not.
    bias = theirs.take("attention_bias", False)
    return read_attention(theirs, qk_norm=read_norm(theirs), qkv_bias=bias, out_bias=bias, window=window)


def _read_mixture(theirs: Reading, dense: FeedForwardConfig) -> MixtureConfig:
    """The mixture, the experts of which differ from the dense feed-forward in width."""
    theirs.take("output_router_logits", None)  # What is returned beside the logits.
    return MixtureConfig(
        expert=dense.model_copy(update={"d_ff": theirs.take("moe_intermediate_size", 768)}),
        n_experts=theirs.take("num_experts", theirs.take("num_local_experts", 128)),
        n_chosen=theirs.take("num_experts_per_tok", 8),
        normalise=theirs.take("norm_topk_prob", False),
        balance=theirs.take("router_aux_loss_coef", 0.001),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    layers = layers_of(config)
    attention, parts = layers[0].attention, [block.feed_forward for block in layers]
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    needed(attention.qk_norm, RMSNormConfig, "norms of queries and keys")
    mixture = next((part for part in parts if isinstance(part, MixtureConfig)), None)
    if mixture is None:
        raise CannotHold("it has a mixture of experts")
    dense = next((part for part in parts if isinstance(part, FeedForwardConfig)), mixture.expert)
    return {
        **written(config, layers[0].model_copy(update={"feed_forward": dense})),
        "attention_bias": attention.qkv_bias,
        "use_sliding_window": attention.window is not None,
        "sliding_window": attention.window,
        "max_window_layers": 0,
        "mlp_only_layers": [layer for layer, part in enumerate(parts) if not isinstance(part, MixtureConfig)],
        "moe_intermediate_size": mixture.expert.d_ff,
        "num_experts": mixture.n_experts,
        "num_experts_per_tok": mixture.n_chosen,
        "norm_topk_prob": mixture.normalise,
        "router_aux_loss_coef": mixture.balance,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    ours, theirs = "feed_forward.layer.", "mlp."
    experts = {
        f"{ours}experts.{{expert}}.{part}": f"{theirs}experts.{{expert}}.{part}_proj"
        for part in ("gate", "up", "down")
    }
    return named(NAMES | {f"{ours}router": f"{theirs}gate"} | experts)


FAMILIES = with_classifier(
    Family("qwen3_moe", "Qwen3MoeForCausalLM", _read, _write, _rules, IGNORED),
    "Qwen3MoeForSequenceClassification",
)
