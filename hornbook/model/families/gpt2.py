"""GPT-2 (Radford et al. 2019): layer norms before each branch, learned positions, one matrix for both ends.

Matrices are kept as [in, out], and queries, keys and values as one of them.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, EmbeddingConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, pass_over_summary
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, joined, same, transposed
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)


def _read(theirs: Reading) -> ModelConfig:
    norm = LayerNormConfig(eps=theirs.take("layer_norm_epsilon", 1e-5))
    d_model, n_heads = theirs.take("n_embd"), theirs.take("n_head")
    for name, *allowed in (
        ("scale_attn_weights", True),
        ("add_cross_attention", False),
        ("is_decoder", False),
    ):
        theirs.expect(name, *allowed)
    theirs.expect("scale_attn_by_inverse_layer_idx", False)
    # The order of two products, which gives the same numbers but for rounding.
    theirs.expect("reorder_and_upcast_attn", False, True)
    pass_over_summary(theirs)
    theirs.take("n_ctx", None)  # n_positions under its former name.
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=d_model,
        n_layers=theirs.take("n_layer"),
        max_seq_len=theirs.take("n_positions"),
        pattern=(
            BlockConfig(
                attention=AttentionConfig(
                    n_heads=n_heads, qkv_bias=True, out_bias=True, dropout=theirs.take("attn_pdrop", 0.1)
                ),
                feed_forward=FeedForwardConfig(
                    d_ff=theirs.take("n_inner", 4 * d_model),
                    activation=theirs.choice("activation_function", ACTIVATIONS, "gelu_new"),
                    bias=True,
                ),
                norms=NormSlotsConfig(input=norm),
                dropout=theirs.take("resid_pdrop", 0.1),
            ),
        ),
        embedding=EmbeddingConfig(position=LearnedPositionConfig(), dropout=theirs.take("embd_pdrop", 0.1)),
        final_norm=norm,
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", True)),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": block.attention.n_heads,
        "n_positions": config.max_seq_len,
        "n_inner": feed_forward.d_ff,
        "activation_function": activation_name(feed_forward.activation),
        "layer_norm_epsilon": needed(config.final_norm, LayerNormConfig, "layer norms").eps,
        "attn_pdrop": block.attention.dropout,
        "resid_pdrop": block.dropout,
        "embd_pdrop": config.embedding.dropout,
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    layer = "transformer.h.{layer}."
    return [
        same("embedding.tokens.weight", "transformer.wte.weight"),
        same("embedding.positions.weight", "transformer.wpe.weight"),
        same("final_norm.{end}", "transformer.ln_f.{end}"),
        same("head.weight", "lm_head.weight"),
        same("blocks.{layer}.attention.input_norm.{end}", layer + "ln_1.{end}"),
        joined(
            [f"blocks.{{layer}}.attention.layer.{name}.{{end}}" for name in "qkv"],
            layer + "attn.c_attn.{end}",
            is_transposed=True,
        ),
        transposed("blocks.{layer}.attention.layer.out.{end}", layer + "attn.c_proj.{end}"),
        same("blocks.{layer}.feed_forward.input_norm.{end}", layer + "ln_2.{end}"),
        transposed("blocks.{layer}.feed_forward.layer.up.{end}", layer + "mlp.c_fc.{end}"),
        transposed("blocks.{layer}.feed_forward.layer.down.{end}", layer + "mlp.c_proj.{end}"),
    ]


FAMILIES = with_classifier(
    Family(
        "gpt2",
        "GPT2LMHeadModel",
        _read,
        _write,
        _rules,
        # Causal masks, kept as tensors by old versions.
        ignored=r"lm_head\.weight|transformer\.h\.\d+\.attn\.(masked_)?bias",
    ),
    "GPT2ForSequenceClassification",
)
