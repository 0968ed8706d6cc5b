"""T5 (Raffel et al. 2020) and its version 1.1: an encoder-decoder with RMS norms and biases by distance.

The first version has one matrix for all ends and divides the logits by sqrt(d_model); version 1.1 has an
output matrix of its own and gated layers, and does not. Distances have no end, so theirs takes any number of
tokens: here `n_positions`, which theirs never reads, says how many, and where it is absent they are 512, as
in its training. Theirs also drops some of what the last norms give, in training.
"""

from __future__ import annotations

from typing import Any

from hornbook.model.config import (
    BlockConfig,
    DecoderConfig,
    EmbeddingConfig,
    HeadConfig,
    NormSlotsConfig,
    StackConfig,
)
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, Tensors, in_each_block, same
from hornbook.model.part_config import (
    Activation,
    AttentionConfig,
    FeedForwardConfig,
    RelativeBiasConfig,
    RMSNormConfig,
)
from hornbook.model.seq2seq_config import Seq2SeqConfig

PROJECTIONS: dict[str, tuple[Activation, bool]] = {
    **{name: (ours, False) for name, ours in ACTIVATIONS.items()},
    **{f"gated-{name}": (ours, True) for name, ours in ACTIVATIONS.items()},
    "gated-gelu": ("gelu_tanh", True),
}
"""What `feed_forward_proj` says: the activation, and whether it is a gate."""
UNUSED = r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
"""What old files have, and nothing reads."""


def _read(theirs: Reading) -> Seq2SeqConfig:
    tied = theirs.take("tie_word_embeddings", True)
    # Version 5 of transformers says it so, and that all are tied, whatever output matrix its file has.
    scaled = theirs.take("scale_decoder_outputs", tied)
    if scaled and not tied:
        raise theirs.refusal("scale_decoder_outputs", scaled, "logits of an untied matrix are not scaled")
    return read_sides(theirs, "relu", scaled)


def read_sides(theirs: Reading, projection: str, is_tied: bool) -> Seq2SeqConfig:
    """The model, by all attributes but those of its head; `projection` stands where none is said."""
    theirs.expect("is_encoder_decoder", True)
    for name in ("is_decoder", "add_cross_attention", "tie_encoder_decoder"):
        theirs.expect(name, False)
    for name in ("output_past", "classifier_dropout"):
        theirs.take(name, None)  # In old files and for another task; never read.
    n_layers = theirs.take("num_layers")
    d_model = theirs.take("d_model")
    head = HeadConfig(tied=is_tied, scale=d_model**-0.5 if is_tied else None)
    return Seq2SeqConfig(
        encoder=StackConfig(**_read_stack(theirs, projection, n_layers, is_encoder=True)),
        decoder=DecoderConfig(
            **_read_stack(theirs, projection, theirs.take("num_decoder_layers", n_layers), is_encoder=False),
            head=head,
        ),
        start_token=theirs.take("decoder_start_token_id", theirs.take("pad_token_id", 0)),
    )


def _read_stack(theirs: Reading, projection: str, n_layers: int, is_encoder: bool) -> dict[str, Any]:
    norm = RMSNormConfig(eps=theirs.take("layer_norm_epsilon", 1e-6))
    dropout = theirs.take("dropout_rate", 0.1)
    distances = RelativeBiasConfig(
        n_buckets=theirs.take("relative_attention_num_buckets", 32),
        max_distance=theirs.take("relative_attention_max_distance", 128),
        both_ways=is_encoder,
    )
    heads = {
        "n_heads": theirs.take("num_heads"),
        "head_dim": theirs.take("d_kv"),
        "scale": 1.0,
        "dropout": dropout,
    }
    block = BlockConfig(
        attention=AttentionConfig(**heads, position=distances),
        cross_attention=None if is_encoder else AttentionConfig(**heads),
        feed_forward=_read_feed_forward(theirs, projection, dropout),
        norms=NormSlotsConfig(input=norm),
        dropout=dropout,
    )
    return {
        "vocab_size": theirs.take("vocab_size"),
        "d_model": theirs.take("d_model"),
        "n_layers": n_layers,
        "max_seq_len": theirs.take("n_positions", 512),
        "pattern": (block,),
        "embedding": EmbeddingConfig(dropout=dropout),
        "final_norm": norm,
    }


