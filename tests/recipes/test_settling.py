"""What is left to the machine: settled once, by counted memory and estimated time, and told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hornbook.base.config import to_dict
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes import settling
from hornbook.recipes.continued import continued
from hornbook.recipes.needs import Needs
from hornbook.recipes.settling import settled
from hornbook.recipes.shapes import resolve
from hornbook.train import compile as compiling
from hornbook.train import device
from hornbook.train.config import RunConfig

TINY = [
    *("size=1", "vocab_size=300", "data.seq_len=32", "data.batch_size=12"),
    *("train.device=cpu", "train.precision=float32"),
]


def tiny(*assignments: str) -> RunConfig:
    return resolve("quickstart", [*TINY, *assignments])


def peak(config: RunConfig, rows: int) -> int:
    needs = Needs(config)
    return needs.step_peak(needs.learning(rows, "none"))


def with_free(monkeypatch: pytest.MonkeyPatch, n_bytes: float | None) -> None:
    free = None if n_bytes is None else int(n_bytes / settling.SHARE_OF_MEMORY) + 1
    monkeypatch.setattr(settling, "free_memory", lambda device: free)


def test_where_memory_is_plenty_the_batch_is_whole_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for free in (1e12, None):
        with_free(monkeypatch, free)
        config, sentences = settled(tiny())
        assert (config.train.micro_batch_size, sentences) == (None, [])


@pytest.mark.parametrize("rows", [6, 3])
def test_where_memory_is_short_the_batch_is_cut_until_it_fits(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    with_free(monkeypatch, peak(tiny(), rows))
    config, sentences = settled(tiny())
    assert config.train.micro_batch_size == rows
    assert sentences[0].startswith(f"{rows} of 12 rows at once: of ")


def test_where_one_row_is_too_much_that_is_said_and_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 1000)
    config, sentences = settled(tiny())
    assert config.train.micro_batch_size == 1
    assert "may be too much; train.recompute=block takes less" in sentences[0]


def test_what_was_asked_for_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 1000)
    asked = tiny("train.micro_batch_size=5", "train.compile=always")
    assert settled(asked) == (asked, [])
    assert settled(tiny("train.micro_batch_size=null"))[0].train.micro_batch_size is None


def test_a_short_run_is_not_compiled_and_a_long_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a machine of one GFLOP/s a step of this model takes some seconds at most."""
    monkeypatch.setattr(settling, "matmul_peak", lambda device, precision: 1e9)
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)
    with_free(monkeypatch, None)
    config, sentences = settled(tiny("train.steps=10"))
    assert (config.train.compile, sentences) == ("never", [])
    config, (sentence,) = settled(tiny("train.steps=20000"))
    assert config.train.compile == "always"
    assert sentence.startswith("compiled: it takes about 40 s and would save about ")


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "matmul_peak", lambda device, precision: 1e9)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with_free(monkeypatch, None)
    config, sentences = settled(tiny("train.steps=20000"))
    assert config.train.compile == "never"
    assert sentences == ["not compiled: there is no C++ compiler on this machine"]


def test_what_is_settled_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    once, _ = settled(tiny())
    with_free(monkeypatch, 1000)
    assert settled(once) == (once, [])


def test_a_resume_that_leaves_it_open_goes_on_with_what_was_settled(tmp_path: Path) -> None:
    """Whatever the machine has free by then: another cut of the batch would round otherwise."""
    folder = RunFolder(tmp_path)
    begun = tiny("train.micro_batch_size=3", "train.compile=never", "train.precision=float32")
    write_json(folder.config_path, to_dict(begun))
    assert continued(folder, tiny("train.precision=auto")) == begun
    changed = continued(folder, tiny("train.micro_batch_size=6"))
    assert (changed.train.micro_batch_size, changed.train.compile) == (6, "never")


def test_there_is_free_memory_here() -> None:
    free = device.free_memory(torch.device("cpu"))
    assert free is None or 0 < free < 2**60


def test_a_control_group_s_limit_counts(tmp_path: Path) -> None:
    for name, text in (("max", "1000\n"), ("current", "700\n"), ("stat", "anon 5\ninactive_file 200\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert device._left_in_group(tmp_path) == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert device._left_in_group(tmp_path) is None
    assert device._left_in_group(tmp_path / "nowhere") is None
