"""What a run needs is what it takes: the same peak as a real step, and what Linux sees of it."""

from __future__ import annotations

import platform

import pytest
import torch
from model.small_models import block, model_config
from model.small_shapes import shaped_configs
from recipes.resident import RealTraining, growth

from hornbook.model.count import count_parameters, on_meta
from hornbook.model.shape_config import AnyConfig
from hornbook.plan.memory import HeldBytes, n_bytes
from hornbook.recipes import needs as module
from hornbook.recipes.needs import Needs
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig
from hornbook.train.objective_config import MaskedConfig

TINY = ["size=1", "vocab_size=300", "data.seq_len=32", "data.batch_size=4", "train.device=cpu"]


def tiny(*assignments: str) -> RunConfig:
    return resolve("quickstart", [*TINY, "train.precision=float32", *assignments])


def with_model(model: AnyConfig) -> RunConfig:
    config = tiny("data.seq_len=12")
    return config.model_copy(update={"model": model})


def measured_step_peak(config: RunConfig) -> int:
    """The most that lives at any moment of the second step of real training."""
    learning = RealTraining(config)
    learning.step()
    always = [*learning.model.parameters(), *learning.optimizer.state().values()]
    with HeldBytes([*always, learning.tokens]) as held:
        learning.step()
    return n_bytes(always) + held.peak


@pytest.mark.parametrize(
    "assignments",
    [
        ["data.batch_size=8"],
        ["train.recompute=block"],
        ["train.recompute=selective", "train.precision=bfloat16"],
        ["train.micro_batch_size=1", "train.optimizer.kind=adamw"],
        ["size=2", "data.batch_size=1", "data.seq_len=4"],
    ],
    ids=" ".join,
)
def test_the_peak_is_that_of_a_real_step(assignments: list[str]) -> None:
    """But for a few single numbers, such as the loss. In the last case it is the update that takes most."""
    config = tiny(*assignments)
    needs = Needs(config)
    learning = needs.learning(config.train.rows_at_once or config.data.batch_size, config.train.recompute)
    few_numbers = measured_step_peak(config) - needs.step_peak(learning)
    assert 0 <= few_numbers <= 20 * 4


def test_what_optimizers_remember() -> None:
    """AdamW two numbers for a weight and a counter of four bytes for a tensor, Muon one for a matrix."""
    model = on_meta(tiny().model)
    weights = list(model.parameters())
    adamw = Needs(tiny("train.optimizer.kind=adamw")).at_rest
    assert adamw.weights == adamw.gradients == 4 * count_parameters(model)
    assert adamw.optimizer == 2 * adamw.weights + 4 * len(weights)
    assert adamw.update == adamw.weights + adamw.gradients + adamw.optimizer
    matrices = [weight for name, weight in model.named_parameters() if "blocks" in name and weight.ndim == 2]
    muon = Needs(tiny()).at_rest
    spared = sum(weight.nbytes for weight in matrices)
    assert muon.optimizer == adamw.optimizer - spared - 4 * len(matrices)
    assert muon.update > muon.weights + muon.gradients + muon.optimizer, "it stacks matrices of one shape"


def test_rows_and_recomputation_pay() -> None:
    needs = Needs(tiny("model.n_layers=3"))
    by_how = [needs.learning(4, how) for how in ("none", "selective", "block")]
    assert [each.kept for each in by_how] == sorted((each.kept for each in by_how), reverse=True)
    assert needs.learning(1, "none").kept < by_how[0].kept / 3


def test_the_cache_that_is_kept_is_the_model_s_own() -> None:
    config = with_model(model_config(block({"window": 3}), block(), n_layers=4, max_seq_len=64))
    for dtype in (torch.float32, torch.bfloat16):
        own = on_meta(config.model).to(dtype).make_cache(1)
        assert Needs(config).writing(dtype).lasting == own.n_bytes


@pytest.mark.parametrize("kind", list(shaped_configs()))
def test_every_shape_can_be_counted(kind: str) -> None:
    config = with_model(shaped_configs()[kind])
    needs = Needs(config)
    assert needs.at_rest.weights == 4 * count_parameters(on_meta(config.model))
    gradients = needs.learning(4, "none").lasting
    # Where no segments are given, what compares them does not learn.
    assert gradients == needs.at_rest.gradients or kind == "permutation_lm"
    reading = needs.writing(torch.float32)
    assert (reading.lasting > 0) == (kind in ("causal_lm", "seq2seq"))
    assert reading.peak > reading.lasting


def test_a_head_is_counted_where_something_is_asked_for() -> None:
    """Scores over the vocabulary are the largest tensors here: fewer places, less memory."""
    config = with_model(shaped_configs(5000)["masked_lm"])

    def peak(share: float) -> int:
        train = config.train.model_copy(update={"objective": MaskedConfig(share=share)})
        return Needs(config.model_copy(update={"train": train})).learning(4, "none").peak

    assert peak(0.9) > peak(0.15) + 4 * 5000 * 20, "44 places, and 8"


def test_a_device_that_cannot_be_imagined_is_counted_as_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve_device", lambda name: torch.device("mps"))
    assert Needs(tiny()).device.type == "cpu"


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux and its allocator's settings")
@pytest.mark.parametrize(
    "assignments", [[], ["train.recompute=block"], ["train.precision=bfloat16"]], ids=str
)
def test_what_the_system_sees(assignments: list[str]) -> None:
    """Resident memory grows by what was counted and little more, where freed memory goes back at once.

    An allocator as it comes keeps freed memory for later: with that it is up to twice as much.
    """
    given = ["data.batch_size=8", "train.precision=float32", "train.device=cpu", *assignments]
    config = resolve("quickstart", given)
    needs = Needs(config)
    counted = needs.step_peak(needs.learning(config.data.batch_size, config.train.recompute))
    assert 0.97 * counted < growth(given) < 1.1 * counted
