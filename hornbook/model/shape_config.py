"""The configurations of all shapes of model, as one kind of value; `kind` tells which it is, in files too."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Tag

from hornbook.model.config import ModelConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.part_config import kind_or
from hornbook.model.permutation_config import PermutationLMConfig
from hornbook.model.seq2seq_config import Seq2SeqConfig

AnyConfig: TypeAlias = Annotated[
    Annotated[ModelConfig, Tag("causal_lm")]
    | Annotated[MaskedLMConfig, Tag("masked_lm")]
    | Annotated[ClassifierConfig, Tag("classifier")]
    | Annotated[PermutationLMConfig, Tag("permutation_lm")]
    | Annotated[Seq2SeqConfig, Tag("seq2seq")],
    kind_or("causal_lm"),
]
