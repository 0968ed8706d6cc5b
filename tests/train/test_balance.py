"""Experts are kept in balance: the loss beside the loss has its value and its gradient, and no report."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from torch import Tensor
from torch.nn import functional
from train.small_runs import OPTIMIZERS, optimizer_for, random_batch

from hornbook.data.batch import IGNORED, Batch
from hornbook.model import mixture_reference
from hornbook.model.mask import Mask
from hornbook.model.mixture import balance_loss
from hornbook.model.models import CausalLM
from hornbook.train.config import MuonConfig
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import train_step
from hornbook.train.validate import measure

OBJECTIVE = predict_tokens(torch.arange(31) % 5)
CONFIG = CONFIGS["experts"]


def by_hand(model: CausalLM, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Summed cross-entropy, its weight, and the logits of the two routers, from one forward pass."""
    routed: list[Tensor] = []
    handles = [
        layer.feed_forward.layer.router.register_forward_hook(lambda _, __, logits: routed.append(logits))
        for layer in model.layers
    ]
    logits = model(batch.tokens, Mask(documents=batch.documents)).flatten(0, 1)
    for handle in handles:
        handle.remove()
    targets = batch.targets.flatten()
    total = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    return total, (targets != IGNORED).sum().float(), routed


def test_the_balance_counts_once_for_each_prediction() -> None:
    """0.01 times the mean of the two layers, times the predictions; the reported loss is without it."""
    model, batch = scrambled(CONFIG), random_batch(ragged=True)
    loss = OBJECTIVE(model, batch)
    total, weight, routed = by_hand(model, batch)
    mean = sum(mixture_reference.balance_loss(logits.detach(), 2) for logits in routed) / 2
    assert loss.balance is not None
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-5)
    assert loss.balance.item() == pytest.approx(0.01 * mean * weight.item(), rel=1e-5)
    assert loss.learned.item() == pytest.approx(loss.total.item() + loss.balance.item(), rel=1e-6)
    assert 0 < weight < batch.targets.numel(), "some targets count and some do not"


def test_a_model_without_experts_has_nothing_to_balance() -> None:
    loss = OBJECTIVE(scrambled(CONFIGS["rotary"]), random_batch())
    assert loss.balance is None
    assert loss.learned is loss.total


class Watched(Optimizer):
    """Keeps the gradient it was given."""

    gradients: dict[str, Tensor]

    def step(self, share: float) -> None:
        self.gradients = {name: p.grad.clone() for p, name in self.names.items() if p.grad is not None}
        super().step(share)


@pytest.mark.parametrize("size", [None, 1, 3])
def test_the_gradient_is_that_of_both_losses(size: int | None) -> None:
    """Over micro-batches, each balanced for itself and counting by its predictions."""
    model, twin, batch = scrambled(CONFIG), scrambled(CONFIG), random_batch(ragged=True)
    optimizer = Watched(model, MuonConfig(), torch.float32)
    result = train_step(model, batch, OBJECTIVE, optimizer, learning_rate_share=1.0, micro_batch_size=size)
    sums = torch.zeros(()), torch.zeros(())
    whole = torch.zeros(())
    for micro in batch.split(size or len(batch.tokens)):
        total, weight, routed = by_hand(twin, micro)
        mean = sum((balance_loss(logits, 2) for logits in routed), torch.zeros(())) / 2
        whole = whole + total + weight * 0.01 * mean
        sums = sums[0] + total.detach(), sums[1] + weight
    (whole / sums[1]).backward()
    assert (result.total, result.weight) == pytest.approx((sums[0].item(), sums[1].item()), rel=1e-5)
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(optimizer.gradients[name], parameter.grad, atol=1e-6, rtol=1e-4)


def test_balance_reaches_the_routers() -> None:
    """The test above could not tell, were it small beside the other; here it is alone."""
    model = scrambled(CONFIG)
    loss = OBJECTIVE(model, random_batch())
    assert loss.balance is not None
    loss.balance.backward()
    routers = [layer.feed_forward.layer.router.weight.grad for layer in model.layers]
    assert all(gradient is not None and gradient.abs().max() > 1e-3 for gradient in routers)
    assert all(layer.feed_forward.layer.experts[0].down.weight.grad is None for layer in model.layers[1:])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_expert_learns(optimizer: str) -> None:
    model, untouched = scrambled(CONFIG), scrambled(CONFIG)
    train_step(model, random_batch(), OBJECTIVE, optimizer_for(model, optimizer), learning_rate_share=1.0)
    pairs = zip(model.named_parameters(), untouched.named_parameters(), strict=True)
    assert [name for (name, now), (_, before) in pairs if torch.equal(now, before)] == []


def test_a_measurement_is_without_the_balance() -> None:
    model, batch = scrambled(CONFIG), random_batch()
    total, weight, _ = by_hand(model, batch)
    assert measure(model, [batch], OBJECTIVE).loss == pytest.approx((total / weight).item(), rel=1e-5)
