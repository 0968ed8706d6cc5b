"""XLNet (Yang et al. 2019): two streams, scores by distance and by segment, norms after each sum.

Its configuration names no longest sequence, for distances have none. Here a model has one: `seq_length`,
which is written beside the others, or else the length that XLNet was trained with. How many vectors of a text
are handed on to the next one (`mem_len` and its kin) is passed over: one text alone is computed the same, and
texts in a chain are not computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from hornbook.model.config import BlockConfig, EmbeddingConfig, NormSlotsConfig
from hornbook.model.encoder_config import MaskedHeadConfig
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name, pass_over_summary, take_either
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import BLOCK, Rule, in_each_block, same
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    RelativeContentConfig,
)
from hornbook.model.permutation_config import PermutationLMConfig

TRAINED_LEN = 512
"""The longest sequence where a configuration says nothing, in tokens."""


def _read(theirs: Reading) -> PermutationLMConfig:
    theirs.expect("attn_type", "bi")
    theirs.expect("bi_data", False)
    theirs.expect("pruned_heads", {}, None)
    pass_over_summary(theirs)
    for name in (
        "summary_last_dropout", "start_n_top", "end_n_top",  # Heads for other tasks.
        "mem_len", "reuse_len", "use_mems_eval", "use_mems_train",  # What the next text is handed.
        "same_length",  # Read where attn_type is another.
        "untie_r", "dropatt", "init", "init_range", "init_std",  # In old files; never read.
    ):  # fmt: skip
        theirs.take(name, None)
    d_model = take_either(theirs, "d_model", "hidden_size")
    n_heads = take_either(theirs, "n_head", "num_attention_heads")
    theirs.expect("d_head", d_model // n_heads, None)
    clamp, dropout = theirs.take("clamp_len", -1), theirs.take("dropout", 0.1)
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=n_heads,
            position=RelativeContentConfig(max_distance=clamp if clamp > 0 else None, by_segment=True),
            dropout=dropout,
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("d_inner"),
            activation=theirs.choice("ff_activation", ACTIVATIONS, "gelu"),
            bias=True,
            dropout=dropout,
        ),
        norms=NormSlotsConfig(residual=LayerNormConfig(eps=theirs.take("layer_norm_eps", 1e-12))),
        dropout=dropout,
    )
    return PermutationLMConfig(
        vocab_size=take_either(theirs, "vocab_size", "n_token"),
        d_model=d_model,
        n_layers=take_either(theirs, "n_layer", "num_hidden_layers"),
        max_seq_len=theirs.take("seq_length", TRAINED_LEN),
        pattern=(block,),
        embedding=EmbeddingConfig(dropout=dropout),
        final_norm=None,
        head=MaskedHeadConfig(transform=None, tied=theirs.take("tie_word_embeddings", True)),
    )


def _write(config: PermutationLMConfig) -> dict[str, Any]:
    block = only_block(config)
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    position = needed(block.attention.position, RelativeContentConfig, "relative positions")
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "n_layer": config.n_layers,
        "n_head": block.attention.n_heads,
        "d_head": config.head_dim(block),
        "d_inner": feed_forward.d_ff,
        "ff_activation": activation_name(feed_forward.activation),
        "layer_norm_eps": needed(block.norms.residual, LayerNormConfig, "layer norms after each sum").eps,
        "dropout": block.dropout,
        "clamp_len": position.max_distance or -1,
        "seq_length": config.max_seq_len,
        "mem_len": None,
        "tie_word_embeddings": config.head.tied,
    }


def _rules(config: PermutationLMConfig) -> list[Rule]:
    head_dim, ours, theirs = config.head_dim(config.pattern[0]), BLOCK, "transformer.layer.{layer}."
    names = {
        "attention.residual_norm": "rel_attn.layer_norm",
        "feed_forward.layer.up": "ff.layer_1",
        "feed_forward.layer.down": "ff.layer_2",
        "feed_forward.residual_norm": "ff.layer_norm",
    }
    by_head = {
        "out.weight": "o",
        "content_bias": "r_w_bias",
        "distance_bias": "r_r_bias",
        "segments.bias": "r_s_bias",
        "segments.table.weight": "seg_embed",
    }
    transposed = {"q.weight": "q", "k.weight": "k", "v.weight": "v", "distance.weight": "r"}
    return [
        same("embedding.tokens.weight", "transformer.word_embedding.weight"),
        Rule(
            ("query.weight",), ("transformer.mask_emb",), lambda one: [one[0][0]], lambda one: [one[0][None]]
        ),
        same("head.{end}", "lm_loss.{end}"),
        *in_each_block(theirs, names),
        *(
            _by_head(
                f"{ours}attention.layer.{mine}", f"{theirs}rel_attn.{yours}", head_dim, mine in transposed
            )
            for mine, yours in (by_head | transposed).items()
        ),
    ]


def _by_head(ours: str, theirs: str, head_dim: int, is_transposed: bool) -> Rule:
    """A tensor whose last dimension they keep as two, of heads and of what is in one."""

    def joined(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        whole = tensors[0].flatten(-2)
        return [whole.t().contiguous() if is_transposed else whole]

    def split(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        whole = tensors[0].t() if is_transposed else tensors[0]
        return [whole.unflatten(-1, (-1, head_dim)).contiguous()]

    return Rule((ours,), (theirs,), joined, split)


FAMILIES = (
    Family(
        "xlnet",
        "XLNetLMHeadModel",
        _read,
        _write,
        _rules,
        ignored=r"lm_loss\.weight",
        shape=PermutationLMConfig,
    ),
)
