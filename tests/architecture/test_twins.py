"""Every room with a subject to teach has a readable twin, and a test that ties it to the fast part."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from architecture.house import ROOT, fabricate, imports, read_house, rooms

TAUGHT = {"corpus", "tokenizer", "model", "data", "generate", "train"}
"""The rooms that owe a `reference.py`. A room joins this list in the change that creates it."""


def references() -> list[str]:
    """The modules to read: `reference.py` of each room, and the `*_reference.py` beside it."""
    return [module.name for module in read_house() if module.name.endswith((".reference", "_reference"))]


def importers_of(reference: str) -> list[str]:
    """The test files that import one reference module."""
    return [file for file, names in imported_by_tests().items() if reference in names]


@cache
def imported_by_tests() -> dict[str, set[str]]:
    """What each test file imports."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return {str(path.relative_to(ROOT)): imported(path.read_text("utf-8")) for path in files}


def imported(source: str) -> set[str]:
    """Modules, and the names that are taken from them."""
    return {name for wanted in imports(fabricate("tests.x", source)) for name in (wanted.full, wanted.module)}


@pytest.mark.parametrize("room", sorted(TAUGHT & rooms()))
def test_a_taught_room_has_a_reference_that_a_test_ties_to_it(room: str) -> None:
    reference = f"hornbook.{room}.reference"
    assert reference in {module.name for module in read_house()}, f"{room} has no reference.py to read"
    assert importers_of(reference), f"no test compares {reference} with the fast part"


@pytest.mark.parametrize("reference", references())
def test_a_test_ties_every_reference_to_the_fast_part(reference: str) -> None:
    assert importers_of(reference), f"no test compares {reference} with the fast part"


def test_a_reference_is_explained() -> None:
    """Each function of a reference says what it is; there is no other text around it."""
    bare = [
        f"{module.name}.{node.name}"
        for module in read_house()
        if module.name in references()
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not ast.get_docstring(node)
    ]
    assert bare == []


@pytest.mark.parametrize(
    "source",
    [
        "import hornbook.model.reference",
        "from hornbook.model import reference",
        "from hornbook.model.reference import attend",
        "def test_x():\n    from hornbook.model import attend, reference as twin",
    ],
)
def test_an_import_of_a_reference_is_seen(source: str) -> None:
    assert "hornbook.model.reference" in imported(source)


def test_other_imports_are_not_taken_for_it() -> None:
    assert "hornbook.model.reference" not in imported("from hornbook.train import reference")
    assert "hornbook.model.reference" not in imported("import hornbook.model")
