"""A configuration with every shape a field may have: what the tests of assignments and messages share."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from hornbook.base.config import Config


class Rotary(Config):
    kind: Literal["rotary"] = "rotary"
    theta: float = 10_000.0


class Learned(Config):
    kind: Literal["learned"] = "learned"


class Adam(Config):
    kind: Literal["adam"] = "adam"
    betas: tuple[float, float] = (0.9, 0.95)


class Muon(Config):
    kind: Literal["muon"] = "muon"
    momentum: float = 0.95
    rest: Adam = Adam(betas=(0.8, 0.9))


class Adapter(Config):
    kind: Literal["adapter"] = "adapter"
    rank: int
    """Must be given."""
    inner: Adam


class Layer(Config):
    width: pydantic.PositiveInt = 4
    position: Rotary | None = None
    places: Annotated[Rotary | Learned, pydantic.Field(discriminator="kind")] | None = None


class Job(Config):
    seed: int = 0
    share: Annotated[float, pydantic.Field(ge=0, lt=1)] = 0.5
    masked: bool = True
    limit: int | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch: Literal["auto"] | int = "auto"
    path: str | tuple[str, ...] = "python"
    prompts: tuple[str, ...] = ("def ",)
    weights: dict[str, float] = pydantic.Field(default_factory=lambda: {"code": 1.0})
    layers: tuple[Layer, ...] = (Layer(),)
    optimizer: Annotated[Adam | Muon | Adapter, pydantic.Field(discriminator="kind")] = Adam()


JOB = Job()
