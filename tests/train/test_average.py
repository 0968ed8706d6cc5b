"""The moving average of the weights: the mean it says it is, in place for a while, resumed to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from torch import Tensor
from train.conftest import Material
from train.small_runs import random_batch
from train.test_fit import Killed, killer
from train.whole_state import assert_same_run, measurements, read_state

from hornbook.checkpoint.folder import RunFolder
from hornbook.checkpoint.tensors import load_tensors
from hornbook.model.models import CausalLM
from hornbook.train import reference
from hornbook.train.average import Average
from hornbook.train.config import AdamWConfig, AverageConfig
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import train_step


def weights_of(model: CausalLM) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def wander(model: CausalLM, average: Average, steps: int) -> list[dict[str, Tensor]]:
    """Change the weights and take them into the average; return what they were."""
    history = []
    for seed in range(steps):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn(weight.shape, generator=generator))
        average.update()
        history.append(weights_of(model))
    return history


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.75, 0.999])
def test_it_is_the_reference(decay: float) -> None:
    model = scrambled(CONFIGS["rotary"])
    average = Average(model, decay)
    history = wander(model, average, 9)
    for name, found in average.averages.items():
        wanted = reference.moving_average([weights[name] for weights in history], decay)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_at_first_it_is_the_plain_mean() -> None:
    model = scrambled(CONFIGS["rotary"])
    average = Average(model, decay=0.9)
    history = wander(model, average, 10)
    for name, found in average.averages.items():
        mean = torch.stack([weights[name] for weights in history]).mean(0)
        torch.testing.assert_close(found, mean, atol=1e-5, rtol=1e-5)


def test_in_place_for_a_while() -> None:
    model = scrambled(CONFIGS["learned positions"])
    average = Average(model, decay=0.5)
    last = wander(model, average, 3)[-1]
    wanted = {name: value.clone() for name, value in average.averages.items()}
    with pytest.raises(RuntimeError), average.in_place():
        assert all(torch.equal(weight, wanted[name]) for name, weight in model.named_parameters())
        raise RuntimeError
    assert all(torch.equal(weight, last[name]) for name, weight in model.named_parameters())
    assert all(torch.equal(value, wanted[name]) for name, value in average.averages.items())


def test_it_does_not_change_what_is_learned() -> None:
    ends = []
    for config in (None, AverageConfig(decay=0.5)):
        model = scrambled(CONFIGS["rotary"])
        optimizer = Optimizer(model, AdamWConfig(), torch.float32, config)
        for seed in range(3):
            objective = predict_tokens(torch.ones(31, dtype=torch.long))
            with optimizer.averaged():
                model(random_batch(seed=seed).tokens)
            train_step(model, random_batch(seed=seed), objective, optimizer, learning_rate_share=1.0)
        ends.append(weights_of(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_run_measures_and_leaves_the_average(material: Material, tmp_path: Path) -> None:
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    config = material.config(average={"decay": 0.75})
    assert material.fit(plain).run()
    fit = material.fit(averaged, config)
    assert fit.run()
    ours, theirs = measurements(averaged), measurements(plain)
    for kind, is_same in (("train", True), ("validation", False)):
        lines = [[line for line in run if line["kind"] == kind] for run in (ours, theirs)]
        assert (lines[0] == lines[1]) is is_same
    weights, _ = load_tensors(RunFolder(averaged).weights_path, "")
    average = fit.state.optimizer.average
    assert average is not None and average.updates == 10
    assert all(torch.equal(weights[name], value) for name, value in average.averages.items())
    assert all(f"optimizer/{name}/average" in read_state(averaged)[0] for name in average.averages)


def test_a_resumed_run_has_the_same_average(material: Material, tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    config = material.config(average={"decay": 0.75})
    assert material.fit(straight, config).run()
    with pytest.raises(Killed):
        material.fit(resumed, config, listen=killer(8)).run()
    fit = material.fit(resumed, config)
    assert fit.resume() > 0
    assert fit.run()
    assert_same_run(resumed, straight)
