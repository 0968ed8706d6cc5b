"""Cross-entropy in chunks: the loss and all gradients of the plain one, whatever the head and the chunk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from model.small_models import block, model_config, scrambled
from torch import Tensor, nn
from torch.nn import functional
from train.small_runs import optimizer_for, random_batch

from hornbook.data.batch import IGNORED
from hornbook.model.config import HeadConfig
from hornbook.model.models import CausalLM
from hornbook.plan.memory import HeldBytes
from hornbook.train import cross_entropy, reference
from hornbook.train.cross_entropy import summed_cross_entropy
from hornbook.train.objectives import predict_tokens
from hornbook.train.step import train_step

HEADS = {
    "plain": HeadConfig(),
    "bias": HeadConfig(bias=True),
    "tied": HeadConfig(tied=True),
    "scaled and capped": HeadConfig(scale=0.5, softcap=3.0, bias=True),
}


def rows_of(n: int = 13, width: int = 8, vocab: int = 31) -> tuple[Tensor, Tensor]:
    """Features that learn, and targets of which two count for nothing."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, width, generator=generator).requires_grad_()
    targets = torch.randint(vocab, (n,), generator=generator)
    targets[[2, 7]] = IGNORED
    return features, targets


def learned(
    total: Callable[[Tensor, Tensor], Tensor], module: nn.Module, *, times: float = 1.0
) -> tuple[Tensor, list[Tensor]]:
    """A total, and the gradients of features and of a module's weights after it."""
    features, targets = rows_of()
    module.zero_grad()
    found = total(features, targets)
    (found * times).backward()
    return found.detach(), [g for p in (features, *module.parameters()) if (g := p.grad) is not None]


def small_head(config: HeadConfig) -> CausalLM:
    return scrambled(model_config(vocab_size=31, d_model=8, head=config))


