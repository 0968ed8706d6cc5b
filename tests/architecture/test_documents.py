"""docs/architecture.md tells of the house as it stands, and the project files agree with each other."""

from __future__ import annotations

import ast
import pkgutil
import re
from importlib import metadata

import pytest
from architecture.house import FLOORS, PACKAGE, ROOT, project, read_house, rooms

ROW = re.compile(r"^\| (\d) \| `(\w+)` \| (built|planned) \|", flags=re.MULTILINE)


def architecture_rows() -> dict[str, tuple[int, str]]:
    """Room -> (floor, state) as the table of docs/architecture.md has it."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    return {room: (int(floor), state) for floor, room, state in ROW.findall(text)}


def test_the_table_of_floors_is_the_law() -> None:
    assert {room: floor for room, (floor, _) in architecture_rows().items()} == FLOORS


def test_the_table_says_which_rooms_are_built() -> None:
    assert {room for room, (_, state) in architecture_rows().items() if state == "built"} == rooms()


def test_every_extra_a_message_names_exists() -> None:
    """`MissingPackageError("ray", "corpus")` says to install `hornbook[corpus]`: there is such an extra."""
    calls = [node for module in read_house() for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    named = [
        argument.value
        for call in calls
        if ast.unparse(call.func).endswith("MissingPackageError")
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)][1:]
        if isinstance(argument, ast.Constant)
    ]
    assert set(named) <= set(project()["project"]["optional-dependencies"])


def direct_dependencies() -> list[str]:
    """The names of all that the core and the development extra ask for."""
    table = project()["project"]
    lines = [*table["dependencies"], *table["optional-dependencies"]["dev"]]
    return [canonical(re.split(r"[<>=!~\[ ]", line, maxsplit=1)[0]) for line in lines]


def pins() -> dict[str, str]:
    """Distribution -> version as constraints.txt pins them."""
    text = (ROOT / "constraints.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonical(name): version for name, version in (line.split("==") for line in lines)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned() -> None:
    assert set(direct_dependencies()) <= set(pins())


@pytest.mark.parametrize("name", direct_dependencies())
def test_the_tests_run_on_the_pinned_versions(name: str) -> None:
    """A build suffix such as torch's `+cpu` does not count."""
    assert metadata.version(name).split("+")[0] == pins()[name]


def test_the_version_is_written_once_in_each_place() -> None:
    import hornbook

    version = project()["project"]["version"]
    assert hornbook.__version__ == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_code_names_of_the_documents_exist() -> None:
    """`hornbook.base.files.atomic_write` in a document is something one can import."""
    texts = [path.read_text("utf-8") for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md")]
    named = {name for text in texts for name in re.findall(r"`(hornbook(?:\.\w+)+)\b(?!\.)", text)}
    assert "hornbook.base.files.atomic_write" in named
    for name in sorted(named):
        assert pkgutil.resolve_name(name) is not None


def documents() -> list[str]:
    """The Markdown files of the project."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


@pytest.mark.parametrize("document", documents())
def test_the_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    assert [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()] == []


def test_every_file_of_the_package_is_packaged() -> None:
    """A template that no pattern names would be missing from a wheel, and only there."""
    patterns = [
        pattern.split("/")[-1] for pattern in project()["tool"]["setuptools"]["package-data"]["hornbook"]
    ]
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    files = [path for path in files if "__pycache__" not in path.parts]
    assert [path for path in files if not any(path.match(pattern) for pattern in patterns)] == []
