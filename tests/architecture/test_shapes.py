"""Shape annotations are checked while the tests run, in every module that carries them."""

from __future__ import annotations

import ast

import pytest
from architecture.house import Module, fabricate, imports, project, read_house

OPTION = "--jaxtyping-packages="


def checked_packages() -> list[str]:
    """The packages that pyproject.toml hands to the shape checker; the last word there is the checker."""
    options = project()["tool"]["pytest"]["ini_options"]["addopts"]
    (listed,) = [option.removeprefix(OPTION) for option in options if option.startswith(OPTION)]
    *packages, checker = listed.split(",")
    assert checker == "beartype.beartype"
    return packages


def modules_that_import(library: str) -> set[str]:
    found = [(module.name, wanted.module) for module in read_house() for wanted in imports(module)]
    return {name for name, wanted in found if wanted.split(".")[0] == library}


def is_checked(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in checked_packages())


def test_every_annotated_module_is_checked() -> None:
    """A module with jaxtyping annotations outside the list would carry promises that nobody checks."""
    assert [name for name in sorted(modules_that_import("jaxtyping")) if not is_checked(name)] == []


def test_no_checked_module_is_compiled() -> None:
    """Numba cannot compile a function that the checker has wrapped."""
    assert [name for name in sorted(modules_that_import("numba")) if is_checked(name)] == []


def test_a_wrong_shape_raises() -> None:
    """The hook is at work: a tensor of the wrong rank is refused by the annotation, not by torch."""
    import torch
    from beartype.roar import BeartypeCallHintViolation
    from jaxtyping import TypeCheckError

    from hornbook.model import reference

    with pytest.raises((TypeCheckError, BeartypeCallHintViolation)):
        reference.softmax(torch.zeros(2, 3))


def unchecked_protocols(module: Module) -> list[str]:
    """The protocols of a module that `isinstance` cannot judge, and with it the checker."""
    return [
        f"{module.name}.{node.name} is a Protocol without @runtime_checkable"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).split("[")[0].endswith("Protocol") for base in node.bases)
        and not any(ast.unparse(mark).endswith("runtime_checkable") for mark in node.decorator_list)
    ]


def test_protocols_can_be_checked_at_run_time() -> None:
    """A checked function that takes a bare protocol cannot even be defined: its module fails to import."""
    checked = [module for module in read_house() if module.room == "base" or is_checked(module.name)]
    assert [breach for module in checked for breach in unchecked_protocols(module)] == []


def test_a_bare_protocol_is_seen() -> None:
    bare = fabricate("hornbook.data.x", "class Encoder(Protocol):\n    pass\nclass Other(Encoder):\n    pass")
    assert unchecked_protocols(bare) == ["hornbook.data.x.Encoder is a Protocol without @runtime_checkable"]
    good = fabricate("hornbook.data.x", "@runtime_checkable\nclass Encoder(Protocol[T]):\n    pass")
    assert unchecked_protocols(good) == []
