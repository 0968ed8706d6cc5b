"""RoBERTa (Liu et al. 2019): as BERT, with other names for its heads and rows before the first position.

The matrix of positions begins with rows up to that of the padding's id, which no real token reads; they are
dropped. Theirs gives a token with the padding's id no position, wherever it stands, and that is written as 1,
where their own vocabulary has it. A vocabulary that has a word there is better written as BERT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hornbook.model.config import StackConfig
from hornbook.model.encoder_config import (
    ClassifierConfig,
    MaskedHeadConfig,
    MaskedLMConfig,
    PoolerConfig,
    TransformConfig,
)
from hornbook.model.families import bert
from hornbook.model.families.family import Family
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Rule, same

PADDING = 1
"""The id of their padding."""
ALONE, BESIDE = "lm_head.bias", "lm_head.decoder.bias"


def _read_stack(theirs: Reading) -> dict[str, Any]:
    fields = bert.read_stack(theirs)
    rows_before = theirs.take("pad_token_id", PADDING) + 1
    return fields | {"max_seq_len": fields["max_seq_len"] - rows_before}


def _read_masked(theirs: Reading) -> MaskedLMConfig:
    theirs.take("classifier_dropout", None)  # The head of another task.
    # Whatever the activation of the layers.
    transform = TransformConfig(activation="gelu", norm=bert.read_norm(theirs))
    head = MaskedHeadConfig(transform=transform, tied=theirs.take("tie_word_embeddings", True))
    return MaskedLMConfig(**_read_stack(theirs), head=head)


def _read_classifier(theirs: Reading) -> ClassifierConfig:
    fields = bert.read_head(theirs)
    return ClassifierConfig(**_read_stack(theirs), **fields, pooler=PoolerConfig(dropout=fields["dropout"]))


def _positions(config: StackConfig) -> dict[str, Any]:
    return {"max_position_embeddings": config.max_seq_len + PADDING + 1, "pad_token_id": PADDING}


def _write_masked(config: MaskedLMConfig) -> dict[str, Any]:
    return bert.write_masked(config) | _positions(config)


def _write_classifier(config: ClassifierConfig) -> dict[str, Any]:
    return bert.write_classifier(config) | _positions(config)


def _stack_rules(config: StackConfig) -> list[Rule]:
    ours, theirs = "embedding.positions.weight", "roberta.embeddings.position_embeddings.weight"

    def without_rows_before(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensors[0][-config.max_seq_len :].contiguous()]

    def with_rows_before(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [torch.cat((tensors[0].new_zeros(PADDING + 1, config.d_model), tensors[0]))]

    renamed = [rule for rule in bert.stack_rules("roberta.") if rule.ours != (ours,)]
    return [*renamed, Rule((ours,), (theirs,), without_rows_before, with_rows_before)]


def _masked_rules(config: MaskedLMConfig) -> list[Rule]:
    return [
        *_stack_rules(config),
        same("transform.dense.{end}", "lm_head.dense.{end}"),
        same("transform.norm.{end}", "lm_head.layer_norm.{end}"),
        same("head.weight", "lm_head.decoder.weight"),
        bert.head_bias(config, ALONE, BESIDE),
    ]


def _classifier_rules(config: ClassifierConfig) -> list[Rule]:
    return [
        *_stack_rules(config),
        same("pooler.dense.{end}", "classifier.dense.{end}"),
        same("head.{end}", "classifier.out_proj.{end}"),
    ]


def _renewed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return bert.renewed(tensors, ALONE, BESIDE)


# What an unused pooler and the numbers of the positions are called.
UNUSED = r"roberta\.pooler\..*|roberta\.embeddings\.position_ids"

FAMILIES = (
    Family(
        "roberta",
        "RobertaForMaskedLM",
        _read_masked,
        _write_masked,
        _masked_rules,
        ignored=rf"{UNUSED}|lm_head\.decoder\.(weight|bias)",
        shape=MaskedLMConfig,
        renewed=_renewed,
    ),
    Family(
        "roberta",
        "RobertaForSequenceClassification",
        _read_classifier,
        _write_classifier,
        _classifier_rules,
        ignored=UNUSED,
        shape=ClassifierConfig,
        renewed=_renewed,
    ),
)
