"""GPT-Neo (Black et al. 2021): as GPT-2, every other layer looking back through a window, scores unscaled."""

from __future__ import annotations

from typing import Any

from hornbook.model.config import BlockConfig, EmbeddingConfig, HeadConfig, ModelConfig, NormSlotsConfig
from hornbook.model.families.classes import with_classifier
from hornbook.model.families.family import CannotHold, Family, needed
from hornbook.model.families.layers import layers_of, repeating
from hornbook.model.families.names import ACTIVATIONS, activation_name, pass_over_summary
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, in_each_block, same
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)


def _read(theirs: Reading) -> ModelConfig:
    n_layers = theirs.take("num_layers")
    blocks = {"global": _block(theirs, None), "local": _block(theirs, theirs.take("window_size", 256))}
    pass_over_summary(theirs)
    return ModelConfig(
        vocab_size=theirs.take("vocab_size"),
        d_model=theirs.take("hidden_size"),
        n_layers=n_layers,
        max_seq_len=theirs.take("max_position_embeddings", 2048),
        pattern=repeating([blocks[kind] for kind in _kinds(theirs, n_layers)]),
        embedding=EmbeddingConfig(
            position=LearnedPositionConfig(), dropout=theirs.take("embed_dropout", 0.0)
        ),
        final_norm=_norm(theirs),
        head=HeadConfig(tied=theirs.take("tie_word_embeddings", True)),
    )


def _norm(theirs: Reading) -> LayerNormConfig:
    return LayerNormConfig(eps=theirs.take("layer_norm_epsilon", 1e-5))


def _block(theirs: Reading, window: int | None) -> BlockConfig:
    return BlockConfig(
        attention=AttentionConfig(
            n_heads=theirs.take("num_heads"),
            scale=1.0,
            out_bias=True,
            window=window,
            dropout=theirs.take("attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("intermediate_size", 4 * theirs.take("hidden_size")),
            activation=theirs.choice("activation_function", ACTIVATIONS, "gelu_new"),
            bias=True,
        ),
        norms=NormSlotsConfig(input=_norm(theirs)),
        dropout=theirs.take("resid_dropout", 0.0),
    )


def _kinds(theirs: Reading, n_layers: int) -> list[str]:
    """`global` or `local` for each layer, from runs of them: [[["global", "local"], 12]]."""
    runs = theirs.take("attention_types", [[["global", "local"], 12]])
    kinds = [kind for run, times in runs for kind in list(run) * times]
    theirs.expect("attention_layers", kinds, None)  # The same, spelled out.
    if len(kinds) != n_layers:
        raise theirs.refusal("attention_types", runs, f"they are {len(kinds)} for num_layers = {n_layers}")
    if unknown := set(kinds) - {"global", "local"}:
        raise theirs.refusal("attention_types", runs, f"known are global and local, not {sorted(unknown)}")
    return kinds


def _write(config: ModelConfig) -> dict[str, Any]:
    block = config.pattern[0]
    windows = [each.attention.window for each in layers_of(config)]
    kinds = ["global" if window is None else "local" for window in windows]
    sizes = {window for window in windows if window is not None}
    if len(sizes) > 1:
        raise CannotHold(f"its windows are all of one size, not {sorted(sizes)}")
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_layers": config.n_layers,
        "num_heads": block.attention.n_heads,
        "max_position_embeddings": config.max_seq_len,
        "attention_types": [[kinds, 1]],
        "attention_layers": kinds,
        "window_size": max(sizes, default=256),
        "intermediate_size": feed_forward.d_ff,
        "activation_function": activation_name(feed_forward.activation),
        "layer_norm_epsilon": needed(config.final_norm, LayerNormConfig, "layer norms").eps,
        "attention_dropout": block.attention.dropout,
        "resid_dropout": block.dropout,
        "embed_dropout": config.embedding.dropout,
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: ModelConfig) -> list[Rule]:
    names = {
        "attention.input_norm": "ln_1",
        "attention.layer.q": "attn.attention.q_proj",
        "attention.layer.k": "attn.attention.k_proj",
        "attention.layer.v": "attn.attention.v_proj",
        "attention.layer.out": "attn.attention.out_proj",
        "feed_forward.input_norm": "ln_2",
        "feed_forward.layer.up": "mlp.c_fc",
        "feed_forward.layer.down": "mlp.c_proj",
    }
    return [
        same("embedding.tokens.weight", "transformer.wte.weight"),
        same("embedding.positions.weight", "transformer.wpe.weight"),
        same("final_norm.{end}", "transformer.ln_f.{end}"),
        same("head.weight", "lm_head.weight"),
        *in_each_block("transformer.h.{layer}.", names),
    ]


FAMILIES = with_classifier(
    Family(
        "gpt_neo",
        "GPTNeoForCausalLM",
        _read,
        _write,
        _rules,
        # Causal masks, kept as tensors by old versions.
        ignored=r"lm_head\.weight|transformer\.h\.\d+\.attn\.attention\.(masked_)?bias",
    ),
    "GPTNeoForSequenceClassification",
)
