from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import pytest

from hornbook.base.errors import TextError
from hornbook.corpus import compiled_docs, python_library
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step
from hornbook.corpus.python_library import read_python_library


@pytest.fixture(scope="module")
def library() -> tuple[list[Document], Step]:
    step = Step("read")
    return list(read_python_library(step)), step


@pytest.fixture
def tiny_library(tmp_path: Path) -> Path:
    files = {
        "os.py": "code",
        "LICENSE.txt": "prose",
        "picture.png": "not ours",
        "test/test_os.py": "test",
        "json/tests/test_json.py": "test",
        "encodings/cp1252.py": "table",
        "encodings/utf_8.py": "code",
        "site-packages/other/__init__.py": "installed",
        "__pycache__/os.txt": "compiled",
        "pydoc_data/topics.py": "topics = {'with': 'With\\n====\\n\\nThe body.\\n', "
        "'compound': 'Compound\\n========\\n\\nThe body.\\n\\nMore.\\n', "
        "'power': 'Power\\n=====\\n\\nUp.\\n'}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_it_holds_code_and_prose_in_plenty(library: tuple[list[Document], Step]) -> None:
    documents, step = library
    sizes: Counter[str] = Counter()
    for document in documents:
        sizes[document.meta["kind"]] += document.n_bytes
    assert sizes.total() > 8_000_000
    assert sizes["code"] > 7_000_000
    assert sizes["reference"] > 300_000
    assert sizes["docstrings"] > 200_000
    assert step.balanced()
    assert step.left.bytes == sizes.total()


def test_every_source_is_unique_and_none_is_installed_or_a_test(
    library: tuple[list[Document], Step],
) -> None:
    sources = [document.source for document in library[0]]
    assert len(set(sources)) == len(sources)
    for source in sources:
        assert not {"site-packages", "dist-packages", "test", "tests", "idle_test"} & set(source.split("/"))
        assert source.startswith(("python/lib/", "python/reference/", "python/docstrings/"))
    assert "python/lib/json/decoder.py" in sources
    assert "python/docstrings/math" in sources


def test_the_docstrings_show_no_addresses_or_paths(library: tuple[list[Document], Step]) -> None:
    told = [document for document in library[0] if document.meta["kind"] == "docstrings"]
    for document in told:
        assert " at 0x" not in document.text
        assert sys.prefix not in document.text and sys.base_prefix not in document.text


def test_the_same_interpreter_tells_the_same_whatever_surrounds_it(
    library: tuple[list[Document], Step], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("LANG", "C")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "math.py").write_text("raise RuntimeError('not the real one')")
    assert list(read_python_library()) == library[0]


def test_the_callers_process_imports_nothing() -> None:
    code = (
        "import sys; from hornbook.corpus.python_library import read_python_library; "
        "before = set(sys.modules); n = sum(1 for _ in read_python_library()); "
        "new = set(sys.modules) - before; "
        "assert n > 100 and not {'pydoc_data.topics', '_curses', '_tkinter'} & new, new"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": _package_root()}
    )


def _package_root() -> str:
    return str(Path(python_library.__file__).parents[2])


def test_what_is_left_out_of_a_library(tiny_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_library, "_ask", lambda: [{"name": "math", "text": "math\n"}])
    step = Step("read")
    documents = list(read_python_library(step, tiny_library))
    assert [(document.source, document.meta["kind"]) for document in documents] == [
        ("python/lib/LICENSE.txt", "prose"),
        ("python/lib/os.py", "code"),
        ("python/lib/encodings/utf_8.py", "code"),
        ("python/reference/compound", "reference"),
        ("python/reference/power", "reference"),
        ("python/docstrings/math", "docstrings"),
    ]
    assert {reason: entry.count.documents for reason, entry in step.dropped.items()} == {
        "test suite": 2,
        "table made by a program": 1,
        "read topic by topic": 1,
        "stands inside another topic": 1,
    }
    assert step.balanced()


def test_a_library_without_a_language_reference_is_read_and_the_lack_is_booked(
    tiny_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_library / "pydoc_data" / "topics.py").unlink()
    monkeypatch.setattr(python_library, "_ask", lambda: [])
    step = Step("read")
    assert len(list(read_python_library(step, tiny_library))) == 3
    assert step.dropped["no language reference"].count.documents == 1


def test_a_library_that_is_not_on_the_disk_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="keeps no source files of its standard library"):
        read_python_library(folder=tmp_path)


def test_an_interpreter_that_does_not_answer_costs_the_docstrings_only(
    tiny_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tiny_library / "no-such-python"))
    step = Step("read")
    assert len(list(read_python_library(step, tiny_library))) == 5
    (example,) = step.dropped["compiled module with nothing to tell"].examples.to_list()
    assert example["excerpt"] == "the interpreter did not answer: FileNotFoundError"


def test_a_help_text_reads_well() -> None:
    import math

    text = compiled_docs.help_text(math, set())
    assert text.startswith("math\n====\n\nThis module provides access to")
    assert "\n\nsqrt(x, /)\n    Return the square root of x.\n\n" in text


def test_shared_docstrings_are_told_once_and_values_never() -> None:
    module = types.ModuleType("example", "About the example.")

    class First:
        """The first."""

        __slots__ = ()

        def method(self) -> None:
            """Shared."""

    class Second:
        """The second."""

        __slots__ = ()

        def method(self) -> None:
            """Shared."""

    vars(module).update(Second=Second, First=First, value=object(), untold=len)
    text = compiled_docs.help_text(module, {("len", len.__doc__ or "")})
    assert text == (
        "example\n=======\n\nAbout the example.\n\n"
        "class First\n    The first.\n\nFirst.method\n    Shared.\n\nclass Second\n    The second.\n"
    )
    assert compiled_docs.help_text(types.ModuleType("silent"), set()) == ""


def test_a_module_that_cannot_be_imported_is_reported_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled_docs, "compiled_modules", lambda: ["math", "no_such_module"])
    compiled_docs.main()
    math, missing = json.loads(capsys.readouterr().out)
    assert math["name"] == "math" and "sqrt" in math["text"]
    assert missing == {"name": "no_such_module", "why": "cannot be imported: ModuleNotFoundError"}
