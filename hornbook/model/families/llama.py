"""Llama 1, 2 and 3 (Touvron et al. 2023; Dubey et al. 2024): RMS norms, rotary positions, gated feed-forward.

Many families after it keep its names; they use what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbook.model.config import BlockConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, read_rotary, written_rotary
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, in_each_block, same
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, RMSNormConfig, RotaryConfig


def read_attention(theirs: Reading, theta: float = 10_000.0, **more: Any) -> AttentionConfig:
    """Attention by the names of this family; what others add, or read by other names, is given.

    `theta` is the rotary base where nothing is said.
    """
    n_heads = theirs.take("num_attention_heads")
    head_dim = theirs.take("head_dim", theirs.take("hidden_size") // n_heads)
    fields = {
        "n_heads": n_heads,
        "n_kv_heads": theirs.take("num_key_value_heads", n_heads),
        "head_dim": head_dim,
        "dropout": theirs.take("attention_dropout", 0.0),
    }
    if "position" not in more:
        position = read_rotary(theirs, theirs.take("max_position_embeddings"), head_dim, theta)
        if position.width is not None:
            # It is read there, and then does nothing, or only where positions are scaled.
            raise theirs.refusal(
                "partial_rotary_factor", position.width / head_dim, "all of a head is turned"
            )
        fields["position"] = position
    return AttentionConfig(**fields | more)


def read_feed_forward(theirs: Reading, bias: bool = False) -> FeedForwardConfig:
    """The gated feed-forward by the names of this family."""
    return FeedForwardConfig(
        d_ff=theirs.take("intermediate_size"),
        activation=theirs.choice("hidden_act", ACTIVATIONS, "silu"),
        gated=True,
        bias=bias,
    )


def read_model(theirs: Reading, *pattern: BlockConfig, tied: bool = False, **more: Any) -> ModelConfig:
    """The model around the blocks, by the names of this family; `tied` where nothing is said.

    What others add, or have otherwise, is given.
    """
    fields = {
        "vocab_size": theirs.take("vocab_size"),
        "d_model": theirs.take("hidden_size"),
        "n_layers": theirs.take("num_hidden_layers"),
        "max_seq_len": theirs.take("max_position_embeddings"),
        "pattern": pattern,
        "final_norm": read_norm(theirs),
        "head": HeadConfig(tied=theirs.take("tie_word_embeddings", tied)),
    }
    return ModelConfig(**fields | more)


def read_norm(theirs: Reading, eps: float = 1e-6) -> RMSNormConfig:
    """The norm that this family has everywhere; `eps` where nothing is said."""
    return RMSNormConfig(eps=theirs.take("rms_norm_eps", eps))


def _read(theirs: Reading) -> ModelConfig:
    bias = theirs.take("attention_bias", False)
    block = BlockConfig(
        attention=read_attention(theirs, qkv_bias=bias, out_bias=bias),
        feed_forward=read_feed_forward(theirs, theirs.take("mlp_bias", False)),
        norms=NormSlotsConfig(input=read_norm(theirs)),
    )
    return read_model(theirs, block)


SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Said to be none: where nothing is said they are those of the published model, with its large vocabulary."""


def written(config: ModelConfig, block: BlockConfig | None = None) -> dict[str, Any]:
    """The attributes that all families of these names share.

    Where the layers differ, `block` has what they have in common; None takes the first.
    """
    block = config.pattern[0] if block is None else block
    attention = block.attention
    position = needed(attention.position, RotaryConfig, "rotary positions")
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    head_dim = config.head_dim(block)
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "max_position_embeddings": config.max_seq_len,
        "num_attention_heads": attention.n_heads,
        "num_key_value_heads": attention.n_kv_heads or attention.n_heads,
        "head_dim": head_dim,
        **written_rotary(position, head_dim),
        "attention_dropout": attention.dropout,
        "intermediate_size": feed_forward.d_ff,
        "hidden_act": activation_name(feed_forward.activation),
        "rms_norm_eps": getattr(config.final_norm, "eps", None),
        "tie_word_embeddings": config.head.tied,
        **dict.fromkeys(SPECIAL_TOKENS),
    }


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    needed(config.final_norm, RMSNormConfig, "RMS norms")
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        **written(config),
        "attention_bias": block.attention.qkv_bias,
        "mlp_bias": feed_forward.bias,
    }


NAMES = {
    "attention.input_norm": "input_layernorm",
    "attention.layer.q": "self_attn.q_proj",
    "attention.layer.k": "self_attn.k_proj",
    "attention.layer.v": "self_attn.v_proj",
    "attention.layer.out": "self_attn.o_proj",
    "attention.layer.q_norm": "self_attn.q_norm",
    "attention.layer.k_norm": "self_attn.k_norm",
    "feed_forward.input_norm": "post_attention_layernorm",
    "feed_forward.layer.gate": "mlp.gate_proj",
    "feed_forward.layer.up": "mlp.up_proj",
    "feed_forward.layer.down": "mlp.down_proj",
}
"""The parts of a block, those that only some of the families have with them."""

OUTPUT_NORM_NAMES = {
    "attention.output_norm": "post_attention_layernorm",
    "feed_forward.input_norm": "pre_feedforward_layernorm",
    "feed_forward.output_norm": "post_feedforward_layernorm",
}
"""Norms in a block that has some at the end of its branches; one of the names above means another then."""


def named(names: Mapping[str, str]) -> list[Rule]:
    """Rules for a model whose blocks have parts of these names."""
    return [
        same("embedding.tokens.weight", "model.embed_tokens.weight"),
        same("final_norm.weight", "model.norm.weight"),
        same("head.weight", "lm_head.weight"),
        *in_each_block("model.layers.{layer}.", names),
    ]


def rules(config: ModelConfig) -> list[Rule]:
    """The names of tensors."""
    return named(NAMES)


def output_norm_rules(config: ModelConfig) -> list[Rule]:
    """The names of tensors in families with norms at the end of a branch."""
    return named(NAMES | OUTPUT_NORM_NAMES)


IGNORED = r"lm_head\.weight|model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq|model\.rotary_emb\.inv_freq"
"""A tied matrix once more, and frequencies, which follow from the configuration."""

FAMILIES = with_classifier(
    Family("llama", "LlamaForCausalLM", _read, _write, rules, IGNORED), "LlamaForSequenceClassification"
)
