"""BLOOM (Le Scao et al. 2022): ALiBi, a norm over the embeddings, queries, keys and values kept head by head.

Its configuration names no longest sequence, for ALiBi has none. Here a model has one: `seq_length`, which the
first configurations carry, or else the length that BLOOM was trained with.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, EmbeddingConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import take_either
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, in_each_block, joined_by_head, same
from hornbook.model.part_config import AlibiConfig, AttentionConfig, FeedForwardConfig, LayerNormConfig

TRAINED_LEN = 2048
"""The longest sequence where a configuration says nothing, in tokens."""


def _read(theirs: Reading) -> ModelConfig:
    norm = LayerNormConfig(eps=theirs.take("layer_norm_epsilon", 1e-5))
    d_model = take_either(theirs, "hidden_size", "n_embed")
    theirs.expect("apply_residual_connection_post_layernorm", False)
    theirs.expect("n_inner", None, 4 * d_model)
    theirs.expect("slow_but_exact", False, True)  # The order of a sum.
    for name in (
        "attention_softmax_in_fp32", "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi",
        "skip_bias_add", "skip_bias_add_qkv",
    ):  # fmt: skip
        theirs.take(name, None)  # How its training was programmed.
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=take_either(theirs, "n_head", "num_attention_heads"),
            position=AlibiConfig(),
            qkv_bias=True,
            out_bias=True,
            dropout=theirs.take("attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(d_ff=4 * d_model, activation="gelu_tanh", bias=True),
        norms=NormSlotsConfig(input=norm),
        dropout=theirs.take("hidden_dropout", 0.0),
    )
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=d_model,
        n_layers=take_either(theirs, "n_layer", "num_hidden_layers"),
        max_seq_len=theirs.take("seq_length", TRAINED_LEN),
        pattern=(block,),
        embedding=EmbeddingConfig(norm=norm),
        final_norm=norm,
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", True)),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "n_layer": config.n_layers,
        "n_head": block.attention.n_heads,
        "seq_length": config.max_seq_len,
        "layer_norm_epsilon": needed(config.final_norm, LayerNormConfig, "layer norms").eps,
        "attention_dropout": block.attention.dropout,
        "hidden_dropout": block.dropout,
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    names = {
        "attention.input_norm": "input_layernorm",
        "attention.layer.out": "self_attention.dense",
        "feed_forward.input_norm": "post_attention_layernorm",
        "feed_forward.layer.up": "mlp.dense_h_to_4h",
        "feed_forward.layer.down": "mlp.dense_4h_to_h",
    }
    ours, theirs = BLOCK, "transformer.h.{layer}."
    return [
        same("embedding.tokens.weight", "transformer.word_embeddings.weight"),
        same("embedding.norm.{end}", "transformer.word_embeddings_layernorm.{end}"),
        same("final_norm.{end}", "transformer.ln_f.{end}"),
        same("head.weight", "lm_head.weight"),
        joined_by_head(
            [f"{ours}attention.layer.{name}.{{end}}" for name in "qkv"],
            theirs + "self_attention.query_key_value.{end}",
            config.head_dim(config.pattern[0]),
        ),
        *in_each_block(theirs, names),
    ]


FAMILIES = with_classifier(
    Family("bloom", "BloomForCausalLM", _read, _write, _rules), "BloomForSequenceClassification"
)
