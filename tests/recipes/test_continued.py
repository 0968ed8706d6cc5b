"""Going on with a run under another configuration: what may change does, and the rest is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipes.tiny_runs import process, read_until, write_texts

import hornbook as hb
from hornbook.base.config import to_dict
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes.continued import adopt, continued
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig

SMALL = ("data.path=texts", "tokenizer.vocab_size=400", "size=1", "train.steps=3")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of 3 steps that is finished, as far as its configuration knows."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.update_run(status="finished")
    write_json(folder.config_path, to_dict(resolve("quickstart", [*SMALL, "train.precision=float32"])))
    return folder


def asked(folder: RunFolder, *overrides: str) -> RunConfig:
    return resolve(folder.path, overrides)


@pytest.mark.parametrize(
    "change",
    [
        "train.steps=9", "train.log_every=1", "train.save_every=7", "train.keep_last=4", "train.device=cpu",
        "train.guard=roll_back", "train.optimizer.learning_rate=0.01", "train.schedule=cosine",
        "train.micro_batch_size=2", "train.max_grad_norm=1.0",
    ],
)  # fmt: skip
def test_how_a_run_is_trained_may_change(folder: RunFolder, change: str) -> None:
    wanted = asked(folder, change)
    assert continued(folder, wanted) == wanted != resolve(folder.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed=1", "seed was 0, asked is 1"),
        ("data.batch_size=2", "data.batch_size was 16, asked is 2"),
        ("data.seq_len=64", "data.seq_len was 256, asked is 64"),
        ("data.path=other", "data.path was 'texts', asked is 'other'"),
        ("tokenizer.pattern=cl100k", "tokenizer.pattern was 'gpt2', asked is 'cl100k'"),
        ("train.optimizer=adamw", "train.optimizer.kind was 'muon', asked is 'adamw'"),
        ("train.average={}", "train.average.decay was None, asked is 0.999"),
    ],
)
def test_what_it_learns_and_from_what_may_not(folder: RunFolder, change: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        continued(folder, asked(folder, change))
    assert f"{folder.path} was started with another configuration: " in str(caught.value)
    assert said in str(caught.value)
    assert "--resume, or choose another --out" in str(caught.value)


def test_both_kinds_of_change_are_listed(folder: RunFolder) -> None:
    with pytest.raises(ConfigError) as caught:
        continued(folder, asked(folder, "seed=3", "train.log_every=1", "data.batch_size=4"))
    refused, allowed = str(caught.value).split("; that would be another run (these may change: ")
    assert refused.endswith("data.batch_size was 16, asked is 4; seed was 0, asked is 3")
    assert allowed.startswith("train.log_every was 5, asked is 1)")


def test_fewer_steps_than_are_done_are_refused(folder: RunFolder) -> None:
    folder.saves.write(3, {}, {})
    with pytest.raises(ConfigError) as caught:
        continued(folder, asked(folder, "train.steps=2"))
    assert str(caught.value) == "the run stands at step 3, past train.steps 2; raise it"


def test_the_same_again_changes_nothing(folder: RunFolder) -> None:
    before = folder.config_path.read_bytes()
    same = resolve("quickstart", SMALL)
    assert same.train.precision == "auto", "what it was resolved to stays"
    adopt(folder, continued(folder, same))
    assert folder.config_path.read_bytes() == before


@pytest.mark.slow
def test_a_longer_run_goes_on_where_the_shorter_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_texts(Path("texts"))
    hb.train("quickstart", *SMALL, out="run")
    run = hb.train(Path("run"), "train.steps=5", "train.log_every=1", out="run", resume=True)
    assert run.config.train.steps == 5 and hb.load("run").config == run.config
    lines = RunFolder("run").read_metrics()
    assert [line["step"] for line in lines if line["kind"] == "train"] == [3, 4, 5]
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"


@pytest.mark.slow
def test_two_processes_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told so; the first is not disturbed, and when it is gone the folder is free."""
    monkeypatch.chdir(tmp_path)
    write_texts(Path("texts"))
    words = ("train", "quickstart", *SMALL[:3], "train.steps=5000", "--out", "run")
    first = process(*words, cwd=tmp_path)
    try:
        read_until(first, "step")
        for fields in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(RunFolderError, match="another process is training in run; wait until"):
                hb.train("quickstart", *SMALL[:3], "train.steps=5000", out="run", **fields)
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    with RunFolder("run").held():
        pass
