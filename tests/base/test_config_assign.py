"""Assignments led by the types: kinds by name, parts just chosen, text that looks like a number."""

from __future__ import annotations

from typing import Any

import pytest
from base.example_config import JOB, Adam, Adapter, Layer, Learned, Muon, Rotary

from hornbook.base.config import override
from hornbook.base.errors import ConfigError


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["optimizer=muon", "optimizer.momentum=0.5"], Muon(momentum=0.5)),
        (["optimizer=muon", "optimizer.rest.betas.0=0.1"], Muon(rest=Adam(betas=(0.1, 0.9)))),
        (["optimizer.kind=muon"], Muon()),
        (
            ['optimizer={"kind": "muon"}', "optimizer.rest.betas=[0.1, 0.2]"],
            Muon(rest=Adam(betas=(0.1, 0.2))),
        ),
        (
            ["optimizer=adapter", "optimizer.rank=8", "optimizer.inner.betas=[0, 0]"],
            Adapter(rank=8, inner=Adam(betas=(0, 0))),
        ),
        (["optimizer=muon", "optimizer=adam"], Adam()),
    ],
)
def test_a_part_just_chosen_takes_assignments(assignments: list[str], expected: Any) -> None:
    assert override(JOB, assignments).optimizer == expected


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["layers.0.position=rotary"], Layer(position=Rotary())),
        (["layers.0.position=rotary", "layers.0.position.theta=5"], Layer(position=Rotary(theta=5))),
        (["layers.0.position={}", "layers.0.position.theta=5"], Layer(position=Rotary(theta=5))),
        (["layers.0.places=learned"], Layer(places=Learned())),
        (['layers.0.places="rotary"', "layers.0.places.theta=5"], Layer(places=Rotary(theta=5))),
        (["layers.0.places=rotary", "layers.0.places=null"], Layer()),
        (['layers=[{"width": 9}]', "layers.0.position=rotary"], Layer(width=9, position=Rotary())),
    ],
)
def test_an_optional_part_is_chosen_by_name(assignments: list[str], expected: Layer) -> None:
    assert override(JOB, assignments).layers == (expected,)


@pytest.mark.parametrize(
    ("assignment", "field", "value"),
    [
        ("path=2024", "path", "2024"),
        ("path=1e3", "path", "1e3"),
        ("path=null", "path", "null"),
        ("path=[a", "path", "[a"),
        ('path="7"', "path", "7"),
        ('path=["a", "b"]', "path", ("a", "b")),
        ("prompts.0=3", "prompts", ("3",)),
        ("precision=bfloat16", "precision", "bfloat16"),
        ("limit=3", "limit", 3),
        ("batch=3", "batch", 3),
        ("batch=auto", "batch", "auto"),
        ("share=0", "share", 0.0),
        ("weights.code=2", "weights", {"code": 2.0}),
        ('weights={"text": 0.5}', "weights", {"text": 0.5}),
    ],
)
def test_the_type_of_the_field_tells_how_a_value_is_read(assignment: str, field: str, value: Any) -> None:
    found = getattr(override(JOB, [assignment]), field)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["optimizer=moun"], ["optimizer: unknown kind 'moun', did you mean 'muon'?"]),
        (["optimizer=3"], ["optimizer: unknown kind '3', known: adam, adapter, muon"]),
        (['optimizer={"kind": 7}'], ["optimizer: unknown kind 7, known: adam, adapter, muon"]),
        (["optimizer={}"], ["optimizer.kind is missing, known: adam, adapter, muon"]),
        (["layers.0.position=none"], ["layers.0.position: unknown kind 'none', known: null, rotary"]),
        # What hangs on a wrong kind is not a second mistake, and other mistakes are told beside it.
        (
            ["optimizer=moun", "optimizer.momentum=0.5", "sead=1"],
            [
                "optimizer: unknown kind 'moun', did you mean 'muon'?",
                "there is no 'sead': 'sead' is not in the configuration, did you mean 'seed'?",
            ],
        ),
        (
            ["optimizer=muon", "optimizer.rest.beta=1"],
            ["there is no 'optimizer.rest.beta': 'beta' is not in optimizer.rest, did you mean 'betas'?"],
        ),
        (
            ["layers.0.places.theta=5"],
            [
                "there is no 'layers.0.places.theta': layers.0.places is null; "
                "choose it first: layers.0.places=learned or rotary"
            ],
        ),
        (
            ["weights.text=5"],
            ["there is no 'weights.text': 'text' is not in weights, known: code"],
        ),
    ],
)
def test_a_wrong_place_or_kind_says_what_to_write(assignments: list[str], expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        override(JOB, assignments)
    assert str(caught.value) == "; ".join(expected)


def test_an_empty_name_is_a_mistake_like_any_other() -> None:
    with pytest.raises(ConfigError, match="there is no '': '' is not in the configuration, known: "):
        override(JOB, ["=3"])
