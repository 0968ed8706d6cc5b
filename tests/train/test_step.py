"""One step: the weights move as in the training to read, and micro-batches change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from model.small_models import CONFIGS, block, model_config, scrambled
from torch import Tensor
from train.small_runs import OPTIMIZERS, optimizer_for, random_batch

from hornbook.data.batch import IGNORED, Batch
from hornbook.model.config import EmbeddingConfig, HeadConfig, ModelConfig
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.part_config import FeedForwardConfig, LearnedPositionConfig
from hornbook.train import reference
from hornbook.train.config import AdamWConfig, MuonConfig, OptimizerConfig
from hornbook.train.objectives import Loss, predict_tokens
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import StepResult, train_step

OBJECTIVE = predict_tokens(torch.arange(31) % 5)

Update = Callable[[str, Tensor, Tensor], Tensor]


def readable_adamw(config: AdamWConfig) -> reference.AdamW:
    """The twin; the names of norms and biases end so, and they do not decay."""

    def decay(name: str) -> float:
        return 0.0 if name.endswith("bias") or "norm" in name else config.weight_decay

    return reference.AdamW(config.learning_rate, config.betas, config.eps, decay)


def readable(config: OptimizerConfig) -> Update:
    """The readable update of every weight, chosen by the weight's name."""
    if isinstance(config, AdamWConfig):
        return readable_adamw(config)
    muon = reference.Muon(config.learning_rate, config.momentum, config.newton_schulz_steps)
    embeddings, rest = readable_adamw(config.embeddings), readable_adamw(config.rest)

    def update(name: str, weight: Tensor, gradient: Tensor) -> Tensor:
        if name.startswith("embedding.") and weight.ndim == 2:
            return embeddings(name, weight, gradient)
        rule: Update = muon if name.startswith("blocks.") and weight.ndim == 2 else rest
        return rule(name, weight, gradient)

    return update


LEARNERS = {
    "grouped": CONFIGS["grouped"],
    "all norm slots": CONFIGS["all norm slots"],
    # Not GPT-2's whole shape: a key bias has no gradient but rounding, which Adam would blow up.
    "learned positions, tied": model_config(
        block({"position": None, "out_bias": True}, feed_forward=FeedForwardConfig(d_ff=24, bias=True)),
        embedding=EmbeddingConfig(position=LearnedPositionConfig()),
        head=HeadConfig(tied=True),
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("config", list(LEARNERS.values()), ids=list(LEARNERS))
def test_training_is_the_reference(config: ModelConfig, optimizer: str) -> None:
    """Several steps of the fast step and of the loop to read, from the same weights: the same weights.

    The tolerance is for what a rounding error in a small gradient becomes at rates of 0.03; the optimizers
    alone are held to 1e-6 in test_optimizer.py.
    """
    fast, slow = scrambled(config), scrambled(config)
    batches = [random_batch(seed=seed) for seed in range(5)]
    losses = reference.train(slow, [(b.tokens, b.targets) for b in batches], readable(OPTIMIZERS[optimizer]))
    own = optimizer_for(fast, optimizer)
    for batch, loss in zip(batches, losses, strict=True):
        result = train_step(fast, batch, OBJECTIVE, own, learning_rate_share=1.0)
        assert result.total / result.weight == pytest.approx(loss, rel=1e-5)
    for key, weight in slow.named_parameters():
        torch.testing.assert_close(dict(fast.named_parameters())[key], weight, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_weight_learns(optimizer: str) -> None:
    model, untouched = scrambled(CONFIGS["all norm slots"]), scrambled(CONFIGS["all norm slots"])
    train_step(model, random_batch(), OBJECTIVE, optimizer_for(model, optimizer), learning_rate_share=1.0)
    pairs = zip(model.named_parameters(), untouched.named_parameters(), strict=True)
    assert [name for (name, now), (_, before) in pairs if torch.equal(now, before)] == []


class Watched(Optimizer):
    """Keeps the gradient it was given."""

    gradients: list[Tensor]

    def step(self, share: float) -> None:
        self.gradients = [p.grad.clone() for p in self.names if p.grad is not None]
        super().step(share)


def learn(
    batch: Batch, *, norm: float | None = None, size: int | None = None
) -> tuple[StepResult, list[Tensor]]:
    """One step of a small model: what it measured, and the gradient that was used."""
    model = scrambled(CONFIGS["rotary"])
    optimizer = Watched(model, MuonConfig(), torch.float32)
    result = train_step(
        model,
        batch,
        OBJECTIVE,
        optimizer,
        learning_rate_share=1.0,
        micro_batch_size=size,
        max_grad_norm=norm,
    )
    return result, optimizer.gradients


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "masked and ignored"])
@pytest.mark.parametrize("size", [4, 2, 1, 3])
def test_micro_batches_change_nothing(size: int, ragged: bool) -> None:
    """8 at once, 2 x 4, 4 x 2, 8 x 1 and 3 + 3 + 2: one gradient, though each part has another weight."""
    batch = random_batch(ragged=ragged)
    whole, wanted = learn(batch)
    parts, found = learn(batch, size=size)
    for field in ("total", "weight", "n_bytes", "grad_norm"):
        assert getattr(parts, field) == pytest.approx(getattr(whole, field), rel=1e-6)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_the_ragged_batch_would_catch_a_mean_of_means() -> None:
    """The usual mistake must be visible in the batch above, or the test above proves nothing."""
    batch = random_batch(ragged=True)
    result, _ = learn(batch)
    model = scrambled(CONFIGS["rotary"])
    losses = [OBJECTIVE(model, row) for row in batch.split(1)]
    mean_of_means = sum((loss.total / loss.weight).item() for loss in losses) / len(losses)
    assert abs(mean_of_means - result.total / result.weight) > 0.01


def test_the_gradient_is_that_of_the_mean_loss() -> None:
    """By automatic differentiation of one plain mean over all predictions that count."""
    batch = random_batch(ragged=True)
    model = scrambled(CONFIGS["rotary"])
    kept = batch.targets != IGNORED
    rows = [model(b.tokens, Mask(documents=b.documents))[b.targets != IGNORED] for b in batch.split(1)]
    reference.cross_entropy(torch.cat(rows), batch.targets[kept]).backward()
    _, found = learn(batch)
    for ours, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-6, rtol=1e-5)


