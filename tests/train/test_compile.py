"""Compiled learning: the same curve, bit for bit when resumed, and the plain model where it cannot be.

What is compiled runs in other processes, because the run-time checks of tensor shapes that the tests switch
on are Python of their own, which no compiler can follow. A backend of torch's that needs no compiler on the
machine stands for the usual one, but for a single test.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from train.small_runs import (
    BYTE_MODEL,
    byte_loader,
    byte_objective,
    dropout_config,
    fresh,
    optimizer_for,
    train_config,
)

from hornbook.train import compile as compiling
from hornbook.train.compile import CompiledThrough, compile_stacks, compiling_pays
from hornbook.train.loop import training_steps
from hornbook.train.state import TrainState

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def printed(function: str, *arguments: str) -> list[str]:
    """The lines that a function of this file prints in another process."""
    code = f"import sys; from train import test_compile; test_compile.{function}(*sys.argv[1:])"
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


@pytest.mark.slow
def test_one_curve_compiled_or_not_at_once_or_in_parts_recomputed_or_resumed(tmp_path: Path) -> None:
    plain, *others = (list(map(float, line.split())) for line in printed("print_curves", str(tmp_path)))
    assert len(others) == 4 and len(plain) == 8
    for curve in others:
        assert curve == pytest.approx(plain, rel=1e-4)
    compiled, resumed = others[0], others[1]
    assert resumed == compiled, "resumed in the same way it is the same to the bit"


def print_curves(folder: str) -> None:
    """The losses of eight steps: plain, and compiled: whole, resumed, whole blocks recomputed, cut in parts
    and recomputed in part."""
    from hornbook.parallel.recompute import recompute

    loader = byte_loader(Path(folder))
    saved: list[dict[str, torch.Tensor]] = []

    def losses(
        size: int | None = None, how: str = "none", compiled: bool = True, begin: int = 0
    ) -> list[float]:
        torch.compiler.reset()
        model = fresh()
        recompute(model, how)  # type: ignore[arg-type]
        if compiled:
            compile_stacks(model, print, backend="aot_eager")
        state = TrainState(model, optimizer_for(model), 0, step=begin)
        if begin:
            model.load_state_dict(saved[0])
            state.optimizer.load(saved[1])
        found = []
        config = train_config(steps=8, micro_batch_size=size, schedule={"kind": "constant"})
        for info in training_steps(state, loader, byte_objective(), config, torch.float32):
            found.append(info.loss)
            if info.step == 3 and not saved and compiled:
                parts = model.state_dict(), state.optimizer.state()
                saved.extend({name: value.clone() for name, value in part.items()} for part in parts)
        return found

    print(*losses(compiled=False))
    whole = losses()
    print(*whole)
    print(*whole[:3], *losses(begin=3))
    print(*losses(how="block"))
    print(*losses(2, "selective"))


@pytest.mark.slow
@pytest.mark.skipif(
    platform.system() != "Linux" or compiling.missing_compiler(CPU) is not None,
    reason="PyTorch makes these programs with a C++ compiler",
)
def test_the_usual_compiler_gives_the_same_curve(tmp_path: Path) -> None:
    """One layer and four steps: every program that it makes takes seconds."""
    plain, compiled = (list(map(float, line.split())) for line in printed("print_usual", str(tmp_path)))
    assert len(plain) == 4 and compiled == pytest.approx(plain, rel=1e-4)


def print_usual(folder: str) -> None:
    """The losses of four steps, plain and compiled as runs are."""
    loader, config = byte_loader(Path(folder)), train_config(steps=4, schedule={"kind": "constant"})
    for compiled in (False, True):
        model = fresh(BYTE_MODEL.model_copy(update={"n_layers": 1}))
        if compiled:
            compile_stacks(model, pytest.fail)
        state = TrainState(model, optimizer_for(model), 0)
        steps = training_steps(state, loader, byte_objective(), config, torch.float32)
        print(*(info.loss for info in steps))


def test_only_learning_is_compiled() -> None:
    model = fresh(dropout_config(0.0))
    compile_stacks(model, pytest.fail, backend="eager")
    through = vars(model)["through"]
    assert isinstance(through, CompiledThrough)
    asked = []
    through.fast = lambda *given: asked.append(given) or through.plain(*given)  # type: ignore[func-returns-value]
    tokens = torch.zeros(2, 5, dtype=torch.long)
    model(tokens)
    assert len(asked) == 1
    with torch.no_grad():
        model(tokens)
    model.eval()
    model(tokens, cache=model.make_cache(2))
    model(tokens)
    assert len(asked) == 1
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in fresh().named_parameters()]


def test_where_compiling_fails_the_plain_model_learns_and_it_is_told_once() -> None:
    from torch._dynamo.exc import TorchDynamoException

    model, told = fresh(), list[str]()
    compile_stacks(model, told.append, backend="eager")

    def fails(*given: object) -> torch.Tensor:
        raise TorchDynamoException("no compiler\nand a long story")

    vars(model)["through"].fast = fails
    tokens = torch.zeros(2, 5, dtype=torch.long)
    wanted = fresh()(tokens)
    assert torch.equal(model(tokens), wanted) and torch.equal(model(tokens), wanted)
    assert told == ["not compiled: torch.compile failed (no compiler)"]


def test_a_balanced_mixture_is_left_as_it_is() -> None:
    model, told = scrambled(CONFIGS["experts"]), list[str]()
    compile_stacks(model, told.append)
    assert told == ["not compiled: a mixture that is kept in balance is watched from outside"]
    assert "through" not in vars(model)


def test_it_pays_where_it_saves_more_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "missing_compiler", lambda device: None)
    pays, sentence = compiling_pays(100.0, 4, CPU)
    assert not pays
    assert sentence == "not compiled: it takes about 100 s and would save about 25 of 100 s"
    pays, sentence = compiling_pays(10_000.0, 4, CPU)
    assert pays
    assert sentence == "compiled: it takes about 100 s and would save about 2,500 of 10,000 s"
    assert not compiling_pays(1e9, 4, torch.device("mps"))[0]
