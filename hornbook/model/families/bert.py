"""BERT (Devlin et al. 2019): an encoder with norms after each sum, learned positions and two segments.

Two shapes: one fills in masked tokens, the other puts texts into classes. Those of RoBERTa have other names
for their heads and use what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hornbook.model.config import BlockConfig, EmbeddingConfig, NormSlotsConfig, StackConfig
from hornbook.model.encoder_config import (
    ClassifierConfig,
    MaskedHeadConfig,
    MaskedLMConfig,
    PoolerConfig,
    TransformConfig,
)
from hornbook.model.families.classes import read_classes, written_classes
from hornbook.model.families.family import Family, needed, only_block
from hornbook.model.families.names import ACTIVATIONS, activation_name
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, Tensors, in_each_block, same
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)


def read_stack(theirs: Reading) -> dict[str, Any]:
    """The fields of the stack."""
    for name in ("is_decoder", "add_cross_attention"):
        theirs.expect(name, False)
    theirs.expect("position_embedding_type", "absolute", None)
    theirs.expect("pruned_heads", {}, None)
    for name in ("output_past", "directionality", "pooler_type", "pooler_fc_size", "pooler_num_fc_layers",
                 "pooler_num_attention_heads", "pooler_size_per_head"):  # fmt: skip
        theirs.take(name, None)  # In old files; never read.
    norm, dropout = read_norm(theirs), theirs.take("hidden_dropout_prob", 0.1)
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=theirs.take("num_attention_heads"),
            qkv_bias=True,
            out_bias=True,
            dropout=theirs.take("attention_probs_dropout_prob", 0.1),
        ),
        feed_forward=FeedForwardConfig(
            d_ff=theirs.take("intermediate_size"),
            activation=theirs.choice("hidden_act", ACTIVATIONS, "gelu"),
            bias=True,
        ),
        norms=NormSlotsConfig(residual=norm),
        dropout=dropout,
    )
    return {
        "vocab_size": theirs.take("vocab_size"),
        "d_model": theirs.take("hidden_size"),
        "n_layers": theirs.take("num_hidden_layers"),
        "max_seq_len": theirs.take("max_position_embeddings"),
        "pattern": (block,),
        "embedding": EmbeddingConfig(
            position=LearnedPositionConfig(),
            n_segments=theirs.take("type_vocab_size", 2),
            norm=norm,
            dropout=dropout,
        ),
        "final_norm": None,
    }


def read_norm(theirs: Reading) -> LayerNormConfig:
    """The norm that this family has everywhere."""
    return LayerNormConfig(eps=theirs.take("layer_norm_eps", 1e-12))


def read_head(theirs: Reading) -> dict[str, Any]:
    """The fields of a classifier's head, save the dropout before its pooler."""
    theirs.take("tie_word_embeddings", None)  # There is no output matrix to tie.
    dropout = theirs.take("classifier_dropout", theirs.take("hidden_dropout_prob", 0.1))
    return {**read_classes(theirs), "dropout": dropout}


def _read_masked(theirs: Reading) -> MaskedLMConfig:
    theirs.take("classifier_dropout", None)  # The head of another task.
    transform = TransformConfig(
        activation=theirs.choice("hidden_act", ACTIVATIONS, "gelu"), norm=read_norm(theirs)
    )
    head = MaskedHeadConfig(transform=transform, tied=theirs.take("tie_word_embeddings", True))
    return MaskedLMConfig(**read_stack(theirs), head=head)


def _read_both(theirs: Reading) -> MaskedLMConfig:
    return _read_masked(theirs).model_copy(update={"pairs": PoolerConfig()})


def _read_classifier(theirs: Reading) -> ClassifierConfig:
    return ClassifierConfig(**read_stack(theirs), **read_head(theirs), pooler=PoolerConfig())


def written_stack(config: StackConfig) -> dict[str, Any]:
    """The attributes of the stack."""
    block = only_block(config)
    feed_forward = needed(block.feed_forward, FeedForwardConfig, "no mixture of experts")
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": block.attention.n_heads,
        "intermediate_size": feed_forward.d_ff,
        "hidden_act": activation_name(feed_forward.activation),
        "max_position_embeddings": config.max_seq_len,
        "type_vocab_size": config.embedding.n_segments,
        "layer_norm_eps": needed(block.norms.residual, LayerNormConfig, "layer norms after each sum").eps,
        "hidden_dropout_prob": block.dropout,
        "attention_probs_dropout_prob": block.attention.dropout,
        "pad_token_id": None,  # By default one token's embedding would not be learned.
    }


