"""float16: the scale of the loss finds its size, leaves out what overflows, and is resumed with the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from train.conftest import Material
from train.small_runs import optimizer_for, random_batch
from train.test_fit import Killed, killer
from train.whole_state import assert_same_run

from hornbook.data.batch import Batch
from hornbook.model.models import CausalLM
from hornbook.train import loss_scale
from hornbook.train.config import MuonConfig
from hornbook.train.loss_scale import FIRST, LAST, LossScale
from hornbook.train.objectives import Loss, predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import StepResult, train_step

OBJECTIVE = predict_tokens(torch.ones(31, dtype=torch.long))


def half_optimizer(model: CausalLM) -> Optimizer:
    return Optimizer(model, MuonConfig(), torch.float16)


def step(model: CausalLM, optimizer: Optimizer, batch: Batch | None = None) -> StepResult:
    """One step in float16."""
    return train_step(
        model,
        batch or random_batch(),
        OBJECTIVE,
        optimizer,
        learning_rate_share=1.0,
        precision=torch.float16,
    )


def test_a_step_in_float16_is_near_that_in_float32() -> None:
    half, whole = scrambled(CONFIGS["rotary"]), scrambled(CONFIGS["rotary"])
    result = step(half, half_optimizer(half))
    exact = train_step(whole, random_batch(), OBJECTIVE, optimizer_for(whole), learning_rate_share=1.0)
    assert result.skipped is None
    assert result.total == pytest.approx(exact.total, rel=2e-3)
    assert result.total != exact.total
    assert result.grad_norm == pytest.approx(exact.grad_norm, rel=0.01), "the scale is taken out again"


def test_what_overflows_is_left_out_and_the_scale_halved_until_it_fits() -> None:
    model = scrambled(CONFIGS["rotary"])
    optimizer = half_optimizer(model)
    optimizer.loss_scale.value = 2.0**20
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    result = step(model, optimizer)
    assert result.skipped == "a gradient was too large for float16; the loss scale is 524288 now"
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    skipped = 1
    while step(model, optimizer).skipped is not None:
        skipped += 1
    assert optimizer.loss_scale.value == 2.0 ** (20 - skipped)
    assert any(not torch.equal(before[name], weight) for name, weight in model.named_parameters())


def test_a_loss_that_is_no_number_is_not_the_scale_s_fault() -> None:
    model = scrambled(CONFIGS["rotary"])
    optimizer = half_optimizer(model)

    def spoilt(model: CausalLM, batch: Batch) -> Loss:
        loss = OBJECTIVE(model, batch)
        return loss._replace(total=loss.total * float("nan"))

    result = train_step(
        model, random_batch(), spoilt, optimizer, learning_rate_share=1.0, precision=torch.float16
    )
    assert result.skipped is not None and "not finite" in result.skipped
    assert optimizer.loss_scale.value == FIRST


def test_it_is_not_halved_for_ever() -> None:
    scale = LossScale(torch.float16)
    while scale.can_halve:
        scale.overflowed()
    assert scale.value == LAST
    assert not LossScale(torch.bfloat16).can_halve


def test_after_a_long_time_it_is_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    scale = LossScale(torch.float16)
    values = []
    for good in (True, True, False, True, True, True, True):
        if good:
            scale.held()
        else:
            scale.overflowed()
        values.append(scale.value / FIRST)
    assert values == [1, 1, 0.5, 0.5, 0.5, 1, 1]


def test_in_other_precisions_it_is_one_and_leaves_no_trace() -> None:
    for precision in (torch.float32, torch.bfloat16):
        scale = LossScale(precision)
        scale.held()
        assert (scale.value, scale.state()) == (1.0, {})


def test_small_gradients_are_kept_by_it() -> None:
    """A gradient of 2^-30 is zero in float16, and 2^-22 is not."""
    assert torch.tensor(2.0**-30).half() == 0
    assert torch.tensor(2.0**-30 * FIRST).half() / FIRST == 2.0**-30


def test_a_resumed_run_has_the_same_scale(material: Material, tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    config = material.config(precision="float16")
    fit = material.fit(straight, config)
    fit.state.optimizer.loss_scale.value = 2.0**15
    assert fit.run()
    assert fit.state.optimizer.loss_scale.value < 2.0**15, "nothing overflowed: the test shows nothing"
    fit = material.fit(resumed, config, listen=killer(12))
    fit.state.optimizer.loss_scale.value = 2.0**15
    with pytest.raises(Killed):
        fit.run()
    fit = material.fit(resumed, config)
    assert fit.resume() > 0
    assert fit.run()
    assert_same_run(resumed, straight)
