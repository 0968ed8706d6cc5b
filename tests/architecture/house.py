"""What the law tests know of the house: its floors, its rooms, and its source as parsed modules.

`read_house()` parses every module of the package; `fabricate(name, source)` makes one from a string, so
that each law is also tried on a small source that breaks it. Nothing of the package is imported here.
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hornbook"

FLOORS: dict[str, int] = {
    "base": 0,
    **dict.fromkeys(("corpus", "tokenizer", "model"), 1),
    **dict.fromkeys(("data", "parallel", "adapt"), 2),
    **dict.fromkeys(("checkpoint", "generate"), 3),
    **dict.fromkeys(("train", "plan"), 4),
    **dict.fromkeys(("align", "evaluate", "serve"), 5),
    **dict.fromkeys(("recipes", "course"), 6),
    "cli": 7,
}

SURFACE = {"hornbook", "hornbook.__main__"}
"""The modules above all floors: what users import and run."""


@dataclass(frozen=True)
class Module:
    """One parsed source file; `name` is dotted, and a package goes by the name of its folder."""

    name: str
    source: str
    tree: ast.Module
    is_package: bool = False

    @property
    def room(self) -> str | None:
        """The room the module lies in; None for the public surface."""
        return None if self.name in SURFACE else self.name.split(".")[1]


@dataclass(frozen=True)
class Import:
    """One imported name: the module it comes from, the name (None for `import x`), and where it stands."""

    module: str
    name: str | None
    line: int
    lazy: bool
    """Inside a function, so that it runs when the function is called and not at import."""

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


def fabricate(name: str, source: str, is_package: bool = False) -> Module:
    """Parse a source string as the module of that dotted name."""
    text = textwrap.dedent(source)
    return Module(name, text, ast.parse(text), is_package)


@cache
def read_house() -> tuple[Module, ...]:
    """Every module of the package, parsed, in the order of their paths."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return fabricate(".".join(parts[:-1] if is_package else parts), path.read_text("utf-8"), is_package)


def rooms() -> set[str]:
    """The rooms that exist today: every folder or module directly inside the package."""
    return {room for module in read_house() if (room := module.room)}


def imports(module: Module) -> Iterator[Import]:
    """Every import of a module, relative ones resolved, `importlib.import_module("x")` included."""
    lazy = _inside_functions(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno, node in lazy)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(_absolute(module, node), alias.name, node.lineno, node in lazy)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield Import(name, None, node.lineno, node in lazy)


def _inside_functions(tree: ast.Module) -> set[ast.AST]:
    functions = [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    return {inner for function in functions for inner in ast.walk(function) if inner is not function}


def _imported_by_call(node: ast.Call) -> str | None:
    """The module that a call such as `importlib.import_module("x")` imports, where it is spelt out."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            return name if ast.unparse(function).endswith(("import_module", "__import__")) else None
    return None


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    """The dotted module an import names, whatever number of dots it began with."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


@cache
def project() -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def is_standard(name: str) -> bool:
    """Whether a dotted module belongs to Python's standard library."""
    return name.split(".")[0] in sys.stdlib_module_names
