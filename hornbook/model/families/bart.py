"""BART (Lewis et al. 2020): the encoder-decoder of Vaswani et al. 2017 with learned positions, and norms over
the embeddings.

The matrices of positions begin with two rows that no token reads. What is added to the logits is a constant
in theirs, and learned here.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from hornbook.model.config import (
    BlockConfig,
    DecoderConfig,
    EmbeddingConfig,
    HeadConfig,
    NormSlotsConfig,
    StackConfig,
)
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, take_either
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, Tensors, after_rows, in_each_block, same
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)
from hornbook.model.seq2seq_config import Seq2SeqConfig

SIDES = ("encoder", "decoder")
ROWS_BEFORE = 2
"""Rows of the matrix of positions that no real token ever reads."""
IGNORED = r"model\.shared\.weight|(model\.)?(encoder|decoder)\.version|final_logits_bias"
"""A table beside those that are computed with, and a number in old files; the bias is called so even in files
whose other names lack the first word."""


def _read(theirs: Reading) -> Seq2SeqConfig:
    for name, *allowed in (
        ("normalize_embedding", True),
        ("static_position_embeddings", False),
        ("extra_pos_embeddings", ROWS_BEFORE),
    ):
        theirs.expect(name, *allowed)  # In old files.
    vocab_size, tied = theirs.take("vocab_size"), theirs.take("tie_word_embeddings", True)
    embedding = EmbeddingConfig(position=LearnedPositionConfig(), norm=LayerNormConfig())
    return Seq2SeqConfig(
        encoder=StackConfig(**read_stack(theirs, "encoder", vocab_size, embedding)),
        decoder=DecoderConfig(
            **read_stack(theirs, "decoder", vocab_size, embedding), head=HeadConfig(tied=tied, bias=True)
        ),
        shared_embedding=tied,
        start_token=theirs.take("decoder_start_token_id", 2),
    )


def read_stack(theirs: Reading, side: str, vocab_size: int, embedding: EmbeddingConfig) -> dict[str, Any]:
    """The fields of the encoder or of the decoder; its embedding is told but for scale and dropout."""
    _pass_over(theirs)
    theirs.expect(f"{side}_layerdrop", 0.0)
    d_model, dropout = theirs.take("d_model"), theirs.take("dropout", 0.1)
    attention = AttentionConfig(
        n_heads=theirs.take(f"{side}_attention_heads"),
        qkv_bias=True,
        out_bias=True,
        dropout=theirs.take("attention_dropout", 0.0),
    )
    block = BlockConfig(
        attention=attention,
        cross_attention=attention if side == "decoder" else None,
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take(f"{side}_ffn_dim"),
            activation=theirs.choice("activation_function", ACTIVATIONS, "gelu"),
            bias=True,
            dropout=theirs.take("activation_dropout", 0.0),
        ),
        norms=NormSlotsConfig(residual=LayerNormConfig()),
        dropout=dropout,
    )
    scale = math.sqrt(d_model) if theirs.take("scale_embedding", False) else None
    n_layers = {
        "encoder": take_either(theirs, "encoder_layers", "num_hidden_layers"),
        "decoder": theirs.take("decoder_layers"),
    }
    return {
        "vocab_size": vocab_size,
        "d_model": d_model,
        "n_layers": n_layers[side],
        "max_seq_len": theirs.take("max_position_embeddings", 1024),
        "pattern": (block,),
        "embedding": embedding.model_copy(update={"scale": scale, "dropout": dropout}),
        "final_norm": None,
    }


def _pass_over(theirs: Reading) -> None:
    """What is the same in all models of these families, and what is never read."""
    theirs.expect("is_encoder_decoder", True)
    for name in ("is_decoder", "add_cross_attention", "tie_encoder_decoder", "normalize_before",
                 "add_final_layer_norm", "do_blenderbot_90_layernorm"):  # fmt: skip
        theirs.expect(name, False)
    for name in ("init_std", "add_bias_logits", "classif_dropout", "classifier_dropout", "_num_labels",
                 "output_past", "force_bos_token_to_be_generated"):  # fmt: skip
        theirs.take(name, None)


def _write(config: Seq2SeqConfig) -> dict[str, Any]:
    return written_stacks(config)


def written_stacks(config: Seq2SeqConfig) -> dict[str, Any]:
    """The attributes of both stacks, and of what both have alike."""
    encoder = config.encoder
    block = only_block(encoder)
    attributes = {
        "vocab_size": encoder.vocab_size,
        "d_model": encoder.d_model,
        "max_position_embeddings": encoder.max_seq_len,
        "activation_function": activation_name(_feed_forward(block).activation),
        "scale_embedding": encoder.embedding.scale is not None,
        "dropout": block.dropout,
        "attention_dropout": block.attention.dropout,
        "activation_dropout": _feed_forward(block).dropout,
        "is_encoder_decoder": True,
        "decoder_start_token_id": config.start_token,
        "tie_word_embeddings": config.decoder.head.tied,
        # By default one token's embedding would not be learned, and texts would be made to end with one.
        "pad_token_id": None,
        "forced_eos_token_id": None,
    }
    stacks: tuple[StackConfig, StackConfig] = (encoder, config.decoder)
    for side, stack in zip(SIDES, stacks, strict=True):
        own = only_block(stack)
        attributes[f"{side}_layers"] = stack.n_layers
        attributes[f"{side}_attention_heads"] = own.attention.n_heads
        attributes[f"{side}_ffn_dim"] = _feed_forward(own).d_ff
    return attributes


def _feed_forward(block: BlockConfig) -> FeedForwardConfig:
    return needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")


def _rules(config: Seq2SeqConfig) -> list[Rule]:
    return [
        *common_rules(config),
        *(
            after_rows(
                f"{side}.embedding.positions.weight", f"model.{side}.embed_positions.weight", ROWS_BEFORE
            )
            for side in SIDES
        ),
        *(
            same(f"{side}.embedding.norm.{{end}}", f"model.{side}.layernorm_embedding.{{end}}")
            for side in SIDES
        ),
    ]


def common_rules(config: Seq2SeqConfig) -> list[Rule]:
    """The names of all tensors but those of positions and of norms over embeddings."""
    tables = [f"model.{side}.embed_tokens.weight" for side in SIDES]
    head = ["lm_head.weight"] if config.decoder.head.tied else []
    if config.shared_embedding:
        named = [same("encoder.embedding.tokens.weight", "model.shared.weight", *tables, *head)]
    else:
        named = [
            same("encoder.embedding.tokens.weight", tables[0]),
            same("decoder.embedding.tokens.weight", tables[1], *head),
        ]
    bias = Rule(
        ("decoder.head.bias",),
        ("final_logits_bias",),
        lambda tensors: [tensors[0].flatten()],
        lambda tensors: [tensors[0].unsqueeze(0)],
    )
    return [
        *named,
        same("decoder.head.weight", "lm_head.weight"),
        bias,
        *(rule for side in SIDES for rule in _block_rules(side)),
    ]


def _block_rules(side: str) -> list[Rule]:
    names = {
        "feed_forward.layer.up": "fc1",
        "feed_forward.layer.down": "fc2",
        "feed_forward.residual_norm": "final_layer_norm",
    }
    for ours, theirs in (("attention", "self_attn"), ("cross_attention", "encoder_attn")):
        names[f"{ours}.residual_norm"] = f"{theirs}_layer_norm"
        for part in ("q", "k", "v", "out"):
            names[f"{ours}.layer.{part}"] = f"{theirs}.{part}_proj"
    return in_each_block(f"model.{side}.layers.{{layer}}.", names, f"{side}.{BLOCK}")


def renewed(tensors: Tensors) -> dict[str, Tensor]:
    """A table for each side, and a bias of zeros where a file was saved without its head.

    Version 4 of transformers has one table for both sides even where the output matrix is its own.
    """
    made = dict(tensors)
    begin = "model." if any(name.startswith("model.") for name in made) else ""
    for side in SIDES:
        if f"{begin}shared.weight" in made:
            made.setdefault(f"{begin}{side}.embed_tokens.weight", made[f"{begin}shared.weight"])
    table = made.get(f"{begin}decoder.embed_tokens.weight")
    if table is not None:
        made.setdefault("final_logits_bias", table.new_zeros(1, table.size(0)))
    return made


FAMILIES = (
    Family(
        "bart",
        "BartForConditionalGeneration",
        _read,
        _write,
        _rules,
        ignored=IGNORED,
        shape=Seq2SeqConfig,
        renewed=renewed,
        also=("BartModel",),
    ),
)
