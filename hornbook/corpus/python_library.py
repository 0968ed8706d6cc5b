"""The text that every Python carries: a corpus that needs no download.

Four kinds of document, under `meta["kind"]`: `code` (the standard library's source files), `prose` (the
text files beside them), `reference` (the language reference, from `pydoc_data.topics`) and `docstrings` (the
help texts of compiled modules). The same interpreter gives the same documents, byte for byte, whatever
is installed beside it.

Left out and booked: the test suites (many distributions do not ship them), tables made by a program, and
reference topics that stand word for word inside another topic. `site-packages` is not part of the standard
library and never enters the books.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from hornbook.base.errors import TextError
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step
from hornbook.corpus.readers import admit

NOTE = "The standard library's files, the language reference and the docstrings of compiled modules are read."

_KINDS = {".py": "code", ".rst": "prose", ".txt": "prose"}
_INSTALLED = {"site-packages", "dist-packages", "__pycache__"}
_TEST_SUITES = {"test", "tests", "idle_test"}
_TABLES = (
    "_sysconfigdata_*.py",
    "encodings/cp*.py",
    "encodings/hp_roman8.py",
    "encodings/iso8859_*.py",
    "encodings/koi8_*.py",
    "encodings/kz1048.py",
    "encodings/mac_*.py",
    "encodings/palmos.py",
    "encodings/ptcp154.py",
    "encodings/tis_620.py",
    "html/entities.py",
)
_TOPICS = "pydoc_data/topics.py"
_PATIENCE_S = 120


def read_python_library(step: Step | None = None, folder: Path | None = None) -> Iterator[Document]:
    """Return the documents of the running interpreter's own text; `folder` stands in for its library.

    Raises `TextError` at once where the library's source files are not on the disk.
    """
    place = folder or Path(sysconfig.get_path("stdlib"))
    if not (place / "os.py").is_file():
        raise TextError(
            f"this Python keeps no source files of its standard library in {place} (some ship it zipped or "
            "compiled only); use another Python, or give text of your own"
        )
    return _read(place, step or Step("read", NOTE))


def _read(folder: Path, step: Step) -> Iterator[Document]:
    yield from _files(folder, step)
    yield from _topics(folder, step)
    yield from _compiled(step)


def _files(folder: Path, step: Step) -> Iterator[Document]:
    """Yield the source and prose files, in the order of their names."""
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        source = f"python/lib/{name}"
        reason = _why_not(name)
        try:
            raw = b"" if reason else path.read_bytes()
            n_bytes = path.stat().st_size
        except OSError as error:
            reason, n_bytes, raw = "unreadable", 0, (error.strerror or "").encode()
        if reason:
            step.enter(n_bytes)
            step.drop(reason, source, n_bytes, raw)
        elif document := admit(raw, source, step, {"kind": _KINDS[path.suffix]}):
            yield document


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files of the kinds we read, sorted, without installed packages."""
    for place, names, files in os.walk(folder):
        names[:] = sorted(set(names) - _INSTALLED)
        yield from (Path(place, name) for name in sorted(files) if Path(name).suffix in _KINDS)


def _why_not(name: str) -> str:
    """Why a file of the library is not wanted; empty where it is."""
    if _TEST_SUITES.intersection(name.split("/")[:-1]):
        return "test suite"
    if name == _TOPICS:
        return "read topic by topic"
    return "table made by a program" if any(fnmatchcase(name, table) for table in _TABLES) else ""


def _topics(folder: Path, step: Step) -> Iterator[Document]:
    """Yield the topics of the language reference, read without importing them."""
    try:
        tree = ast.parse((folder / _TOPICS).read_bytes())
    except (OSError, SyntaxError) as error:
        step.enter(0)
        step.drop("no language reference", f"python/lib/{_TOPICS}", 0, type(error).__name__)
        return
    topics = _longest_first(_literal(tree, "topics"))
    bodies: list[str] = []
    for name, text in topics.items():
        body = text.partition("\n")[2].strip("*=-~^\n ")
        source = f"python/reference/{name}"
        if body and any(body in longer for longer in bodies):
            n_bytes = len(text.encode())
            step.enter(n_bytes)
            step.drop("stands inside another topic", source, n_bytes, text)
        elif document := admit(text.encode(), source, step, {"kind": "reference"}):
            bodies.append(text)
            yield document


def _longest_first(topics: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(topics.items(), key=lambda item: (-len(item[1]), item[0])))


def _literal(tree: ast.Module, name: str) -> dict[str, str]:
    """The value of the module's assignment `name = {...}`; empty where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            value = ast.literal_eval(node.value)
            return {str(key): str(text) for key, text in value.items()}
    return {}


def _compiled(step: Step) -> Iterator[Document]:
    """Yield the help texts of the compiled modules, told by a fresh interpreter."""
    for entry in _ask():
        source = f"python/docstrings/{entry['name']}"
        if "why" in entry:
            step.enter(0)
            step.drop("compiled module with nothing to tell", source, 0, entry["why"])
        elif document := admit(entry["text"].encode(), source, step, {"kind": "docstrings"}):
            yield document


def _ask() -> list[dict[str, str]]:
    """Run `compiled_docs` in an interpreter without the user's settings or installed packages."""
    script = Path(__file__).with_name("compiled_docs.py")
    command = [sys.executable, "-I", "-S", "-B", str(script)]
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=True
        )
        entries: list[dict[str, str]] = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return [{"name": "(all)", "why": f"the interpreter did not answer: {type(error).__name__}"}]
    return entries
