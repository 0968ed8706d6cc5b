"""Recomputation where it is used: the balance of experts, whole runs, compiled models."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from parallel.learning import forgetful
from torch import Tensor
from train.conftest import Material
from train.small_runs import random_batch
from train.whole_state import assert_same_run

from hornbook.base.config import parse
from hornbook.base.errors import ConfigError
from hornbook.model.mixture import Mixture, watched_balance
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.train.config import TrainConfig
from hornbook.train.objectives import predict_tokens

ROOT = Path(__file__).resolve().parents[2]
WAYS: tuple[Recomputation, ...] = ("block", "selective")
OBJECTIVE = predict_tokens(torch.arange(31) % 5)
MIXED = ["experts", "experts, one shared"]


def losses_and_gradients(name: str, how: Recomputation, part: str) -> tuple[Any, dict[str, Tensor]]:
    """Of the objective of training: all that is learned, or the balance alone."""
    model = scrambled(CONFIGS[name]).train()
    forgetful(model, 0.2)
    recompute(model, how)
    torch.manual_seed(7)
    loss = OBJECTIVE(model, random_batch(ragged=True))
    asked = getattr(loss, part)
    asked.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert loss.balance is not None
    return (loss.total.item(), loss.balance.item()), found


@pytest.mark.parametrize("part", ["learned", "balance"])
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", MIXED)
def test_the_balance_counts_once_and_keeps_its_gradient(name: str, how: Recomputation, part: str) -> None:
    """The watch has ended when the second pass comes, which then saves less than the first one did."""
    wanted_losses, wanted = losses_and_gradients(name, "none", part)
    losses, found = losses_and_gradients(name, how, part)
    assert losses == wanted_losses
    assert found.keys() == wanted.keys()
    routers = [key for key in wanted if "router" in key]
    assert routers and all(wanted[key].abs().max() > 1e-3 for key in routers)
    for key, gradient in wanted.items():
        # The two losses meet at a router's output in another order, and so round otherwise.
        torch.testing.assert_close(found[key], gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("how", ["none", *WAYS])
def test_a_watch_that_is_still_open_sees_each_router_once(how: Recomputation) -> None:
    model = scrambled(CONFIGS["experts"]).train()
    recompute(model, how)
    seen: list[Tensor] = []
    router = next(module.router for module in model.modules() if isinstance(module, Mixture))
    router.register_forward_hook(lambda _, inputs, logits: seen.append(logits.detach()))
    with watched_balance(model) as losses:
        out = model(random_batch().tokens)
        assert len(losses) == 2
        (out.square().mean() + torch.stack(losses).sum()).backward()
    assert (len(losses), len(seen)) == (2, 1)
    assert [len(m.router._forward_hooks) for m in model.modules() if isinstance(m, Mixture)] == [1, 0]


def test_what_a_watch_saw_is_let_go() -> None:
    """Kept for a second pass that has no use for it, it would keep its graph, which keeps it: a leak."""
    model = scrambled(CONFIGS["experts"]).train()
    recompute(model, "block")
    seen: list[weakref.ref[Tensor]] = []
    router = next(module.router for module in model.modules() if isinstance(module, Mixture))
    router.register_forward_hook(lambda _, inputs, logits: seen.append(weakref.ref(logits)))
    gc.collect()
    gc.disable()
    try:
        model(random_batch().tokens)
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize("how", WAYS)
def test_a_run_is_the_same_run(how: Recomputation, material: Material, tmp_path: Path) -> None:
    """Dropout, validation, samples and saves included; weights and metrics are the same bits."""
    plain, recomputed = (tmp_path / name for name in ("plain", "recomputed"))
    assert material.fit(plain).run()
    fit = material.fit(recomputed, material.config(recompute=how))
    assert "forward" in vars(fit.state.model.layers[0])
    assert fit.run()
    assert_same_run(recomputed, plain)


def test_another_word_is_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match="recompute"):
        parse(TrainConfig, {"recompute": "blocks"}, "train")


COMPILED = {
    "learned positions": "block",
    "side by side, one norm": "selective",
    "experts": "selective",
    "classes, causal, last": "block",
    "encoder and decoder": "selective",
}
"""Models of several kinds, each with one of the two ways: tracing both ways of a block takes long."""

SCRIPT = """
import sys
import torch
from parallel.learning import CASES, forgetful, learn

for name, how in zip(sys.argv[1::2], sys.argv[2::2]):
    model, loss = CASES[name]()
    forgetful(model, 0.0)
    wanted = learn(model, (loss,), "none")
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = learn(model, (compiled,), how)
    for key, gradient in wanted.gradients.items():
        torch.testing.assert_close(found.gradients[key], gradient, atol=1e-5, rtol=1e-4)
    print(name)
"""


@pytest.mark.slow
def test_it_compiles_without_a_break() -> None:
    """In another process, as in tests/model/test_compile.py; dropout is compiled to other random numbers."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT, *chain.from_iterable(COMPILED.items())],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.splitlines() == list(COMPILED), child.stderr
