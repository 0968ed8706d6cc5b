"""Runs that are harmed on purpose end close to the run left alone where a guard watches, and only there.

What the guard did is part of the run: killed and resumed at any moment, it ends in the same bits.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from train.conftest import Material
from train.whole_state import assert_same_run, logged_steps

from hornbook.base.errors import DivergedError, RunFolderError
from hornbook.checkpoint.folder import RunFolder
from hornbook.train.config import RunConfig
from hornbook.train.fit import Fit
from hornbook.train.run import load

STEPS, HARMED = 48, 31


def harms() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "harms.py"
    spec = importlib.util.spec_from_file_location("harms", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HARMS: dict[str, Callable[[Fit, int], None]] = harms().HARMS


def guarded(material: Material, kind: str, **fields: Any) -> RunConfig:
    """A run that saves every fifth step, under a policy that compares with 12 steps."""
    guard: dict[str, Any] = {"kind": kind}
    guard |= {} if kind == "off" else {"window": 12}
    guard |= {"rate_steps": 4, "batches": 2} if kind == "roll_back" else {}
    lengths = {"steps": STEPS, "save_every": 5, "validate_every": STEPS, "sample_prompts": []}
    return material.config(guard=guard, **lengths | fields)


def harmed(material: Material, folder: Path, kind: str, harm: str | None, at: int = HARMED) -> Fit:
    """A run that will be harmed at a step."""
    fit = material.fit(folder, guarded(material, kind))
    if harm is not None:
        HARMS[harm](fit, at)
    return fit


def final_loss(folder: Path) -> float:
    """On held-out text, at the end."""
    losses = [line["loss"] for line in RunFolder(folder).read_metrics() if line["kind"] == "validation"]
    return math.nan if losses[-1] is None else float(losses[-1])


def interventions(folder: Path) -> list[tuple[str, int]]:
    return [(line["what"], line["step"]) for line in RunFolder(folder).read_metrics() if "what" in line]


@pytest.fixture(scope="module")
def calm(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed, under the strictest policy."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    assert material.fit(folder, guarded(material, "roll_back")).run()
    return folder


@pytest.mark.parametrize("kind", ["off", "skip"])
def test_a_calm_run_is_the_same_under_every_policy(
    material: Material, calm: Path, tmp_path: Path, kind: str
) -> None:
    assert interventions(calm) == []  # also with only 12 steps to compare with
    material.fit(tmp_path / "run", guarded(material, kind)).run()
    wanted = RunFolder(calm).weights_path.read_bytes()
    assert RunFolder(tmp_path / "run").weights_path.read_bytes() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_run_recovers(material: Material, calm: Path, tmp_path: Path, harm: str) -> None:
    assert harmed(material, tmp_path / "run", "roll_back", harm).run()
    assert final_loss(tmp_path / "run") < final_loss(calm) * 1.15
    did = interventions(tmp_path / "run")
    assert did[0] == ("skip", HARMED + 1 + (harm == "an absurd learning rate"))
    assert logged_steps(tmp_path / "run") == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["an absurd learning rate", "a flipped exponent bit"])
def test_without_the_guard_the_same_harm_is_not_made_good(
    material: Material, calm: Path, tmp_path: Path, harm: str
) -> None:
    harmed(material, tmp_path / "run", "off", harm).run()
    assert not final_loss(tmp_path / "run") < final_loss(calm) * 2


def test_a_loss_that_is_no_number_costs_its_step_and_nothing_else(
    material: Material, calm: Path, tmp_path: Path
) -> None:
    assert harmed(material, tmp_path / "run", "off", "a loss that is no number").run()
    lines = RunFolder(tmp_path / "run").read_metrics()
    event = next(line for line in lines if line["kind"] == "event")
    said = "not finite: loss nan, gradient norm nan"
    assert (event["step"], event["what"], event["text"]) == (HARMED + 1, "skip", f"left out: {said}")
    line = next(line for line in lines if (line["kind"], line["step"]) == ("train", HARMED + 1))
    assert line["loss"] is None and line["skipped"] == said
    assert final_loss(tmp_path / "run") == pytest.approx(final_loss(calm), rel=0.05)


def test_weights_that_are_no_numbers_end_the_run_with_one_sentence(
    material: Material, tmp_path: Path
) -> None:
    """And what was saved before is whole."""
    with pytest.raises(DivergedError) as caught:
        harmed(material, tmp_path / "run", "off", "a weight that is no number").run()
    assert str(caught.value) == (
        "training broke down at step 41: the last 10 steps were not finite: loss nan, gradient norm nan; the "
        "newest save is of step 30; give it a smaller train.optimizer.learning_rate, or "
        "train.guard=roll_back, and look at the data"
    )
    assert interventions(tmp_path / "run")[-1] == ("end", 41)
    model = load(tmp_path / "run", device="cpu", step=30).model
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


@pytest.mark.slow
def test_a_save_that_was_ill_already_is_followed_by_the_one_before(
    material: Material, calm: Path, tmp_path: Path
) -> None:
    """The weights break in the last update before a save; nobody knows yet when it is written."""
    fit = harmed(material, tmp_path / "run", "roll_back", "an absurd learning rate", at=29)
    assert fit.run()
    went = [line for line in RunFolder(tmp_path / "run").read_metrics() if line.get("what") == "roll_back"]
    assert [line["to"] for line in went] == [30, 25]
    assert [line["step"] for line in went] == [33, 36]
    assert final_loss(tmp_path / "run") < final_loss(calm) * 1.3


@pytest.mark.slow
def test_a_damaged_save_is_no_place_to_go_back_to(material: Material, tmp_path: Path) -> None:
    fit = harmed(material, tmp_path / "run", "roll_back", "an absurd learning rate")

    def harm_the_newest(line: dict[str, Any]) -> None:
        if line["step"] == HARMED and line["kind"] == "train":
            fit.keeper.writer.wait()
            fit.folder.saves.path(30).write_bytes(b"nothing")

    fit.listen = harm_the_newest
    assert fit.run()
    assert [what for what, _ in interventions(tmp_path / "run")] == ["skip"] * 3 + ["damaged", "roll_back"]
    event = next(line for line in fit.folder.read_metrics() if line.get("what") == "roll_back")
    assert event["to"] == 25
    assert (
        event["text"]
        == "went back to the weights of step 25; 50% of the learning rate for 4 steps, 2 batches each"
    )


@pytest.mark.slow
def test_going_back_lowers_the_rate_and_raises_the_batch_for_a_while(
    material: Material, calm: Path, tmp_path: Path
) -> None:
    config = guarded(material, "roll_back")
    guard = config.train.guard.model_copy(update={"rate_share": 0.25, "rate_steps": 5, "batches": 3})
    config = config.model_copy(update={"train": config.train.model_copy(update={"guard": guard})})
    fit = material.fit(tmp_path / "run", config)
    HARMS["a flipped exponent bit"](fit, HARMED)
    fit.run()
    back = next(step for what, step in interventions(tmp_path / "run") if what == "roll_back")
    rates = [
        {
            line["step"]: line["learning_rate"]
            for line in RunFolder(folder).read_metrics()
            if line["kind"] == "train"
        }
        for folder in (tmp_path / "run", calm)
    ]
    shares = [rates[0][step] / rates[1][step] for step in range(back, back + 7)]
    assert shares == pytest.approx([1.0, 0.25, 0.25, 0.25, 0.25, 0.25, 1.0])
    tokens = [line["tokens"] for line in fit.folder.read_metrics() if line["kind"] == "train"]
    steps = [after - before for before, after in pairwise(tokens[back - 2 : back + 6])]
    assert steps == [64, *[3 * 64] * 5, 64]


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["poisoned data", "an absurd learning rate", "a flipped exponent bit"])
def test_killed_among_interventions_and_resumed_is_never_killed(
    material: Material, tmp_path: Path, harm: str
) -> None:
    assert harmed(material, tmp_path / "straight", "roll_back", harm).run()
    folder = tmp_path / "run"
    for after in (HARMED, HARMED + 2, HARMED + 4, HARMED + 9):
        fit = harmed(material, folder, "roll_back", harm)
        fit.resume()

        def kill(line: dict[str, Any], after: int = after) -> None:
            if line["step"] == after:
                raise Killed

        fit.listen = kill
        with pytest.raises(Killed):
            fit.run()
    fit = harmed(material, folder, "roll_back", harm)
    fit.resume()
    assert fit.run()
    assert_same_run(folder, tmp_path / "straight")


def test_the_last_saves_are_kept(material: Material, tmp_path: Path) -> None:
    config = material.config(save_every=2, keep_last=3)
    fit = material.fit(tmp_path / "run", config)
    seen: list[list[int]] = []

    def look(line: dict[str, Any]) -> None:
        if line["kind"] == "train" and line["step"] % 2:
            fit.keeper.writer.wait()
            seen.append(fit.folder.saves.steps())

    fit.listen = look
    fit.run()
    assert seen == [[], [2], [2, 4], [2, 4, 6], [4, 6, 8]]
    assert fit.folder.saves.steps() == [6, 8, 10]


def test_the_best_save_is_kept_where_that_is_wished(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made at the measurement, where no save is due, and stays when others go."""
    losses = iter([3.0, 2.0, 2.5, 2.2, 2.1])
    config = material.config(validate_every=2, save_every=5, keep_last=1, keep_best=True)
    fit = material.fit(tmp_path / "run", config)
    heard: Callable[[int, float], None] = fit.keeper.measured
    monkeypatch.setattr(fit.keeper, "measured", lambda step, loss: heard(step, next(losses)))
    fit.run()
    assert fit.folder.saves.steps() == [4, 10]
    model = load(tmp_path / "run", device="cpu", step=4).model
    finished = load(tmp_path / "run", device="cpu").model
    assert not torch.equal(next(model.parameters()), next(finished.parameters()))
    resumed = material.fit(tmp_path / "run", config)
    resumed.resume()
    assert resumed.keeper.best == (4, 2.0)


