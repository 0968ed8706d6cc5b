"""Tells the docstrings of Python's compiled modules as readable help texts.

`python_library` runs this file as a script in a fresh interpreter, so that the caller's process imports
nothing and what it imported before changes nothing. It therefore uses the standard library only. It
writes one JSON list to standard output: `{"name", "text"}` for a module told, `{"name", "why"}` for one
that has nothing to tell.

Every text is the same on every run: names are sorted, values (which may hold addresses) are never shown,
and a docstring that many types share, as `Return repr(self).`, is told once.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import json
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

_TEST_MODULES = ("_test", "_xx", "xx")
_UNTOLD = {"__loader__", "__spec__"}  # how the module was found, not what it holds
_BOUND = re.compile(r"^\(\$\w+(, )?(/, |/)?")  # the argument that Python fills in: `($self, /, ` and kin


def main() -> None:
    """Write the help texts of all compiled modules to standard output."""
    told: set[tuple[str, str]] = set()
    report = [_tell(name, told) for name in compiled_modules()]
    sys.stdout.write(json.dumps(report))


def compiled_modules() -> list[str]:
    """Return the names of the standard library's modules that have no Python source, tests left out."""
    names = sorted({*sys.builtin_module_names, *sys.stdlib_module_names})
    return [name for name in names if not name.startswith(_TEST_MODULES) and _is_compiled(name)]


def help_text(module: types.ModuleType, told: set[tuple[str, str]]) -> str:
    """Return the docstrings of a module, its functions, classes and methods; empty where it has none.

    `told` collects (name, docstring) of everything told so far; what is in it is not told again.
    """
    title = module.__name__
    blocks = [f"{title}\n{'=' * len(title)}"]
    if module.__doc__:
        blocks.append(inspect.cleandoc(module.__doc__))
    blocks += _members(module, "", told)
    return "\n\n".join(blocks) + "\n" if len(blocks) > 1 else ""


def _tell(name: str, told: set[tuple[str, str]]) -> dict[str, str]:
    try:
        text = help_text(importlib.import_module(name), told)
    except Exception as error:  # a module whose C library is absent must not cost the others
        return {"name": name, "why": f"cannot be imported: {type(error).__name__}"}
    return {"name": name, "text": text} if text else {"name": name, "why": "no docstrings"}


def _is_compiled(name: str) -> bool:
    if name in sys.builtin_module_names:
        return True
    spec = importlib.machinery.PathFinder.find_spec(name)
    return spec is not None and isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)


def _members(owner: Any, prefix: str, told: set[tuple[str, str]]) -> Iterator[str]:
    """Yield one block for each documented function, class, method and attribute that the owner defines."""
    for name, value in sorted(vars(owner).items()):
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if name in _UNTOLD or not _is_documented_thing(inner):
            continue
        own_name = getattr(inner, "__name__", name)
        doc = inspect.cleandoc(inner.__doc__) if isinstance(inner.__doc__, str) else ""
        key = (own_name, doc or str(getattr(inner, "__module__", "")))
        if key in told:
            continue
        told.add(key)
        full_name = f"{prefix}{own_name}"
        if doc:
            yield f"{_heading(inner, full_name)}\n{_indent(doc)}"
        if inspect.isclass(inner):
            yield from _members(inner, f"{full_name}.", told)


def _is_documented_thing(value: Any) -> bool:
    """Say whether a value is code or a field of a class; plain data is not told."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return True
    return inspect.isgetsetdescriptor(value) or inspect.ismemberdescriptor(value)


def _heading(value: Any, full_name: str) -> str:
    """The name with its arguments, as far as the interpreter knows them."""
    kind = "class " if inspect.isclass(value) else ""
    signature = getattr(value, "__text_signature__", None) or ""
    return kind + full_name + _BOUND.sub("(", signature)


def _indent(doc: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in doc.split("\n"))


if __name__ == "__main__":
    main()
