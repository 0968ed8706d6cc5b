"""Configuration: every mistake named at once, with what to write instead."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
import pytest

from hornbook.base.config import Config, describe, override, parse, to_dict
from hornbook.base.errors import ConfigError


class Cosine(Config):
    """A schedule that falls like a cosine."""

    kind: Literal["cosine"] = "cosine"
    warmup: int = 10
    """Steps of rising."""


class Constant(Config):
    """A schedule that stays."""

    kind: Literal["constant"] = "constant"


class Train(Config):
    """How to train."""

    steps: pydantic.PositiveInt = 100
    """Optimizer steps."""
    rate: float = 1e-3
    schedule: Annotated[Cosine | Constant, pydantic.Field(discriminator="kind")] = Cosine()


class Run(Config):
    """A whole run."""

    name: str
    """What it is called."""
    seed: int = 0
    train: Train = Train()
    """The training."""
    layers: tuple[int, ...] = (1, 2)
    out: str | None = None

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Run:
        if self.seed > self.train.steps:
            raise ValueError(f"seed {self.seed} is above {self.train.steps} steps")
        return self


RUN = Run(name="a")


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


def test_a_config_is_frozen() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        RUN.seed = 3  # type: ignore[misc]


def test_to_dict_and_parse_are_inverse() -> None:
    data = {
        "name": "a",
        "seed": 0,
        "train": {"steps": 100, "rate": 0.001, "schedule": {"kind": "cosine", "warmup": 10}},
        "layers": [1, 2],
        "out": None,
    }
    assert to_dict(RUN) == data
    assert parse(Run, data) == RUN
    assert hash(parse(Run, data)) == hash(RUN)


def test_defaults_fill_what_is_left_out() -> None:
    assert parse(Run, {"name": "a", "train": {"schedule": {"kind": "constant"}}}).train.schedule == Constant()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "name is missing"),
        ({"name": "a", "sead": 1}, "unknown key 'sead', did you mean 'seed'?"),
        ({"name": "a", "q": 1}, "unknown key 'q', known: layers, name, out, seed, train"),
        ({"name": "a", "train": {"step": 1}}, "unknown key 'train.step', did you mean 'steps'?"),
        ({"name": "a", "train": {"steps": 0}}, "train.steps must be greater than 0, not 0"),
        ({"name": "a", "layers": [1, "x"]}, "layers.1 must be a whole number, not 'x'"),
        ({"name": "a", "seed": 101}, "seed 101 is above 100 steps"),
        (
            {"name": "a", "train": {"rate": float("nan")}},
            "train.rate must be a finite number, not NaN",
        ),
        ({"name": 7}, 'name must be text, not 7; write "7" in quotes'),
        ({"name": "a", "train": []}, "train must be an object in braces, not a list"),
        ([], "the whole must be an object in braces, not a list"),
    ],
)
def test_a_mistake_is_named_in_our_words(data: Any, expected: str) -> None:
    assert message(parse, Run, data, "run.json") == f"run.json: {expected}"


def test_all_mistakes_come_at_once() -> None:
    data = {"sead": 1, "train": {"steps": -1}}
    expected = (
        "the configuration: name is missing; train.steps must be greater than 0, not -1; "
        "unknown key 'sead', did you mean 'seed'?"
    )
    assert message(parse, Run, data) == expected


def test_an_unknown_key_of_a_chosen_kind_is_compared_with_that_kind_alone() -> None:
    data = {"name": "a", "train": {"schedule": {"kind": "cosine", "warm_up": 1}}}
    assert message(parse, Run, data).endswith("warm_up', did you mean 'warmup'?")
    data = {"name": "a", "train": {"schedule": {"kind": "constant", "warm_up": 1}}}
    assert message(parse, Run, data).endswith("warm_up', known: kind")


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("train.steps=500", ("train", "steps"), 500),
        ("train.rate=1e-4", ("train", "rate"), 1e-4),
        ("name=b=c", ("name",), "b=c"),
        ("name=", ("name",), ""),
        ('name="3"', ("name",), "3"),
        ("layers=[4, 5, 6]", ("layers",), (4, 5, 6)),
        ("layers.1=9", ("layers",), (1, 9)),
        ("out=runs/b", ("out",), "runs/b"),
        ("name=3", ("name",), "3"),
        ("name=null", ("name",), "null"),
        ('name=["a"]', ("name",), '["a"]'),
        ("out=2024", ("out",), "2024"),
        ("train.rate=1", ("train", "rate"), 1.0),
        ("train.schedule=constant", ("train", "schedule"), Constant()),
        ("train.schedule.kind=constant", ("train", "schedule"), Constant()),
        ("train.schedule.warmup=5", ("train", "schedule"), Cosine(warmup=5)),
        ('train.schedule={"kind": "cosine", "warmup": 7}', ("train", "schedule"), Cosine(warmup=7)),
    ],
)
def test_an_override(assignment: str, path: tuple[str, ...], value: Any) -> None:
    place: Any = override(RUN, [assignment])
    for step in path:
        place = getattr(place, step)
    assert place == value


def test_overrides_leave_the_original_alone_and_the_last_one_counts() -> None:
    assert override(RUN, ["seed=1", "seed=2"]).seed == 2
    assert override(RUN, []) == RUN
    assert RUN.seed == 0


def test_none_can_be_set() -> None:
    assert override(Run(name="a", out="x"), ["out=null"]).out is None


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["seed"], "'seed' is not an assignment; write key=value, as in train.steps=500"),
        (["sead=3"], "there is no 'sead': 'sead' is not in the configuration, did you mean 'seed'?"),
        (
            ["train.stepz=3"],
            "there is no 'train.stepz': 'stepz' is not in train, did you mean 'steps'?",
        ),
        (
            ["trian.steps=3"],
            "there is no 'trian.steps': 'trian' is not in the configuration, did you mean 'train'?",
        ),
        (["layers.2=3"], "there is no 'layers.2': '2' is not in layers, known: 0, 1"),
        (["seed.x=3"], "there is no 'seed.x': seed is 0"),
        (["layers=[]", "layers.0=3"], "there is no 'layers.0': layers is empty"),
        (
            ["sead=3", "train.stepz=3"],
            "there is no 'sead': 'sead' is not in the configuration, did you mean 'seed'?; "
            "there is no 'train.stepz': 'stepz' is not in train, did you mean 'steps'?",
        ),
        (["train.steps=0"], "the overrides: train.steps must be greater than 0, not 0"),
        (["seed=101"], "the overrides: seed 101 is above 100 steps"),
    ],
)
def test_a_wrong_override_says_what_to_write(assignments: list[str], expected: str) -> None:
    assert message(override, RUN, assignments) == expected


def test_describe_lists_every_field_with_its_default_and_its_docstring() -> None:
    assert list(describe(Run)) == [
        ("name", "", "What it is called."),
        ("seed", "0", ""),
        ("train.steps", "100", "Optimizer steps."),
        ("train.rate", "0.001", ""),
        ("train.schedule", '{"kind": "cosine", "warmup": 10}', ""),
        ("layers", "[1, 2]", ""),
        ("out", "null", ""),
    ]


def test_describe_shows_parts_in_a_list_as_json() -> None:
    class Plan(Config):
        stages: tuple[Cosine | Constant, ...] = (Cosine(), Constant())

    shown = [default for _, default, _ in describe(Plan)]
    assert shown == ['[{"kind": "cosine", "warmup": 10}, {"kind": "constant"}]']