def _read_feed_forward(theirs: Reading, projection: str, dropout: float) -> FeedForwardConfig:
    activation, gated = theirs.choice("feed_forward_proj", PROJECTIONS, projection)
    if theirs.take("dense_act_fn", None) is not None:
        activation = theirs.choice("dense_act_fn", ACTIVATIONS)
    return FeedForwardConfig(
        d_ff=theirs.take("d_ff"),
        activation=activation,
        gated=theirs.take("is_gated_act", gated),
        dropout=dropout,
    )


def write(config: Seq2SeqConfig) -> dict[str, Any]:
    """The attributes of a model."""
    encoder = config.encoder
    block = only_block(encoder)
    distances = needed(block.attention.position, RelativeBiasConfig, "learned biases by distance")
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    name = activation_name(feed_forward.activation)
    projection = f"gated-{name.removesuffix('_new')}" if feed_forward.gated else name
    return {
        "vocab_size": encoder.vocab_size,
        "d_model": encoder.d_model,
        "d_kv": encoder.head_dim(block),
        "d_ff": feed_forward.d_ff,
        "num_layers": encoder.n_layers,
        "num_decoder_layers": config.decoder.n_layers,
        "num_heads": block.attention.n_heads,
        "n_positions": encoder.max_seq_len,
        "relative_attention_num_buckets": distances.n_buckets,
        "relative_attention_max_distance": distances.max_distance,
        "dropout_rate": block.dropout,
        "layer_norm_epsilon": needed(encoder.final_norm, RMSNormConfig, "RMS norms").eps,
        "feed_forward_proj": projection,
        "dense_act_fn": name,
        "is_gated_act": feed_forward.gated,
        "is_encoder_decoder": True,
        "decoder_start_token_id": config.start_token,
        "tie_word_embeddings": config.decoder.head.tied,
    }


def rules(config: Seq2SeqConfig) -> list[Rule]:
    """The names of its tensors."""
    tables = [f"{side}.embed_tokens.weight" for side in ("encoder", "decoder")]
    head = ["lm_head.weight"] if config.decoder.head.tied else []
    return [
        same("encoder.embedding.tokens.weight", "shared.weight", *tables, *head),
        same("decoder.head.weight", "lm_head.weight"),
        *_stack_rules(config.encoder, "encoder", {"attention": "SelfAttention"}),
        *_stack_rules(
            config.decoder, "decoder", {"attention": "SelfAttention", "cross_attention": "EncDecAttention"}
        ),
    ]


def _stack_rules(config: StackConfig, side: str, attentions: dict[str, str]) -> list[Rule]:
    """The names of one side, whose block has these kinds of attention in order, and then the feed-forward."""
    names = {}
    for place, (ours, theirs) in enumerate(attentions.items()):
        names[f"{ours}.input_norm"] = f"layer.{place}.layer_norm"
        for part, letter in zip(("q", "k", "v", "out"), "qkvo", strict=True):
            names[f"{ours}.layer.{part}"] = f"layer.{place}.{theirs}.{letter}"
    last = f"layer.{len(attentions)}"
    gated = needed(only_block(config).feed_forward, FeedForwardConfig, "no mixture of experts").gated
    names["feed_forward.input_norm"] = f"{last}.layer_norm"
    names["feed_forward.layer.gate"] = f"{last}.DenseReluDense.wi_0"
    names["feed_forward.layer.up"] = f"{last}.DenseReluDense.{'wi_1' if gated else 'wi'}"
    names["feed_forward.layer.down"] = f"{last}.DenseReluDense.wo"
    distances = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return [
        same(f"{side}.position_bias.table.weight", distances),
        same(f"{side}.final_norm.weight", f"{side}.final_layer_norm.weight"),
        *in_each_block(f"{side}.block.{{layer}}.", names, f"{side}.{BLOCK}"),
    ]


def _renewed(tensors: Tensors) -> Tensors:
    """Version 5 of transformers makes even version 1.1 with one matrix for all ends, and writes it once.

    It is the output matrix too, then, which learns by itself from there on.
    """
    made = dict(tensors)
    if "shared.weight" in made:
        made.setdefault("lm_head.weight", made["shared.weight"])
    return made


FAMILIES = (
    Family(
        "t5",
        "T5ForConditionalGeneration",
        _read,
        write,
        rules,
        ignored=UNUSED,
        shape=Seq2SeqConfig,
        renewed=_renewed,
        also=("T5WithLMHeadModel",),
    ),
)
