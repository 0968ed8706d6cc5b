"""OPT (Zhang et al. 2022): as GPT-2 with relu, and two rows before the first learned position.

The sizes whose norms stand after the sum, or whose embeddings are narrower than the model, are refused.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, EmbeddingConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, after_rows, in_each_block, same
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)

ROWS_BEFORE = 2
"""Rows of the matrix of positions that no real token ever reads."""


def _read(theirs: Reading) -> ModelConfig:
    norm = LayerNormConfig()
    d_model, bias = theirs.take("hidden_size"), theirs.take("enable_bias", True)
    dropout = theirs.take("dropout", 0.1)
    theirs.expect("do_layer_norm_before", True)
    theirs.expect("word_embed_proj_dim", d_model, None)
    theirs.expect("layer_norm_elementwise_affine", True)
    theirs.expect("layerdrop", 0.0)
    for name, only in (
        ("activation_dropout", 0.0),
        ("learned_embeddings", True),
        ("scale_embeddings", False),
    ):
        theirs.expect(name, only)  # In old files; never read.
    theirs.take("init_std", None)
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=theirs.take("num_attention_heads"),
            qkv_bias=bias,
            out_bias=bias,
            dropout=theirs.take("attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("ffn_dim"),
            activation=theirs.choice("activation_function", ACTIVATIONS, "relu"),
            bias=bias,
        ),
        norms=NormSlotsConfig(input=norm),
        dropout=dropout,
    )
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=d_model,
        n_layers=theirs.take("num_hidden_layers"),
        max_seq_len=theirs.take("max_position_embeddings", 2048),
        pattern=(block,),
        # Theirs has no dropout here.
        embedding=EmbeddingConfig(position=LearnedPositionConfig()),
        final_norm=None if theirs.take("_remove_final_layer_norm", False) else norm,
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", True)),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "word_embed_proj_dim": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": block.attention.n_heads,
        "max_position_embeddings": config.max_seq_len,
        "ffn_dim": feed_forward.d_ff,
        "activation_function": activation_name(feed_forward.activation),
        "enable_bias": block.attention.qkv_bias,
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": config.final_norm is None,
        "attention_dropout": block.attention.dropout,
        "dropout": block.dropout,
        "pad_token_id": None,  # By default one token's embedding would not be learned.
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    names = {
        "attention.input_norm": "self_attn_layer_norm",
        "attention.layer.q": "self_attn.q_proj",
        "attention.layer.k": "self_attn.k_proj",
        "attention.layer.v": "self_attn.v_proj",
        "attention.layer.out": "self_attn.out_proj",
        "feed_forward.input_norm": "final_layer_norm",
        "feed_forward.layer.up": "fc1",
        "feed_forward.layer.down": "fc2",
    }
    return [
        same("embedding.tokens.weight", "model.decoder.embed_tokens.weight"),
        after_rows("embedding.positions.weight", "model.decoder.embed_positions.weight", ROWS_BEFORE),
        same("final_norm.{end}", "model.decoder.final_layer_norm.{end}"),
        same("head.weight", "lm_head.weight"),
        *in_each_block("model.decoder.layers.{layer}.", names),
    ]


FAMILIES = with_classifier(
    Family("opt", "OPTForCausalLM", _read, _write, _rules), "OPTForSequenceClassification"
)