def test_a_long_gradient_is_shortened_and_a_short_one_is_not() -> None:
    free, long = learn(random_batch())
    cut, short = learn(random_batch(), norm=free.grad_norm / 4)
    assert cut.grad_norm == free.grad_norm, "what is told is the length before"
    for a, b in zip(long, short, strict=True):
        torch.testing.assert_close(b, a / 4)
    _, same = learn(random_batch(), norm=free.grad_norm * 1.01)
    assert all(torch.equal(a, b) for a, b in zip(long, same, strict=True))


def test_the_gradient_norm_is_over_all_weights() -> None:
    result, gradients = learn(random_batch())
    wanted = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert result.grad_norm == pytest.approx(wanted, rel=1e-6)


def broken(value: float, call: int = 1) -> Callable[[CausalLM, Batch], Loss]:
    """The objective, spoilt by a factor at its n-th call."""
    calls = 0

    def objective(model: CausalLM, batch: Batch) -> Loss:
        nonlocal calls
        calls += 1
        loss = OBJECTIVE(model, batch)
        return loss._replace(total=loss.total * value) if calls == call else loss

    return objective


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("call", [1, 2], ids=["first micro-batch", "second micro-batch"])
def test_a_gradient_that_is_no_number_changes_no_weight(value: float, call: int) -> None:
    model = scrambled(CONFIGS["rotary"])
    optimizer = optimizer_for(model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    result = train_step(
        model,
        random_batch(),
        broken(value, call),
        optimizer,
        learning_rate_share=1.0,
        micro_batch_size=4,
        max_grad_norm=1.0,
    )
    assert result.skipped == f"not finite: loss {value:.3g}, gradient norm nan"
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert optimizer.state() == {}


def test_a_judge_is_told_what_the_step_measured_and_is_obeyed() -> None:
    model = scrambled(CONFIGS["rotary"])
    optimizer = optimizer_for(model)
    told: list[tuple[float, float, float]] = []

    def judge(total: float, weight: float, grad_norm: float) -> str:
        told.append((total, weight, grad_norm))
        return "not today"

    before = {name: weight.clone() for name, weight in model.named_parameters()}
    result = train_step(model, random_batch(), OBJECTIVE, optimizer, learning_rate_share=1.0, judge=judge)
    assert told == [(result.total, result.weight, result.grad_norm)]
    assert result.skipped == "not today"
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert all(weight.grad is None for weight in model.parameters())
    assert optimizer.state() == {}


def test_a_batch_with_nothing_to_predict_is_left_out() -> None:
    model = scrambled(CONFIGS["rotary"])
    batch = random_batch()
    batch = replace(batch, targets=torch.full_like(batch.targets, IGNORED))
    result = train_step(model, batch, OBJECTIVE, optimizer_for(model), learning_rate_share=1.0)
    assert result.skipped == "the batch has nothing to predict"
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_after_a_skipped_step_the_next_is_as_if_it_had_not_been() -> None:
    """What the skipped step left in the gradients must not reach the weights later."""
    tried, untried = scrambled(CONFIGS["rotary"]), scrambled(CONFIGS["rotary"])
    for model in (tried, untried):
        optimizer = optimizer_for(model)
        if model is tried:
            train_step(model, random_batch(), broken(float("nan")), optimizer, learning_rate_share=1.0)
        train_step(model, random_batch(), OBJECTIVE, optimizer, learning_rate_share=1.0)
    pairs = zip(tried.parameters(), untried.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_share_scales_every_rate() -> None:
    """Half the share is half of every learning rate, of each optimizer and group."""
    shared, halved = scrambled(CONFIGS["rotary"]), scrambled(CONFIGS["rotary"])
    full = MuonConfig()
    half = full.model_copy(
        update={
            "learning_rate": full.learning_rate / 2,
            "embeddings": full.embeddings.model_copy(update={"learning_rate": 0.015}),
            "rest": full.rest.model_copy(update={"learning_rate": 0.003}),
        }
    )
    for model, config, share in ((shared, full, 0.5), (halved, half, 1.0)):
        optimizer = Optimizer(model, config, torch.float32)
        train_step(model, random_batch(), OBJECTIVE, optimizer, learning_rate_share=share)
    for ours, theirs in zip(shared.parameters(), halved.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)


def test_a_tied_matrix_gets_both_gradients() -> None:
    tied = scrambled(model_config(head=HeadConfig(tied=True)))
    batch = random_batch()
    OBJECTIVE(tied, batch).total.backward()
    untied = scrambled(model_config())
    untied.load_state_dict(tied.state_dict())
    OBJECTIVE(untied, batch).total.backward()
    both = [untied.embedding.tokens.weight.grad, untied.head.weight.grad]
    assert both[0] is not None and both[1] is not None
    torch.testing.assert_close(tied.head.weight.grad, both[0] + both[1], atol=1e-5, rtol=1e-5)


def test_bfloat16_is_near_float32() -> None:
    """The weights stay float32; the loss differs by rounding only."""
    batch = random_batch()
    model = scrambled(CONFIGS["rotary"])
    result = train_step(
        model,
        batch,
        OBJECTIVE,
        optimizer_for(model),
        learning_rate_share=1.0,
        precision=torch.bfloat16,
    )
    exact, _ = learn(batch)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert result.total == pytest.approx(exact.total, rel=0.02)
    assert result.total != exact.total


def test_metrics_of_all_micro_batches_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is waited for once, however many there are; one that only some have is the mean of those."""
    batch, n_read = random_batch(), 0
    tolist = Tensor.tolist

    def counted(tensor: Tensor) -> list[float]:
        nonlocal n_read
        n_read += 1
        return tolist(tensor)

    calls = iter(range(len(batch.tokens)))

    def objective(model: CausalLM, micro: Batch) -> Loss:
        i = next(calls)
        metrics = {"all": (torch.tensor(i + 1.0), torch.tensor(2.0)), "none": (torch.zeros(()),) * 2}
        if i == 1:
            metrics["one"] = (torch.tensor(6.0), torch.tensor(4))
        return OBJECTIVE(model, micro)._replace(metrics=metrics)

    model = scrambled(CONFIGS["grouped"])
    own = optimizer_for(model)
    monkeypatch.setattr(Tensor, "tolist", counted)
    found = train_step(model, batch, objective, own, learning_rate_share=1.0, micro_batch_size=1)
    n = len(batch.tokens)
    assert n_read == 1
    assert math.isnan(found.metrics["none"]) and n > 1
    assert (found.metrics["all"], found.metrics["one"]) == (sum(range(n + 1)) / (2 * n), 1.5)
