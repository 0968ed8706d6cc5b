"""The shapes of model there are, and the way from a configuration to a model.

model = build_model(config, seed=0)
"""

from __future__ import annotations

from typing import TypeAlias

from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.permutation_config import PermutationLMConfig
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig

AnyModel: TypeAlias = CausalLM | MaskedLM | Classifier | PermutationLM | Seq2SeqLM


def build_model(config: AnyConfig, seed: int | None = None) -> AnyModel:
    """Return a model of the shape that a configuration is of; `seed` as in `CausalLM`."""
    if isinstance(config, Seq2SeqConfig):
        return Seq2SeqLM(config, seed)
    if isinstance(config, MaskedLMConfig):
        return MaskedLM(config, seed)
    if isinstance(config, ClassifierConfig):
        return Classifier(config, seed)
    if isinstance(config, PermutationLMConfig):
        return PermutationLM(config, seed)
    return CausalLM(config, seed)
