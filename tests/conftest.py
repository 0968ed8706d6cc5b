"""What all tests share: the folder of real data, a tiny run, and how hypothesis searches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from recipes import tiny_runs

# No deadline: the first call of a compiled function takes seconds, and no test asserts on time. On a server
# that judges changes (CI=true) the examples are always the same ones; at a desk they are new every time.
hypothesis.settings.register_profile(
    "hornbook", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("hornbook")

# Processes of tests share the machine, and none takes all of it.
n_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
torch.set_num_threads(max(1, torch.get_num_threads() // n_processes))


# Whoever starts the tests in the background may have told them to ignore Ctrl-C, and what they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that HORNBOOK_DATA names; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("HORNBOOK_DATA")
    if not folder:
        pytest.skip("needs real texts: set HORNBOOK_DATA to their folder")
    path = Path(folder)
    assert path.is_dir(), f"HORNBOOK_DATA names {folder}, which is no folder"
    return path


@pytest.fixture(scope="session")
def home() -> Path:
    """A folder with `texts/` and a finished tiny `run/`; nobody changes them."""
    return tiny_runs.home()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with `texts/` in it, where the test stands."""
    tiny_runs.write_texts(tmp_path / "texts")
    with tiny_runs.inside(tmp_path):
        yield tmp_path
