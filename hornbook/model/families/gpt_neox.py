"""GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023): attention and feed-forward side by side.

Each has a norm of its own, positions turn a part of each head, and queries, keys and values are kept as one
matrix, head by head.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import (
    BlockConfig,
    EmbeddingConfig,
    HeadConfig,
    ModelConfig,
    NormSlotsConfig,
    ParallelWiring,
    SequentialWiring,
)
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, read_rotary, written_rotary
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, in_each_block, joined_by_head, same
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, LayerNormConfig, RotaryConfig


def _read(theirs: Reading) -> ModelConfig:
    norm = LayerNormConfig(eps=theirs.take("layer_norm_eps", 1e-5))
    d_model, n_heads = theirs.take("hidden_size"), theirs.take("num_attention_heads")
    max_seq_len, bias = theirs.take("max_position_embeddings", 2048), theirs.take("attention_bias", True)
    dropout = theirs.take("hidden_dropout", 0.0)
    theirs.expect("is_decoder", False, True)  # It is one in either case.
    theirs.take("classifier_dropout", None)  # The head of another task.
    for name in ("attention_probs_dropout_prob", "hidden_dropout_prob"):
        theirs.take(name, None)  # Dropout by names that were never read.
    position = read_rotary(
        theirs,
        max_seq_len,
        d_model // n_heads,
        theta=theirs.take("rotary_emb_base", 10_000.0),
        share=theirs.take("rotary_pct", 0.25),
    )
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=n_heads,
            position=position,
            qkv_bias=bias,
            out_bias=bias,
            dropout=theirs.take("attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("intermediate_size"),
            activation=theirs.choice("hidden_act", ACTIVATIONS, "gelu"),
            bias=True,
        ),
        norms=NormSlotsConfig(input=norm),
        wiring=ParallelWiring() if theirs.take("use_parallel_residual", True) else SequentialWiring(),
        dropout=dropout,
    )
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=d_model,
        n_layers=theirs.take("num_hidden_layers"),
        max_seq_len=max_seq_len,
        pattern=(block,),
        embedding=EmbeddingConfig(dropout=dropout),
        final_norm=norm,
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", False)),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    position = needed(block.attention.position, RotaryConfig, "rotary positions")
    rotary = written_rotary(position, config.head_dim(block))
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": block.attention.n_heads,
        "max_position_embeddings": config.max_seq_len,
        "rotary_emb_base": rotary.pop("rope_theta"),
        "rotary_pct": rotary.pop("partial_rotary_factor", 1.0),
        **rotary,
        "attention_bias": block.attention.qkv_bias,
        "attention_dropout": block.attention.dropout,
        "intermediate_size": feed_forward.d_ff,
        "hidden_act": activation_name(feed_forward.activation),
        "hidden_dropout": block.dropout,
        "layer_norm_eps": needed(config.final_norm, LayerNormConfig, "layer norms").eps,
        "use_parallel_residual": isinstance(block.wiring, ParallelWiring),
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    names = {
        "attention.input_norm": "input_layernorm",
        "attention.layer.out": "attention.dense",
        "feed_forward.input_norm": "post_attention_layernorm",
        "feed_forward.layer.up": "mlp.dense_h_to_4h",
        "feed_forward.layer.down": "mlp.dense_4h_to_h",
    }
    ours, theirs = BLOCK, "gpt_neox.layers.{layer}."
    return [
        same("embedding.tokens.weight", "gpt_neox.embed_in.weight"),
        same("final_norm.{end}", "gpt_neox.final_layer_norm.{end}"),
        same("head.weight", "embed_out.weight"),
        joined_by_head(
            [f"{ours}attention.layer.{name}.{{end}}" for name in "qkv"],
            theirs + "attention.query_key_value.{end}",
            config.head_dim(config.pattern[0]),
        ),
        *in_each_block(theirs, names),
    ]


FAMILIES = with_classifier(
    Family(
        "gpt_neox",
        "GPTNeoXForCausalLM",
        _read,
        _write,
        _rules,
        # A tied matrix once more; causal masks and frequencies, kept as tensors by old versions.
        ignored=r"embed_out\.weight|"
        r"gpt_neox\.layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",
    ),
    "GPTNeoXForSequenceClassification",
)
