"""A trace of some steps: it opens, its table names the operators, and no number of the run changes."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._C._autograd import DeviceType
from train.conftest import Material
from train.whole_state import assert_same_run

from hornbook.base.errors import ConfigError
from hornbook.checkpoint.folder import RunFolder
from hornbook.train import fit as module
from hornbook.train.profiler import Profiling


@pytest.fixture(scope="module")
def profiled(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose steps 5 and 6 were watched."""
    folder = tmp_path_factory.mktemp("runs") / "profiled"
    material.fit(folder, material.config(profile={"after": 4, "steps": 2})).run()
    return folder


def told(folder: Path) -> list[str]:
    """What the run says of profiles."""
    lines = RunFolder(folder).read_metrics()
    return [line["text"] for line in lines if line["kind"] == "event" and "profile" in line["text"]]


def test_a_trace_holds_the_operators_of_its_steps(profiled: Path) -> None:
    folder = profiled / "profile"
    assert sorted(path.name for path in folder.iterdir()) == ["steps-5-6.json.gz", "steps-5-6.txt"]
    trace: Any = json.loads(gzip.decompress((folder / "steps-5-6.json.gz").read_bytes()))
    names = [event.get("name") for event in trace["traceEvents"]]
    # AdamW steps once for each step of the run, so two of them were watched and no more.
    assert names.count("Optimizer.step#AdamW.step") == 2
    table = (folder / "steps-5-6.txt").read_text(encoding="utf-8")
    assert "aten::mm" in table and "Self CPU time total" in table
    (text,) = told(profiled)
    assert text.startswith("profiled steps 5 to 6: ") and text.endswith("%; see profile/steps-5-6.txt")


@pytest.mark.parametrize(("after", "inside"), [(4, 0), (8, 0), (3, 1)])
def test_what_follows_the_last_step_is_not_watched(
    after: int, inside: int, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps are watched, and every second one is measured, also the last of the run."""
    measure = module.measure

    def measured(*given: Any) -> Any:
        with torch.profiler.record_function("measured"):
            return measure(*given)

    monkeypatch.setattr(module, "measure", measured)
    config = material.config(profile={"after": after, "steps": 2}, validate_every=2)
    material.fit(tmp_path / "run", config).run()
    packed = tmp_path / "run" / "profile" / f"steps-{after + 1}-{after + 2}.json.gz"
    trace: Any = json.loads(gzip.decompress(packed.read_bytes()))
    assert [event.get("name") for event in trace["traceEvents"]].count("measured") == inside


def test_no_time_of_a_device_counts_twice(tmp_path: Path) -> None:
    """There an operator has the time of its kernels, which are listed too, as is what spans several."""

    def event(key: str, time: float, device: DeviceType = DeviceType.CPU, spans: bool = False) -> Any:
        return SimpleNamespace(
            key=key, device_type=device, is_user_annotation=spans,
            self_device_time_total=time, self_cpu_time_total=1.0,
        )  # fmt: skip

    events = [
        event("aten::mm", 60.0), event("aten::add", 20.0), event("Optimizer.step", 80.0, spans=True),
        event("gemm", 60.0, DeviceType.CUDA), event("adder", 20.0, DeviceType.CUDA),
        event("Optimizer.step", 80.0, DeviceType.CUDA, spans=True),
    ]  # fmt: skip
    profiling = Profiling(None, tmp_path, torch.device("cuda"), print)
    assert profiling._dearest(events, "device") == "aten::mm 75%, aten::add 25%"


def test_watching_changes_no_number(material: Material, profiled: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    material.fit(plain).run()
    assert_same_run(profiled, plain)


def test_a_sitting_that_is_too_short_says_so(material: Material, profiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(profiled, folder)
    (folder / "training" / "step-10.safetensors").unlink()
    fit = material.fit(folder, material.config(profile={"after": 1, "steps": 2}))
    assert fit.resume() == 9
    fit.run()
    assert told(folder)[1:] == ["no step was profiled: 1 was left, and train.profile.after is 1"]


def test_more_steps_than_there_are_is_a_mistake(material: Material) -> None:
    with pytest.raises(ConfigError, match=r"watches 3 steps after 8 others, and train\.steps is 10; lower"):
        material.config(profile={"after": 8})
