"""The shapes of model there are, and the way from a configuration to a model.

    model = build_model(config, seed=0)

A configuration's `kind` tells which it is, in files too.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Tag

from hornbook.model.config import ModelConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.models import CausalLM
from hornbook.model.part_config import kind_or
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig

AnyConfig: TypeAlias = Annotated[
    Annotated[ModelConfig, Tag("causal_lm")]
    | Annotated[MaskedLMConfig, Tag("masked_lm")]
    | Annotated[ClassifierConfig, Tag("classifier")]
    | Annotated[Seq2SeqConfig, Tag("seq2seq")],
    kind_or("causal_lm"),
]
AnyModel: TypeAlias = CausalLM | MaskedLM | Classifier | Seq2SeqLM


def build_model(config: AnyConfig, seed: int | None = None) -> AnyModel:
    """Return a model of the shape that a configuration is of; `seed` as in `CausalLM`."""
    if isinstance(config, Seq2SeqConfig):
        return Seq2SeqLM(config, seed)
    if isinstance(config, MaskedLMConfig):
        return MaskedLM(config, seed)
    if isinstance(config, ClassifierConfig):
        return Classifier(config, seed)
    return CausalLM(config, seed)