@pytest.mark.parametrize("rows", [1, 4, 13, 100])
@pytest.mark.parametrize("name", HEADS)
def test_loss_and_gradients_are_the_plain_ones(name: str, rows: int) -> None:
    model = small_head(HEADS[name])

    def plain(features: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(
            model.logits(features), targets, ignore_index=IGNORED, reduction="sum"
        )

    def chunked(features: Tensor, targets: Tensor) -> Tensor:
        return summed_cross_entropy(model.logits, features, targets, rows=rows)

    torch.testing.assert_close(learned(chunked, model), learned(plain, model), atol=1e-5, rtol=1e-5)


def test_it_is_the_reference() -> None:
    model = small_head(HEADS["bias"])
    features, targets = rows_of()
    kept = targets != IGNORED
    mean = reference.cross_entropy(model.logits(features)[kept], targets[kept])
    total = summed_cross_entropy(model.logits, features, targets, rows=4)
    assert (total / kept.sum()).item() == pytest.approx(mean.item(), rel=1e-5)


def test_the_z_loss_is_in_the_gradient_and_not_in_the_number() -> None:
    model = small_head(HEADS["bias"])

    def plain(features: Tensor, targets: Tensor) -> Tensor:
        kept = targets != IGNORED
        return reference.cross_entropy_and_z_loss(model.logits(features)[kept], targets[kept], 0.1) * 11

    def chunked(features: Tensor, targets: Tensor) -> Tensor:
        return summed_cross_entropy(model.logits, features, targets, z_weight=0.1, rows=4)

    (value, found), (_, wanted) = learned(chunked, model), learned(plain, model)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert value == summed_cross_entropy(model.logits, *rows_of(), rows=4)


def test_a_head_of_several_layers_and_one_that_is_partly_frozen() -> None:
    """A masked model's transform, or an adapter: what the head computes with learns, and no more."""
    head = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 31))
    frozen = head[0].requires_grad_(False)
    found = learned(lambda x, y: summed_cross_entropy(head, x, y, rows=5), head)
    wanted = learned(
        lambda x, y: functional.cross_entropy(head(x), y, ignore_index=IGNORED, reduction="sum"), head
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert frozen.weight.grad is None and len(found[1]) == 3


def test_what_is_made_of_the_total_scales_the_gradients() -> None:
    model = small_head(HEADS["bias"])

    def chunked(features: Tensor, targets: Tensor) -> Tensor:
        return summed_cross_entropy(model.logits, features, targets, rows=4)

    (_, once), (_, thrice) = learned(chunked, model), learned(chunked, model, times=3.0)
    torch.testing.assert_close(thrice, [3 * each for each in once])


def test_a_frozen_head_passes_the_gradient_on() -> None:
    model = small_head(HEADS["plain"]).requires_grad_(False)
    _, found = learned(lambda x, y: summed_cross_entropy(model.logits, x, y, rows=4), model)
    features, targets = rows_of()
    functional.cross_entropy(
        model.logits(features), targets, ignore_index=IGNORED, reduction="sum"
    ).backward()
    torch.testing.assert_close(found, [features.grad], atol=1e-5, rtol=1e-5)


def test_without_gradients_nothing_is_kept() -> None:
    model = small_head(HEADS["bias"])
    with_gradients = summed_cross_entropy(model.logits, *rows_of(), rows=4)
    for off in (torch.no_grad(), torch.inference_mode()):
        with off:
            total = summed_cross_entropy(model.logits, *rows_of(), rows=4)
        assert not total.requires_grad
        assert total == with_gradients


def test_no_target_at_all_is_no_loss() -> None:
    model = small_head(HEADS["bias"])
    features, targets = rows_of()
    total = summed_cross_entropy(model.logits, features, torch.full_like(targets, IGNORED))
    total.backward()
    assert total == 0
    assert features.grad is not None and not features.grad.any()
    assert model.head.weight.grad is not None and not model.head.weight.grad.any()


def test_in_bfloat16_the_sums_are_those_of_float32() -> None:
    """The products round, the losses are taken and added in float32."""
    model = small_head(HEADS["plain"])
    features, targets = rows_of()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = summed_cross_entropy(model.logits, features, targets, rows=4)
        logits = model.logits(features)
    assert logits.dtype == torch.bfloat16 and total.dtype == torch.float32
    wanted = functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction="sum")
    assert total.item() == pytest.approx(wanted.item(), rel=1e-6)
    total.backward()
    assert features.grad is not None and features.grad.dtype == torch.float32


def test_no_table_of_all_logits_is_made() -> None:
    """The most that lives is a few chunks of logits and what waits for the backward pass."""
    n, width, vocab, rows = 64, 8, 2000, 4
    head = nn.Linear(width, vocab, bias=False)
    features, targets = torch.randn(n, width).requires_grad_(), torch.zeros(n, dtype=torch.long)
    with HeldBytes([*head.parameters(), features, targets]) as held:
        total = summed_cross_entropy(head, features, targets, rows=rows)
        kept = held.now
    of_weights, of_features, chunk = 4 * width * vocab, 4 * n * width, 4 * rows * vocab
    assert of_weights + of_features <= kept < of_weights + of_features + chunk / 10
    assert held.peak < 2 * of_weights + of_features + 3.1 * chunk < 4 * n * vocab
    total.backward()


@pytest.mark.parametrize("size", [None, 3])
def test_the_step_is_that_of_the_whole_table(size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the objective and the optimizer: chunks of 7 rows, or one of all."""
    ends = []
    for rows in (7, 10_000):
        monkeypatch.setattr(
            cross_entropy.summed_cross_entropy, "__kwdefaults__", {"z_weight": 0.0, "rows": rows}
        )
        model = scrambled(model_config(block(), head=HeadConfig(tied=True)))
        objective, optimizer = predict_tokens(torch.ones(31, dtype=torch.long)), optimizer_for(model)
        batch = random_batch(ragged=True)
        train_step(model, batch, objective, optimizer, learning_rate_share=1.0, micro_batch_size=size)
        ends.append([weight.detach() for weight in model.parameters()])
    torch.testing.assert_close(ends[0], ends[1], atol=2e-5, rtol=1e-5)
