"""The tiny run that tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from recipes import tiny_runs


@pytest.fixture(scope="session")
def home() -> Path:
    """A folder with `texts/` and a finished `run/`; nobody changes them."""
    return tiny_runs.home()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with `texts/` in it, where the test stands."""
    tiny_runs.write_texts(tmp_path / "texts")
    with tiny_runs.inside(tmp_path):
        yield tmp_path
