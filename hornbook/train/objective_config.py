"""What a model is to learn, as data: the objectives there are, each with its own numbers.

`train.objective=masked` chooses one by its kind. `tasks.py` says which shape of model each is for, and makes
of it what a run needs.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import pydantic
from pydantic import Field, PositiveFloat

from hornbook.base.config import Config

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Part = Annotated[float, Field(gt=0.0, lt=1.0)]


class NextTokenConfig(Config):
    """Each token from those before it, by a decoder.

    Beside another objective also by an encoder-decoder, whose encoder then reads an empty text.
    """

    kind: Literal["next_token"] = "next_token"


class MaskingConfig(Config):
    """How tokens are hidden from an encoder (Devlin et al. 2019, section 3.1)."""

    share: Part = 0.15
    """Share of the tokens of a row that is asked for."""
    mask_share: Share = 0.8
    """Share of these that is hidden behind the mask token."""
    random_share: Share = 0.1
    """Share of these that is replaced by a random token; the others stay as they are."""

    @pydantic.model_validator(mode="after")
    def _shares_fit(self) -> MaskingConfig:
        if self.mask_share + self.random_share > 1:
            raise ValueError(
                f"mask_share {self.mask_share} and random_share {self.random_share} exceed all that is "
                "asked for"
            )
        return self


class MaskedConfig(MaskingConfig):
    """Hidden tokens from all of their text, others hidden at each step (Liu et al. 2019), by an encoder."""

    kind: Literal["masked"] = "masked"


class MaskedPairsConfig(MaskingConfig):
    """Hidden tokens of two texts, and whether one follows the other (Devlin et al. 2019), by an encoder."""

    kind: Literal["masked_pairs"] = "masked_pairs"


class SpanDenoisingConfig(Config):
    """Missing spans from all that is left of a text (Raffel et al. 2020), by an encoder-decoder."""

    kind: Literal["span_denoising"] = "span_denoising"
    density: Part = 0.15
    """Share of a text that is missing."""
    mean_length: Annotated[float, Field(ge=1.0)] = 3.0
    """Tokens in a missing span, on average."""


class PrefixConfig(Config):
    """How a text goes on, from a beginning of random length that is seen both ways.

    By a decoder (Liu et al. 2018; Dong et al. 2019), or by an encoder-decoder, whose encoder reads the
    beginning.
    """

    kind: Literal["prefix"] = "prefix"


class PermutationConfig(Config):
    """Tokens in a random order, each from those before it (Yang et al. 2019), by a model of two streams."""

    kind: Literal["permutation"] = "permutation"
    one_in: Annotated[int, Field(ge=2)] = 6
    """Of so many tokens the last one in the order is predicted; the others are known from the start."""


OneObjectiveConfig: TypeAlias = Annotated[
    NextTokenConfig
    | MaskedConfig
    | MaskedPairsConfig
    | SpanDenoisingConfig
    | PrefixConfig
    | PermutationConfig,
    Field(discriminator="kind"),
]


class WeightedObjectiveConfig(Config):
    """One objective of several."""

    objective: OneObjectiveConfig
    """The objective."""
    weight: PositiveFloat = 1.0
    """Its share of the rows of every batch, beside the other weights."""


class WeightedConfig(Config):
    """Several objectives on one model, which share out the rows of every batch in exact proportion."""

    kind: Literal["weighted"] = "weighted"
    parts: Annotated[tuple[WeightedObjectiveConfig, ...], Field(min_length=2)]
    """The objectives, of different kinds, all for the shape of the model."""

    @pydantic.model_validator(mode="after")
    def _each_once(self) -> WeightedConfig:
        kinds = [part.objective.kind for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"each kind of objective stands once among the parts, not {', '.join(kinds)}")
        return self


ObjectiveConfig: TypeAlias = Annotated[
    NextTokenConfig
    | MaskedConfig
    | MaskedPairsConfig
    | SpanDenoisingConfig
    | PrefixConfig
    | PermutationConfig
    | WeightedConfig,
    Field(discriminator="kind"),
]
