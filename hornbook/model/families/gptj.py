"""GPT-J (Wang and Komatsuzaki 2021): attention and feed-forward side by side, behind one norm.

Rotary positions turn pairs of neighbours in the first part of each head.
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
)
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, pass_over_summary
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, in_each_block, rotary_in_turns, same
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, LayerNormConfig, RotaryConfig


def _read(theirs: Reading) -> ModelConfig:
    norm = LayerNormConfig(eps=theirs.take("layer_norm_epsilon", 1e-5))
    d_model = theirs.take("n_embd")
    theirs.expect("rotary", True)
    theirs.expect("scale_attn_weights", True)
    pass_over_summary(theirs)
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=theirs.take("n_head"),
            position=RotaryConfig(width=theirs.given("rotary_dim", 64)),
            dropout=theirs.take("attn_pdrop", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("n_inner", 4 * d_model),
            activation=theirs.choice("activation_function", ACTIVATIONS, "gelu_new"),
            bias=True,
        ),
        norms=NormSlotsConfig(),
        wiring=ParallelWiring(norm=norm),
        dropout=theirs.take("resid_pdrop", 0.0),
    )
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=d_model,
        n_layers=theirs.take("n_layer"),
        max_seq_len=theirs.take("n_positions", 2048),
        pattern=(block,),
        embedding=EmbeddingConfig(dropout=theirs.take("embd_pdrop", 0.0)),
        final_norm=norm,
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", False), bias=True),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    block = only_block(config)
    position = needed(block.attention.position, RotaryConfig, "rotary positions")
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": block.attention.n_heads,
        "n_positions": config.max_seq_len,
        "rotary_dim": position.width or config.head_dim(block),
        "n_inner": feed_forward.d_ff,
        "activation_function": activation_name(feed_forward.activation),
        "layer_norm_epsilon": needed(config.final_norm, LayerNormConfig, "layer norms").eps,
        "attn_pdrop": block.attention.dropout,
        "resid_pdrop": block.dropout,
        "embd_pdrop": config.embedding.dropout,
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    block = config.pattern[0]
    position = needed(block.attention.position, RotaryConfig, "rotary positions")
    head_dim = config.head_dim(block)
    ours, theirs = BLOCK, "transformer.h.{layer}."
    names = {
        "norm": "ln_1",
        "attention.layer.v": "attn.v_proj",
        "attention.layer.out": "attn.out_proj",
        "feed_forward.layer.up": "mlp.fc_in",
        "feed_forward.layer.down": "mlp.fc_out",
    }
    turned = {
        "attention.layer.q.weight": "attn.q_proj.weight",
        "attention.layer.k.weight": "attn.k_proj.weight",
    }
    return [
        same("embedding.tokens.weight", "transformer.wte.weight"),
        same("final_norm.{end}", "transformer.ln_f.{end}"),
        same("head.{end}", "lm_head.{end}"),
        *(
            rotary_in_turns(ours + name, theirs + other, head_dim, position.width or head_dim)
            for name, other in turned.items()
        ),
        *in_each_block(theirs, names),
    ]


FAMILIES = with_classifier(
    Family(
        "gptj",
        "GPTJForCausalLM",
        _read,
        _write,
        _rules,
        # Causal masks, kept as tensors by old versions.
        ignored=r"lm_head\.weight|transformer\.h\.\d+\.attn\.(masked_)?bias",
    ),
    "GPTJForSequenceClassification",
)
