"""A finished run in the hand: what `load` gives, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from train.conftest import Material

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.train.device import resolve_device, resolve_precision
from hornbook.train.run import load


@pytest.fixture(scope="module")
def finished(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    material.fit(folder).run()
    return folder


def test_a_run_writes_the_same_text_for_the_same_seed(finished: Path) -> None:
    run = load(finished, device="cpu")
    texts = [run.generate("one and ", max_new_tokens=12, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert (
        load(str(finished), device="cpu").generate("one and ", max_new_tokens=12, temperature=1.0) == texts[0]
    )


def test_what_a_run_holds(finished: Path, material: Material) -> None:
    run = load(finished, device="cpu")
    assert run.path == finished
    assert run.config == material.config()
    assert run.tokenizer.encode("one and two") == material.tokenizer.encode("one and two")
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_run_in_bfloat16(finished: Path, dtype: str | torch.dtype) -> None:
    run = load(finished, device="cpu", dtype=dtype)
    assert {parameter.dtype for parameter in run.model.parameters()} == {torch.bfloat16}
    assert isinstance(run.generate("one", max_new_tokens=3), str)


def test_what_cannot_be_had_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown dtype 'float8'; choose one of float32, bfloat16, float16"):
        load(finished, device="cpu", dtype="float8")
    with pytest.raises(ConfigError, match="there is no device 'tpu' on this machine; choose auto or one of"):
        load(finished, device="tpu")
    with pytest.raises(RunFolderError, match=r"config.json is missing: there is no such folder; `hornbook"):
        load(tmp_path / "nothing")
    with pytest.raises(RunFolderError, match=r"config.json is missing: it is empty or not a run folder"):
        load(tmp_path)


def test_auto_is_a_device_and_a_precision_that_are_there() -> None:
    device = resolve_device("auto")
    assert torch.ones(1, device=device).item() == 1.0
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    assert resolve_precision("auto", torch.device("mps")) == "float32"


@pytest.mark.parametrize(("fast", "wanted"), [(0.5, "bfloat16"), (0.9, "float32"), (2.0, "float32")])
def test_bfloat16_is_taken_where_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch, fast: float, wanted: str
) -> None:
    from hornbook.train import device

    seconds = {torch.float32: 1.0, torch.bfloat16: fast}
    monkeypatch.setattr(device, "_product_seconds", seconds.__getitem__)
    assert resolve_precision("auto", torch.device("cpu")) == wanted
