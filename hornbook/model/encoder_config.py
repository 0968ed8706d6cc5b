"""What an encoder is, as data: a stack that sees both ways, and the head that makes it useful.

The parts are those of `config.py`. A `MaskedLMConfig` fully describes a model that fills in masked tokens, a
`ClassifierConfig` one that puts a whole text into a class.
"""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import PositiveInt

from hornbook.base.config import Config
from hornbook.model.config import StackConfig
from hornbook.model.part_config import Activation, LayerNormConfig, NormConfig, Share

Pooling = Literal["first", "last", "mean"]


class TransformConfig(Config):
    """A projection, an activation and a norm before the output matrix (Devlin et al. 2019)."""

    activation: Activation = "gelu"
    """The function after the projection."""
    norm: NormConfig | None = LayerNormConfig()
    """Norm after the activation; None: none."""
    bias: bool = True
    """Whether the projection has a bias."""


class MaskedHeadConfig(Config):
    """How the last vectors become logits over the vocabulary."""

    transform: TransformConfig | None = TransformConfig()
    """What stands before the output matrix; None: nothing."""
    tied: bool = True
    """Whether the output matrix is the embedding matrix."""
    bias: bool = True
    """Whether the logits have a bias."""


class PoolerConfig(Config):
    """A projection and tanh over the pooled vector (Devlin et al. 2019)."""

    dropout: Share = 0.0
    """Share of the pooled vector that is zeroed before it, in training."""


class MaskedLMConfig(StackConfig):
    """An encoder that fills in masked tokens, whole."""

    kind: Literal["masked_lm"] = "masked_lm"
    head: MaskedHeadConfig = MaskedHeadConfig()
    """The output side."""
    pairs: PoolerConfig | None = None
    """What is done with the first vector of a row to judge whether its second text follows the first; None:
    that is not judged."""

    @pydantic.model_validator(mode="after")
    def _stands_alone(self) -> MaskedLMConfig:
        _check_alone(self)
        return self


class ClassifierConfig(StackConfig):
    """Any stack, pooled to one vector and put into a class, whole."""

    kind: Literal["classifier"] = "classifier"
    n_classes: PositiveInt
    """Number of classes; 1 for a number that is estimated."""
    class_names: tuple[str, ...] | None = None
    """What the classes are called, in their order; None: they have no names."""
    causal: bool = False
    """Whether no position sees a later one, as in a decoder."""
    pooling: Pooling = "first"
    """Which of a row's vectors stands for it: that of its first or last real token, or the mean of them."""
    pooler: PoolerConfig | None = None
    """What is done with that vector before the head; None: nothing."""
    dropout: Share = 0.0
    """Share of the pooled vector that is zeroed before the head, in training."""
    bias: bool = True
    """Whether the logits have a bias."""

    @pydantic.model_validator(mode="after")
    def _every_class_has_a_name(self) -> ClassifierConfig:
        if self.class_names is not None and len(self.class_names) != self.n_classes:
            raise ValueError(
                f"{len(self.class_names)} class_names for {self.n_classes} classes: give each one, or null"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _direction_fits(self) -> ClassifierConfig:
        _check_alone(self)
        if self.causal and self.pooling == "first":
            raise ValueError(
                "the first token of a causal stack sees nothing but itself: pooling must be last or mean"
            )
        return self


def _check_alone(config: StackConfig) -> None:
    """Cross attention needs another model's vectors."""
    if any(block.cross_attention is not None for block in config.pattern):
        raise ValueError("cross attention reads another text, and this model reads one: it must be null")