@pytest.fixture
def two_saves(material: Material, tmp_path: Path) -> Iterator[RunFolder]:
    """A run that was killed at step 8, after saves at 3 and 6."""

    def kill(line: dict[str, Any]) -> None:
        if line["step"] == 8:
            raise Killed

    with pytest.raises(Killed):
        material.fit(tmp_path / "run", listen=kill).run()
    folder = RunFolder(tmp_path / "run")
    assert folder.saves.steps() == [3, 6]
    yield folder


def test_a_damaged_save_is_followed_by_the_one_before(
    material: Material, two_saves: RunFolder, tmp_path: Path
) -> None:
    """A line says so, and the run ends in the same bits."""
    two_saves.saves.path(6).write_bytes(two_saves.saves.path(6).read_bytes()[:-100])
    fit = material.fit(two_saves.path)
    assert fit.resume() == 3
    event = two_saves.read_metrics()[-1]
    assert (event["kind"], event["step"]) == ("event", 3)
    assert event["text"].startswith(f"{two_saves.saves.path(6)} is damaged")
    assert event["text"].endswith("; an older save is used")
    assert fit.run()
    material.fit(tmp_path / "straight").run()
    assert_same_run(two_saves.path, tmp_path / "straight")
    assert two_saves.saves.steps() == [9, 10]


def test_a_save_that_fails_ends_the_run_at_the_next(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one sentence; what was saved before is whole, and the run goes on from it."""
    fit = material.fit(tmp_path / "run")
    write = fit.folder.saves.write

    def full(step: int, *rest: Any) -> None:
        if step == 6:
            raise RunFolderError("no room for step 6")
        write(step, *rest)

    monkeypatch.setattr(fit.folder.saves, "write", full)
    with pytest.raises(RunFolderError, match="no room for step 6"):
        fit.run()
    assert logged_steps(tmp_path / "run")[-1] == 9
    again = material.fit(tmp_path / "run")
    assert again.resume() == 3
    assert again.run()
    material.fit(tmp_path / "straight").run()
    assert_same_run(tmp_path / "run", tmp_path / "straight")