def write_masked(config: MaskedLMConfig) -> dict[str, Any]:
    """The attributes of a model that fills in masked tokens."""
    return {**written_stack(config), "tie_word_embeddings": config.head.tied}


def write_classifier(config: ClassifierConfig) -> dict[str, Any]:
    """The attributes of a classifier."""
    return {**written_stack(config), "classifier_dropout": config.dropout, **written_classes(config)}


def stack_rules(prefix: str) -> list[Rule]:
    """The names of the stack's tensors, which begin with a word of the family's."""
    layers = {
        "attention.layer.q": "attention.self.query",
        "attention.layer.k": "attention.self.key",
        "attention.layer.v": "attention.self.value",
        "attention.layer.out": "attention.output.dense",
        "attention.residual_norm": "attention.output.LayerNorm",
        "feed_forward.layer.up": "intermediate.dense",
        "feed_forward.layer.down": "output.dense",
        "feed_forward.residual_norm": "output.LayerNorm",
    }
    return [
        same("embedding.tokens.weight", f"{prefix}embeddings.word_embeddings.weight"),
        same("embedding.positions.weight", f"{prefix}embeddings.position_embeddings.weight"),
        same("embedding.segments.weight", f"{prefix}embeddings.token_type_embeddings.weight"),
        same("embedding.norm.{end}", prefix + "embeddings.LayerNorm.{end}"),
        *in_each_block(prefix + "encoder.layer.{layer}.", layers),
    ]


def head_bias(config: MaskedLMConfig, alone: str, beside: str) -> Rule:
    """The bias of the logits, which they have once, or beside an untied output matrix once more.

    Their version 5 computes with the one beside the matrix, where the two differ; in version 4 they never do.
    """
    names = (alone,) if config.head.tied else (beside, alone)
    return Rule(
        ("head.bias",), names, lambda tensors: tensors[:1], lambda tensors: _repeated(tensors, len(names))
    )


def _repeated(tensors: Sequence[Tensor], times: int) -> Sequence[Tensor]:
    return [tensors[0].clone() for _ in range(times)]


def renewed(tensors: Tensors, alone: str, beside: str) -> dict[str, Tensor]:
    """Norms had a gamma and a beta once, and the bias of the logits stood in one of two places."""
    made = {}
    for name, tensor in tensors.items():
        new = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        made[new] = tensor
    for one, other in ((alone, beside), (beside, alone)):
        if one in made:
            made.setdefault(other, made[one])
    return made


ALONE, BESIDE = "cls.predictions.bias", "cls.predictions.decoder.bias"


def _renewed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return renewed(tensors, ALONE, BESIDE)


def _masked_rules(config: MaskedLMConfig) -> list[Rule]:
    return [
        *stack_rules("bert."),
        same("transform.dense.{end}", "cls.predictions.transform.dense.{end}"),
        same("transform.norm.{end}", "cls.predictions.transform.LayerNorm.{end}"),
        same("head.weight", "cls.predictions.decoder.weight"),
        head_bias(config, ALONE, BESIDE),
    ]


def _rules_of_both(config: MaskedLMConfig) -> list[Rule]:
    return [
        *_masked_rules(config),
        same("pairs.pooler.dense.{end}", "bert.pooler.dense.{end}"),
        same("pairs.head.{end}", "cls.seq_relationship.{end}"),
    ]


def _classifier_rules(config: ClassifierConfig) -> list[Rule]:
    return [
        *stack_rules("bert."),
        same("pooler.dense.{end}", "bert.pooler.dense.{end}"),
        same("head.{end}", "classifier.{end}"),
    ]


FAMILIES = (
    Family(
        "bert",
        "BertForMaskedLM",
        _read_masked,
        write_masked,
        _masked_rules,
        # What a classifier would pool with, the head that judged whether two texts belong together, and the
        # numbers of the positions; a tied matrix and bias once more.
        ignored=r"bert\.pooler\..*|cls\.seq_relationship\..*|bert\.embeddings\.position_ids"
        r"|cls\.predictions\.decoder\.(weight|bias)",
        shape=MaskedLMConfig,
        renewed=_renewed,
    ),
    Family(
        "bert",
        "BertForPreTraining",
        _read_both,
        write_masked,
        _rules_of_both,
        ignored=r"bert\.embeddings\.position_ids|cls\.predictions\.decoder\.(weight|bias)",
        shape=MaskedLMConfig,
        renewed=_renewed,
    ),
    Family(
        "bert",
        "BertForSequenceClassification",
        _read_classifier,
        write_classifier,
        _classifier_rules,
        ignored=r"bert\.embeddings\.position_ids",
        shape=ClassifierConfig,
        renewed=_renewed,
    ),
)
