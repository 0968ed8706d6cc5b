"""Lines of metrics elsewhere: TensorBoard's files read back, W&B's library played by a small one."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from recipes.tiny_runs import hornbook
from train.conftest import Material

from hornbook.base.errors import HornbookError, MissingPackageError
from hornbook.base.files import read_json, write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.train import trackers as module
from hornbook.train.config import TrainConfig
from hornbook.train.trackers import Trackers, check_trackers


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard draws of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return [(each.step, each.value) for each in events.Scalars(tag)]


def written(folder: Path, kind: str, name: str) -> list[tuple[int, float]]:
    """The same in metrics.jsonl."""
    return [(line["step"], line[name]) for line in RunFolder(folder).read_metrics() if line["kind"] == kind]


def test_tensorboard_draws_what_is_written(material: Material, tmp_path: Path) -> None:
    """A run that was killed after step 8 and goes on from the save of step 6 has each step once."""

    class Killed(BaseException):
        pass

    def kill(line: dict[str, Any]) -> None:
        if line["step"] == 8:
            raise Killed

    folder, config = tmp_path / "run", material.config(tensorboard=True)
    with pytest.raises(Killed):
        material.fit(folder, config, kill).run()
    assert [step for step, _ in curve(folder, "train/loss")] == [1, 2, 3, 4, 5, 6, 7]
    fit = material.fit(folder, config)
    fit.record("event", fit.resume(), text="resumed")
    fit.run()
    for kind, name in (("train", "loss"), ("train", "mfu"), ("validation", "bits_per_byte")):
        found, wanted = curve(folder, f"{kind}/{name}"), written(folder, kind, name)
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert all(math.isclose(a, b, rel_tol=1e-6) for (_, a), (_, b) in zip(found, wanted, strict=True))


def test_a_run_that_goes_on_without_an_event_draws_no_step_twice(material: Material, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    material.fit(folder, material.config(tensorboard=True)).run()
    (folder / "training" / "step-10.safetensors").unlink()
    fit = material.fit(folder, material.config(tensorboard=True))
    assert fit.resume() == 9
    fit.run()
    assert [step for step, _ in curve(folder, "train/loss")] == list(range(1, 11))


class FakeWandb(ModuleType):
    """Weights & Biases as this package uses it: what was asked of it, and its rows, one for each step."""

    class Error(Exception):
        """Its own error."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.ended: list[int] = []
        self.refuses = False

    def init(self, **asked: Any) -> Any:
        if self.refuses:
            raise self.Error("no key")
        self.asked.append(asked)
        # A run that is known goes on after the last step that it was told.
        first = self.told[-1][0] + 1 if asked["id"] else 0
        return SimpleNamespace(
            id=asked["id"] or "abc",
            starting_step=first,
            log=self.log,
            finish=lambda exit_code: self.ended.append(exit_code),
        )

    def log(self, facts: dict[str, Any], step: int) -> None:
        if self.told and self.told[-1][0] == step:
            self.told[-1][1].update(facts)
        else:
            self.told.append((step, dict(facts)))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    """The library, played."""
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    return fake


def trackers(material: Material, folder: Path, **fields: Any) -> Trackers:
    """The trackers of a run in a folder."""
    folder.mkdir(exist_ok=True)
    return Trackers(material.config(**fields), RunFolder(folder))


def line(step: int, loss: float) -> dict[str, Any]:
    return {"kind": "train", "step": step, "loss": loss, "skipped": "not finite"}


def test_wandb_goes_on_with_a_run(material: Material, tmp_path: Path, wandb: FakeWandb) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), trackers(material, folder, wandb="books") as first:
        first.hear({"kind": "event", "step": 0, "text": "begun"})
        for step in (1, 2, 3):
            first.hear(line(step, float(step)))
        raise KeyboardInterrupt
    assert read_json(folder / "run.json")["wandb"] == {"project": "books", "id": "abc"}
    with trackers(material, folder, wandb="books") as second:
        for step in (2, 3, 4):
            second.hear(line(step, float(step)))
    assert wandb.told[1:] == [(step, {"train/loss": float(step)}) for step in (1, 2, 3, 4)]
    assert wandb.told[0] == (0, {"event/note": "begun"})
    assert [asked["id"] for asked in wandb.asked] == [None, "abc"]
    assert [asked["resume"] for asked in wandb.asked] == [None, "allow"]
    assert wandb.asked[0]["name"] == "run" and wandb.asked[0]["config"]["train"]["wandb"] == "books"
    assert wandb.ended == [1, 0]


def test_another_project_is_another_run(material: Material, tmp_path: Path, wandb: FakeWandb) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "run.json", {"wandb": {"project": "old", "id": "xyz"}})
    with trackers(material, folder, wandb="books") as one:
        one.hear(line(1, 1.0))
    assert wandb.asked[0]["id"] is None


def test_a_refusal_of_wandb_says_what_to_do(material: Material, tmp_path: Path, wandb: FakeWandb) -> None:
    wandb.refuses = True
    with pytest.raises(
        HornbookError, match=r"takes no run: no key; log in by typing wandb login, set WANDB_MODE"
    ):
        trackers(material, tmp_path / "run", wandb="books").hear(line(1, 1.0))


def test_a_refusal_of_wandb_comes_before_the_first_step(
    material: Material, tmp_path: Path, wandb: FakeWandb
) -> None:
    wandb.refuses = True
    fit = material.fit(tmp_path / "run", material.config(wandb="books"))
    with pytest.raises(HornbookError, match="takes no run"):
        fit.run()
    assert fit.state.step == 0


def test_events_of_several_kinds_at_one_step_are_all_kept(
    material: Material, tmp_path: Path, wandb: FakeWandb
) -> None:
    with trackers(material, tmp_path / "run", wandb="books") as one:
        one.hear({"kind": "event", "step": 3, "what": "skip", "text": "left out"})
        one.hear({"kind": "event", "step": 3, "what": "check", "text": "too good"})
        one.hear(line(3, 1.0))
    assert wandb.told == [(3, {"event/skip": "left out", "event/check": "too good", "train/loss": 1.0})]


@pytest.mark.parametrize("field", [{"tensorboard": True}, {"wandb": "books"}])
def test_a_missing_package_is_told_before_anything(field: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    (name,) = field
    sentence = rf"this needs the package {name}; type: pip install 'hornbook\[track\]'"
    with pytest.raises(MissingPackageError, match=sentence):
        check_trackers(TrainConfig(**field))
    check_trackers(TrainConfig())


def test_the_command_line_tells_it_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    out = tmp_path / "run"
    said = hornbook("train", "quickstart", "train.wandb=books", "--out", out)
    sentence = "this needs the package wandb; type: pip install 'hornbook[track]'"
    assert said == (2, "", f"hornbook: {sentence}\n") and not out.exists()


def test_no_tracker_leaves_nothing(material: Material, tmp_path: Path) -> None:
    with trackers(material, tmp_path / "run") as none:
        none.hear(line(1, 1.0))
    assert list((tmp_path / "run").iterdir()) == []
