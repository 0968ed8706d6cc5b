"""The wording of mistakes: the name one would type, what is wrong, what to write instead."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from base.example_config import JOB, Adam, Job

from hornbook.base.config import override, parse, to_dict
from hornbook.base.errors import ConfigError


def mistake(data: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Job, data, "a.json")
    return str(caught.value).removeprefix("a.json: ")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"seed": "3"}, "seed must be a whole number, not '3'; write 3"),
        ({"seed": 3.0}, "seed must be a whole number, not 3.0; write 3"),
        ({"seed": 1e3}, "seed must be a whole number, not 1000.0; write 1000"),
        ({"seed": 2.5}, "seed must be a whole number, not 2.5"),
        ({"seed": True}, "seed must be a whole number, not true"),
        ({"seed": None}, "seed must be a whole number, not null"),
        ({"seed": "x"}, "seed must be a whole number, not 'x'"),
        ({"seed": "nan"}, "seed must be a whole number, not 'nan'"),
        ({"seed": 1e300}, "seed must be a whole number, not 1e+300"),
        ({"seed": [1]}, "seed must be a whole number, not a list"),
        ({"share": "0.1"}, "share must be a number, not '0.1'; write 0.1"),
        ({"share": True}, "share must be a number, not true"),
        ({"share": 1}, "share must be less than 1, not 1"),
        ({"masked": 1}, "masked must be true or false, not 1"),
        ({"masked": "True"}, "masked must be true or false, not 'True'; write true"),
        ({"limit": "None"}, "limit must be a whole number or null, not 'None'; write null"),
        ({"precision": "fp16"}, "precision: unknown value 'fp16', known: auto, bfloat16, float32"),
        ({"precision": "bfloat"}, "precision: unknown value 'bfloat', did you mean 'bfloat16'?"),
        ({"precision": 16}, "precision: unknown value 16, known: auto, bfloat16, float32"),
        ({"batch": "x"}, "batch must be 'auto' or a whole number, not 'x'"),
        ({"path": 3}, 'path must be text or a list in square brackets, not 3; write "3" in quotes'),
        ({"path": ["a", None]}, "path.1 must be text, not null"),
        ({"prompts": "def "}, "prompts must be a list in square brackets, not 'def '"),
        ({"prompts": [1]}, 'prompts.0 must be text, not 1; write "1" in quotes'),
        ({"weights": {"code": "x"}}, "weights.code must be a number, not 'x'"),
        ({"weights": 3}, "weights must be an object in braces, not 3"),
        ({"layers": [{"width": 0}]}, "layers.0.width must be greater than 0, not 0"),
        ({"layers": [3]}, "layers.0 must be an object in braces, not 3"),
    ],
)
def test_a_value_of_the_wrong_type(data: dict[str, Any], expected: str) -> None:
    assert mistake(data) == expected


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ({"kind": "adam", "betas": [0.9]}, "optimizer.betas.1 is missing"),
        ({"kind": "adam", "betas": [0.9, 0.9, 0.9]}, "optimizer.betas must have at most 2 items, not 3"),
        (
            {"kind": "muon", "rest": {"betas": "x"}},
            "optimizer.rest.betas must be a list in square brackets, not 'x'",
        ),
        ({"kind": "adam", "beta": 1}, "unknown key 'optimizer.beta', did you mean 'betas'?"),
        ({"kind": "muon", "beta": 1}, "unknown key 'optimizer.beta', known: kind, momentum, rest"),
        ({"kind": "adom"}, "optimizer: unknown kind 'adom', did you mean 'adam'?"),
        ({"kind": "sgd"}, "optimizer: unknown kind 'sgd', known: adam, adapter, muon"),
        ({"betas": [0.9, 0.9]}, "optimizer.kind is missing, known: adam, adapter, muon"),
        ({"kind": "muon", "rest": {"kind": "muon"}}, "optimizer.rest: unknown kind 'muon', known: adam"),
        (
            "adam",
            'optimizer must be {"kind": "adam"} or {"kind": "muon"} or {"kind": "adapter"}, not \'adam\'',
        ),
    ],
)
def test_a_path_is_what_one_would_type(optimizer: Any, expected: str) -> None:
    """pydantic would say `optimizer.adam.betas.1`."""
    assert mistake({"optimizer": optimizer}) == expected


def test_the_kinds_of_an_optional_part_include_null() -> None:
    wrong = {"layers": [{"position": {"kind": "alibi"}, "places": {"kind": "alibi"}}]}
    assert mistake(wrong) == (
        "layers.0.position: unknown kind 'alibi', known: null, rotary; "
        "layers.0.places: unknown kind 'alibi', known: learned, null, rotary"
    )


def test_what_a_field_takes() -> None:
    data = {"seed": 3, "share": 0, "precision": "bfloat16", "prompts": ["a"], "optimizer": {"kind": "adam"}}
    job = parse(Job, MappingProxyType(data))
    assert job == Job(seed=3, share=0.0, precision="bfloat16", prompts=("a",), optimizer=Adam())
    assert parse(Job, to_dict(job)) == job


def test_a_long_value_is_cut_short() -> None:
    text = mistake({"seed": "x" * 5000})
    assert text.startswith("seed must be a whole number, not 'xxx") and text.endswith("...xxxxxxxxx'")
    assert len(text) < 100


def endless() -> list[Any]:
    value: list[Any] = []
    value += [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            Path("a"),
            "seed: PosixPath is no type of JSON; give text, a number, true, false, null, a list or an object",
        ),
        (10**5000, "seed: a number of more than 300 digits"),
        ({"a": [0, b"x"]}, "seed.a.1: bytes is no type of JSON"),
        ({1: 2}, "seed: the key 1 is not UTF-8 text"),
        ({"caf\udce9": 2}, r"seed: the key 'caf\udce9' is not UTF-8 text"),
        ("caf\udce9", r"seed: 'caf\udce9' is not UTF-8 text"),
        (endless(), "seed: nested more than 100 levels deep"),
    ],
    ids=["a path", "a long number", "bytes", "a key that is a number", "a key", "text", "a circle"],
)
def test_what_is_not_json_is_a_mistake_too(value: Any, expected: str) -> None:
    assert mistake({"seed": value}).replace("WindowsPath", "PosixPath").startswith(expected)


@pytest.mark.parametrize(
    "raw",
    ["9" * 400, "9" * 5000, "[" * 100_000, "1e400", "caf\udce9"],
    ids=["long", "longer", "deep", "large", "not UTF-8"],
)
def test_an_absurd_assignment_is_a_short_mistake(raw: str) -> None:
    with pytest.raises(ConfigError, match=r"^the overrides: seed") as caught:
        override(JOB, ["seed=" + raw])
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("raw", ["500.0", "5e2", '"500"', "500."])
def test_a_number_in_disguise_says_how_to_write_it(raw: str) -> None:
    with pytest.raises(ConfigError, match=r"; write 500$"):
        override(JOB, [f"seed={raw}"])
