"""The public surface as text: names, verbs with their options, config fields. One line each, sorted.

`make surface` writes it to surface.txt; the test beside it compares. The names are what `hornbook.__all__`
lists, the verbs what the command line knows, the fields those of every `Config` class of the package.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FROZEN = Path(__file__).with_name("surface.txt")


def written() -> str:
    """The whole surface as it stands."""
    parts = {"names": names(), "verbs": verbs(), "config fields": config_fields()}
    return "\n".join("\n".join([f"# {title}", *sorted(lines), ""]) for title, lines in parts.items())


def changes(old: str, new: str) -> list[str]:
    """What differs between two surfaces: `-line` gone, `+line` new."""
    marked = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in marked if not line.startswith(("---", "+++", "@@"))]


def names() -> Iterator[str]:
    """The names a program may use: `hornbook.train`."""
    import hornbook

    yield from (f"hornbook.{name}" for name in hornbook.__all__)


def verbs() -> Iterator[str]:
    """Each verb with its arguments and options: `hornbook chat FOLDER`, `hornbook chat --seed`."""
    import typer

    app = importlib.import_module("hornbook.cli.main").app
    yield from _verbs("hornbook", typer.main.get_command(app))


def _verbs(path: str, command: Any) -> Iterator[str]:
    for parameter in command.params:
        option = parameter.param_type_name == "option"
        shown = [*parameter.opts, *parameter.secondary_opts] if option else [parameter.name.upper()]
        yield f"{path} {'/'.join(shown)}"
    inner = getattr(command, "commands", {})
    for name, verb in inner.items():
        yield from _verbs(f"{path} {name}", verb)
    if not inner and not command.params:
        yield path


def config_fields() -> Iterator[str]:
    """Each field of each config class, by room: `model.RotaryConfig.theta`."""
    import hornbook
    from hornbook.base.config import Config

    for found in pkgutil.walk_packages(hornbook.__path__, "hornbook."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for cls in _below(Config):
        room = cls.__module__.split(".")[1]
        yield from (f"{room}.{cls.__name__}.{field}" for field in cls.model_fields)


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    """Every class of the package derived from this one; those that tests define are not its own."""
    for derived in cls.__subclasses__():
        if derived.__module__.startswith("hornbook."):
            yield derived
        yield from _below(derived)


if __name__ == "__main__":
    FROZEN.write_text(written(), "utf-8")
