"""What the guard of a run may do about a step that is not like the others.

Steps whose loss or gradient is not a number change no weight under any policy. The policies differ in what
becomes of finite steps that stand out, and of weights that are broken already.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from hornbook.base.config import Config


class OffConfig(Config):
    """Take every step that is finite."""

    kind: Literal["off"] = "off"


class Comparison(Config):
    """When a step stands out from those before it."""

    loss_z: PositiveFloat = 10.0
    """How far the loss may rise above the median of recent steps, in standard deviations (estimated by the
    median of absolute deviations)."""
    grad_norm_z: PositiveFloat = 30.0
    """The same of the logarithm of the gradient's length, which stands out by chance far more often."""
    window: Annotated[int, Field(ge=8)] = 64
    """Steps that are recent; none is left out before there are half as many."""
    patience: PositiveInt = 3
    """Steps in a row that may be left out; what lasts longer is no accident."""


class SkipConfig(Comparison):
    """Leave out a step that stands out; when it lasts, take it after all."""

    kind: Literal["skip"] = "skip"


class RollBackConfig(Comparison):
    """Leave out a step that stands out; when it lasts, go back to the weights of the last good save."""

    kind: Literal["roll_back"] = "roll_back"
    rate_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Learning rate after going back, as a share of the schedule's."""
    rate_steps: PositiveInt = 100
    """Steps for which it is lowered."""
    batches: PositiveInt = 1
    """Batches that each of these steps learns from: more of them make a steadier gradient."""


GuardConfig = Annotated[OffConfig | SkipConfig | RollBackConfig, Field(discriminator="kind")]
