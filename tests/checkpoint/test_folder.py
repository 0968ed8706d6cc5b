"""The run folder: what is written comes back, nothing is lost, and what is wrong is named with its remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model.small_encoders import scrambled as drawn
from model.small_models import CONFIGS, model_config, scrambled
from model.small_shapes import shaped_configs
from torch import nn

from hornbook.base.config import to_dict
from hornbook.base.errors import RunFolderError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import FORMAT, RunFolder
from hornbook.model.config import HeadConfig, ModelConfig
from hornbook.model.models import CausalLM
from hornbook.model.shapes import build_model

SHAPES = {
    "grouped": CONFIGS["grouped"],
    "learned positions, tied": CONFIGS["learned positions"],
    "tied": model_config(head=HeadConfig(tied=True)),
    "head with a bias": CONFIGS["all norm slots"],
}
every_shape = pytest.mark.parametrize("config", list(SHAPES.values()), ids=list(SHAPES))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A folder that a run has begun in."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.update_run(status="running")
    return folder


def with_model(folder: RunFolder, config: ModelConfig = CONFIGS["grouped"]) -> CausalLM:
    """Write a configuration and weights into the folder."""
    model = scrambled(config)
    write_json(folder.config_path, {"format": FORMAT, "model": to_dict(config)})
    folder.save_model(model, step=3)
    return model


def assert_equal_weights(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@every_shape
def test_a_model_comes_back_bit_for_bit(folder: RunFolder, config: ModelConfig) -> None:
    model = with_model(folder, config)
    read = folder.read_model(config)
    assert isinstance(read, CausalLM)
    assert_equal_weights(read, model)
    assert (read.head.weight is read.embedding.tokens.weight) is config.head.tied
    tokens = torch.arange(9)[None]
    assert torch.equal(read.eval()(tokens), model(tokens))


@pytest.mark.parametrize("kind", ["masked_lm", "classifier", "seq2seq"])
def test_a_model_of_another_shape_comes_back_bit_for_bit(folder: RunFolder, kind: str) -> None:
    config = shaped_configs()[kind]
    model = drawn(build_model(config))
    folder.save_model(model, step=0)
    read = folder.read_model(config)
    assert type(read) is type(model)
    assert_equal_weights(read, model)


def test_the_model_of_a_save_can_be_read(folder: RunFolder) -> None:
    model, finished = scrambled(CONFIGS["rotary"]), scrambled(CONFIGS["rotary"], seed=1)
    folder.save_model(finished, step=3)
    folder.saves.write(2, {f"model/{name}": weight for name, weight in model.named_parameters()}, {})
    assert_equal_weights(folder.read_model(CONFIGS["rotary"], step=2), model)
    assert_equal_weights(folder.read_model(CONFIGS["rotary"]), finished)
    averages = {f"optimizer/{name}/average": weight for name, weight in finished.named_parameters()}
    folder.saves.write(2, {f"model/{n}": w for n, w in model.named_parameters()} | averages, {})
    assert_equal_weights(folder.read_model(CONFIGS["rotary"], step=2), finished)
    with pytest.raises(RunFolderError) as caught:
        folder.read_model(CONFIGS["rotary"], step=5)
    assert str(caught.value) == f"{folder.path} has no save of step 5; there are saves of step 2"


def test_a_tied_matrix_is_saved_once(folder: RunFolder) -> None:
    with_model(folder, SHAPES["tied"])
    import safetensors

    with safetensors.safe_open(folder.weights_path, framework="pt") as file:
        assert "head.weight" not in list(file.keys())
        assert "embedding.tokens.weight" in list(file.keys())


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (flip_last_bit, "is damaged: its checksum differs"),
        (cut_in_half, "is damaged ("),
        (Path.unlink, "is missing"),
    ],
)
def test_harm_to_the_weights_is_named_with_the_remedy(
    folder: RunFolder, harm: Callable[[Path], None], said: str
) -> None:
    with_model(folder)
    harm(folder.weights_path)
    with pytest.raises(RunFolderError) as caught:
        folder.read_model(CONFIGS["grouped"])
    assert str(caught.value).startswith(f"{folder.weights_path} {said}")
    assert str(caught.value).endswith("; continue the run with --resume to write it again")
    folder.update_run(imported_from="elsewhere")
    with pytest.raises(RunFolderError, match=r"; import it again$"):
        folder.read_model(CONFIGS["grouped"])


@pytest.mark.parametrize("harm", [flip_last_bit, cut_in_half, Path.unlink])
def test_the_remedy_for_harmed_weights_is_open(folder: RunFolder, harm: Callable[[Path], None]) -> None:
    """A finished run whose weights are not whole counts as unfinished, so that --resume writes them."""
    with_model(folder)
    folder.update_run(status="finished")
    assert folder.is_finished
    harm(folder.weights_path)
    assert not folder.is_finished


def test_weights_of_another_shape_are_named(folder: RunFolder) -> None:
    with_model(folder, CONFIGS["grouped"])
    with pytest.raises(RunFolderError) as caught:
        folder.read_model(CONFIGS["one shared head"])
    message = str(caught.value)
    assert message.startswith(f"{folder.weights_path} does not fit config.json: ")
    assert "blocks.0.attention.layer.k.weight has shape (8, 16) instead of (6, 16)" in message
    assert "blocks.1.attention.layer.q_norm.weight is left over" in message


def test_another_format_is_named_with_both_versions(folder: RunFolder) -> None:
    with_model(folder)
    write_json(folder.config_path, {"format": 7})
    with pytest.raises(RunFolderError) as caught:
        folder.read_config()
    assert str(caught.value) == (
        f"{folder.config_path} is of format 7, and this Hornbook reads format {FORMAT}; "
        "use the version that wrote it (see run.json), or train again"
    )


@pytest.mark.parametrize("content", ["[]", "null", '{"model": 1}'])
def test_a_configuration_that_is_none_is_refused(folder: RunFolder, content: str) -> None:
    folder.config_path.write_text(content)
    with pytest.raises(RunFolderError, match="is of format None"):
        folder.read_config()


def test_a_damaged_configuration_is_named(folder: RunFolder) -> None:
    with_model(folder)
    cut_in_half(folder.config_path)
    with pytest.raises(RunFolderError, match=r"config.json is damaged: not valid JSON"):
        folder.read_config()


# Making a folder


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    assert not folder.exists
    assert folder.create() is None
    assert folder.path.is_dir()
    assert not folder.exists, "an empty folder is in nobody's way"
    folder.create()


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_that_was_killed_at_once_is_not_in_the_way(tmp_path: Path, resume: bool) -> None:
    """Between making the folder and its first file, and in the middle of that file."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    (folder.path / ".run.json.0badcafe.tmp").write_text("{")
    assert folder.create(resume=resume) is None
    assert not folder.exists


def test_a_run_in_the_way_is_left_alone(folder: RunFolder) -> None:
    before = contents(folder.path)
    with pytest.raises(RunFolderError) as caught:
        folder.create()
    assert str(caught.value) == (
        f"{folder.path} exists already: continue it with --resume, start over with --overwrite "
        "(the old run is kept under another name), or choose another --out"
    )
    assert contents(folder.path) == before


def test_a_resume_uses_the_run_that_is_there(folder: RunFolder) -> None:
    before = contents(folder.path)
    assert folder.create(resume=True) is None
    assert contents(folder.path) == before


@pytest.mark.parametrize("choice", [{}, {"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("is_file", [False, True])
def test_what_is_no_run_is_left_alone(tmp_path: Path, choice: dict[str, bool], is_file: bool) -> None:
    path = tmp_path / "thesis"
    if not is_file:
        path.mkdir()
    (path if is_file else path / "chapter.txt").write_text("long work")
    with pytest.raises(RunFolderError) as caught:
        RunFolder(path).create(**choice)
    assert str(caught.value) == (
        f"{path} exists already and is not a run folder; it stays as it is, choose another --out"
    )


def test_overwriting_loses_nothing(folder: RunFolder) -> None:
    """Again and again: each former run is kept whole under a name of its own."""
    kept = []
    for i in range(3):
        folder.update_run(status="running")
        (folder.path / "note.txt").write_text(str(i))
        before = contents(folder.path)
        moved = folder.create(overwrite=True)
        assert moved is not None and contents(moved) == before
        kept.append(moved.name)
        assert os.listdir(folder.path) == []
    assert kept == ["run.old-1", "run.old-2", "run.old-3"]


def test_overwriting_nothing_moves_nothing(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "run").create(overwrite=True) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError) as caught:
        RunFolder(tmp_path / "file" / "run").create()
    assert (
        str(caught.value)
        == f"{tmp_path / 'file' / 'run'} cannot be made (Not a directory); choose another --out"
    )


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# run.json


def test_facts_are_added_and_kept(folder: RunFolder) -> None:
    folder.update_run(seed=3)
    folder.update_run(status="finished")
    data = json.loads((folder.path / "run.json").read_text())
    assert data == {"format": FORMAT, "status": "finished", "seed": 3}


def test_a_run_without_its_facts_is_not_finished(tmp_path: Path) -> None:
    assert not RunFolder(tmp_path).is_finished


# metrics.jsonl

LINES = [
    {"kind": "train", "step": 1, "loss": 5.25},
    {"kind": "sample", "step": 2, "prompt": "é", "text": "日本\u2028\u0085\r\n\x00"},
    {"kind": "event", "step": 2, "text": "interrupted"},
    {"kind": "train", "step": 3, "loss": 1e-300},
]


def write_lines(folder: RunFolder) -> None:
    for line in LINES:
        folder.append_metrics(**line)


def test_metrics_come_back(folder: RunFolder) -> None:
    """Also text with every kind of line end."""
    assert folder.read_metrics() == []
    write_lines(folder)
    assert folder.read_metrics() == LINES


@given(cut=st.integers(1, 200))
def test_a_half_last_line_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Wherever a kill cut it, in the middle of a letter too; all lines before are read."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for line in LINES[:1] + LINES[2:]:
        folder.append_metrics(**line)
    whole = folder.metrics_path.read_bytes()
    last = json.dumps({"kind": "sample", "step": 9, "text": "日本" * 30}, ensure_ascii=False).encode()
    folder.metrics_path.write_bytes(whole + last[: min(cut, len(last) - 1)])
    assert folder.read_metrics() == LINES[:1] + LINES[2:]


def test_a_broken_line_in_the_middle_is_named(folder: RunFolder) -> None:
    write_lines(folder)
    lines = folder.metrics_path.read_bytes().split(b"\n")
    lines[1] = lines[1][:9]
    folder.metrics_path.write_bytes(b"\n".join(lines))
    with pytest.raises(RunFolderError) as caught:
        folder.read_metrics()
    assert str(caught.value) == f"{folder.metrics_path} is damaged: line 2 is not JSON; take that line out"


@pytest.mark.parametrize(("step", "left"), [(0, [2]), (1, [0, 2]), (2, [0, 1, 2]), (3, [0, 1, 2, 3])])
def test_later_measurements_are_forgotten_and_events_stay(
    folder: RunFolder, step: int, left: list[int]
) -> None:
    write_lines(folder)
    folder.forget_metrics_after(step)
    assert folder.read_metrics() == [LINES[i] for i in left]


def test_lines_after_a_half_line_are_whole(folder: RunFolder) -> None:
    """A resumed run appends; the half line must be gone before."""
    write_lines(folder)
    with open(folder.metrics_path, "a", encoding="utf-8") as file:
        file.write('{"kind": "tra')
    folder.forget_metrics_after(3)
    folder.append_metrics(kind="train", step=4)
    assert folder.read_metrics() == [*LINES, {"kind": "train", "step": 4}]


def test_numbers_that_are_not_finite_are_null(folder: RunFolder) -> None:
    """So that every reader of JSON can read every line."""
    folder.append_metrics(kind="train", step=1, loss=float("nan"), grad_norm=float("inf"))
    written = '{"kind": "train", "step": 1, "loss": null, "grad_norm": null}\n'
    assert folder.metrics_path.read_text() == written


def test_what_the_run_did_by_itself_is_forgotten_with_its_step(folder: RunFolder) -> None:
    """A resumed run does it again; what was done to the run stays."""
    folder.append_metrics(kind="event", step=4, what="skip", text="left out")
    folder.append_metrics(kind="event", step=4, text="interrupted")
    folder.forget_metrics_after(3)
    assert folder.read_metrics() == [{"kind": "event", "step": 4, "text": "interrupted"}]


def test_a_folder_in_use_is_left_alone(folder: RunFolder) -> None:
    with folder.held():
        with pytest.raises(RunFolderError) as caught, RunFolder(folder.path).held():
            raise AssertionError("two hold the folder")
        with pytest.raises(RunFolderError, match="another process is training in"):
            RunFolder(folder.path).create(overwrite=True)
    assert str(caught.value) == (
        f"another process is training in {folder.path}; wait until it has ended, or choose another --out"
    )
    assert RunFolder(folder.path).create(overwrite=True) is not None
