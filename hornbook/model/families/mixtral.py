"""Mixtral (Jiang et al. 2024): as Mistral, with a mixture of experts in place of each feed-forward."""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
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
from hornbook.model.part_config import MixtureConfig, RMSNormConfig


def _read(theirs: Reading) -> ModelConfig:
    norm = read_norm(theirs, eps=1e-5)
    theirs.expect("router_jitter_noise", 0.0)
    theirs.take("output_router_logits", None)  # What is returned beside the logits.
    block = BlockConfig(
        attention=read_attention(theirs, 1_000_000.0, window=theirs.take("sliding_window", None)),
        feed_forward=MixtureConfig(
            expert=read_feed_forward(theirs),
            n_experts=theirs.take("num_local_experts", 8),
            n_chosen=theirs.take("num_experts_per_tok", 2),
            balance=theirs.take("router_aux_loss_coef", 0.001),
        ),
        norms=NormSlotsConfig(input=norm),
    )
    return read_model(theirs, block, final_norm=norm)


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    mixture = needed(block.feed_forward, MixtureConfig, "a mixture of experts")
    return {
        **written(config, block.model_copy(update={"feed_forward": mixture.expert})),
        "sliding_window": block.attention.window,
        "num_local_experts": mixture.n_experts,
        "num_experts_per_tok": mixture.n_chosen,
        "router_aux_loss_coef": mixture.balance,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    ours, theirs = "feed_forward.layer.", "block_sparse_moe."
    return named(
        NAMES
        | {
            f"{ours}router": f"{theirs}gate",
            f"{ours}experts.{{expert}}.gate": f"{theirs}experts.{{expert}}.w1",
            f"{ours}experts.{{expert}}.up": f"{theirs}experts.{{expert}}.w3",
            f"{ours}experts.{{expert}}.down": f"{theirs}experts.{{expert}}.w2",
        }
    )


FAMILIES = with_classifier(
    Family("mixtral", "MixtralForCausalLM", _read, _write, _rules, IGNORED),
    "MixtralForSequenceClassification",
)
