"""Every objective: the sums of a naive program, one gradient however a batch is cut, and no peeping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from data.shard_folders import END
from model.small_encoders import scrambled
from torch import Tensor
from train.every_objective import CASES, LENGTHS, MASK, VOCAB_SIZE, Case

from hornbook.data.batch import IGNORED, Batch
from hornbook.data.corruption_pairs import FOLLOWS, STRANGER
from hornbook.model.encoders import MaskedLM
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shapes import AnyModel, build_model
from hornbook.train import objectives_reference as reference
from hornbook.train.objectives import Loss
from hornbook.train.validate import Measurement, measure

every_case = pytest.mark.parametrize("name", CASES)


def model_for(case: Case) -> AnyModel:
    return scrambled(build_model(case.model))


def all_logits(model: AnyModel, batch: Batch) -> Tensor:
    """The logits of every place, by the models' own front doors."""
    numbers = batch.documents
    match model:
        case CausalLM():
            causal = batch.order is None
            return model(batch.tokens, Mask(causal=causal, documents=numbers, order=batch.order))
        case MaskedLM():
            return model(batch.tokens, Mask(causal=False, documents=numbers), segments=batch.segments)
        case PermutationLM():
            return model(batch.tokens, Mask(causal=False, documents=numbers), order=batch.order)
        case Seq2SeqLM():
            assert batch.source is not None
            read = Mask(causal=False, documents=batch.source_documents)
            return model(batch.source, batch.tokens, read, Mask(documents=numbers))
    raise AssertionError


@torch.no_grad()
def by_hand(model: AnyModel, batch: Batch) -> tuple[float, int, int]:
    """Summed loss, predictions and bytes, row by row and place by place."""
    total, weight, n_bytes = 0.0, 0, 0
    for row in batch.split(1):
        places = list(range(row.targets.size(1))) if row.places is None else row.places[0].tolist()
        targets = row.targets[0].tolist()
        own, count = reference.asked_tokens(all_logits(model, row)[0], targets, places, IGNORED)
        total, weight = total + own, weight + count
        n_bytes += sum(0 <= target < END for target in targets)
    return total, weight, n_bytes


def parts(batch: Batch) -> Iterator[Batch]:
    """Micro-batches as large as they come."""
    return batch.split(len(batch.tokens))


def losses(case: Case, model: AnyModel, batch: Batch) -> list[Loss]:
    return [case.objective(model, part) for part in parts(batch)]


@every_case
@torch.no_grad()
def test_the_sums_are_those_of_a_naive_program(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model, batch = model_for(case), case.batch(tmp_path)
    found = losses(case, model, batch)
    total, weight, n_bytes = by_hand(model, batch)
    assert sum(loss.total.item() for loss in found) == pytest.approx(total, rel=1e-4)
    assert sum(loss.weight.item() for loss in found) == weight > 8
    assert sum(loss.n_bytes.item() for loss in found) == n_bytes > 8
    measured = measure(model, [batch], case.objective)
    assert measured.loss == pytest.approx(total / weight, rel=1e-4)
    assert measured.perplexity == pytest.approx(reference.perplexity(total, weight), rel=1e-3)
    assert measured.bits_per_byte == pytest.approx(reference.bits_per_byte(total, n_bytes), rel=1e-4)


@every_case
@pytest.mark.parametrize("size", [1, 3])
def test_micro_batches_change_nothing(name: str, size: int, tmp_path: Path) -> None:
    """One gradient, though each part has another number of targets; the class of a row included."""
    case = CASES[name]
    batch = case.batch(tmp_path)

    def gradients(micros: Iterator[Batch]) -> list[Tensor]:
        model = model_for(case)
        for micro in micros:
            case.objective(model, micro).learned.backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    whole, cut = gradients(parts(batch)), gradients(batch.split(size))
    assert len(whole) == len(cut) > 10
    for ours, theirs in zip(cut, whole, strict=True):
        largest = theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, atol=1e-5 * max(1.0, largest), rtol=1e-4)


def changed_at(batch: Batch, row: int, place: int, token: int) -> Batch:
    tokens = batch.tokens.clone()
    tokens[row, place] = token
    return replace(batch, tokens=tokens)


@torch.no_grad()
def test_what_is_hidden_is_not_seen(tmp_path: Path) -> None:
    """Behind a mask, whatever token stood there the model reads the same: only the target knows."""
    case = CASES["masked"]
    model = model_for(case)
    rows, collate = case.loader(tmp_path).source.rows(range(8)), case.collate
    batch = collate(rows, np.random.default_rng(3))
    assert batch.places is not None
    masked = batch.tokens.gather(1, batch.places) == MASK
    row, at = (masked & (batch.targets != IGNORED)).nonzero()[0].tolist()
    other = rows.tokens.copy()
    other[row, batch.places[row, at]] = (other[row, batch.places[row, at]] + 1) % END
    again = collate(type(rows)(other, rows.documents), np.random.default_rng(3))
    assert torch.equal(again.tokens, batch.tokens), "the changed token was hidden"
    assert not torch.equal(again.targets, batch.targets)
    assert torch.equal(all_logits(model, again), all_logits(model, batch))


@torch.no_grad()
def test_in_an_order_a_token_does_not_see_itself_or_what_is_later(tmp_path: Path) -> None:
    case = CASES["permutation"]
    model, batch = model_for(case), case.batch(tmp_path)
    assert batch.places is not None and batch.order is not None
    before = all_logits(model, batch)
    places = batch.places[0].tolist()
    assert len(places) == 4
    for i, place in enumerate(places):
        after = all_logits(model, changed_at(batch, 0, place, 7))
        for k, other in enumerate(places):
            same = torch.allclose(after[0, other], before[0, other], atol=1e-5)
            alone = batch.documents is not None and batch.documents[0, other] != batch.documents[0, place]
            assert same == bool(k <= i or alone), (i, k)


@torch.no_grad()
def test_a_prediction_after_a_beginning_does_not_see_its_target(tmp_path: Path) -> None:
    """And sees all of the beginning, also what stands after the place that asks nothing."""
    case = CASES["prefix"]
    model = model_for(case)
    tokens, order = torch.arange(10)[None], torch.tensor([[0, 0, 0, 0, 4, 5, 6, 7, 8, 9]])
    targets = torch.tensor([[IGNORED] * 3 + list(range(4, 11))])
    batch = Batch(tokens, targets, order=order)
    before = all_logits(model, batch)[0]
    for changed in range(10):
        after = all_logits(model, changed_at(batch, 0, changed, 99))[0]
        moved = [place for place in range(10) if not torch.allclose(after[place], before[place], atol=1e-6)]
        assert moved == list(range(0 if changed < 4 else changed, 10))


@pytest.mark.parametrize("name", [name for name in CASES if name != "masked_pairs"])
@torch.no_grad()
def test_documents_do_not_see_each_other(name: str, tmp_path: Path) -> None:
    """A document is changed: no prediction of another one moves. A pair is one document, of two texts."""
    case = CASES[name]
    model, batch = model_for(case), case.batch(tmp_path)
    batch = next(parts(batch))
    assert batch.documents is not None
    numbers = batch.documents
    row = next(i for i, own in enumerate(numbers) if (own >= 0).unique().numel() and own[0] != own[-1])
    first = numbers[row] == numbers[row, 0]
    before = all_logits(model, batch)[row]
    changes = replace(
        batch, tokens=torch.where(first & (torch.arange(len(numbers)) == row)[:, None], 7, batch.tokens)
    )
    if batch.source is not None:
        assert batch.source_documents is not None
        read = batch.source_documents == numbers[row, 0]
        changes = replace(changes, source=torch.where(read, 7, batch.source))
    after = all_logits(model, changes)[row]
    torch.testing.assert_close(after[~first], before[~first], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after[first], before[first], atol=1e-3)


def test_pairs_are_learned_from_as_the_paper_has_it(tmp_path: Path) -> None:
    """The mean over tokens plus the mean over pairs, after the step's one division; reported is the first."""
    case = CASES["masked_pairs"]
    model, batch = model_for(case), case.batch(tmp_path)
    assert isinstance(model, MaskedLM) and model.pairs is not None and batch.labels is not None
    assert set(batch.labels.tolist()) == {FOLLOWS, STRANGER}
    loss = case.objective(model, batch)
    total, weight, _ = by_hand(model, batch)
    with torch.no_grad():
        features = model.features(
            batch.tokens, Mask(causal=False, documents=batch.documents), segments=batch.segments
        )
        judged = model.pairs(features)
    answers = zip(judged, batch.labels.tolist(), strict=True)
    pair_losses = [reference.surprise(logits, label) for logits, label in answers]
    wanted = reference.masked_pairs([total / weight], pair_losses)
    assert (loss.learned / loss.weight).item() == pytest.approx(wanted, rel=1e-4)
    assert loss.total.item() == pytest.approx(total, rel=1e-4)
    measured = measure(model, [batch], case.objective).line()
    assert measured["pairs_loss"] == pytest.approx(sum(pair_losses) / len(pair_losses), rel=1e-4)
    right = (judged.argmax(-1) == batch.labels).float().mean().item()
    assert measured["pairs_right"] == pytest.approx(right)


def test_the_parts_of_a_mixture_are_told_apart(tmp_path: Path) -> None:
    case = CASES["weighted"]
    model, batch = model_for(case), case.batch(tmp_path)
    line = measure(model, [batch], case.objective).line()
    for part, name in zip(parts(batch), case.parts, strict=True):
        total, weight, n_bytes = by_hand(model, part)
        assert line[f"{name}_loss"] == pytest.approx(total / weight, rel=1e-4)
        bits = reference.bits_per_byte(total, n_bytes)
        assert line[f"{name}_bits_per_byte"] == pytest.approx(bits, rel=1e-4)


def test_only_what_is_asked_for_goes_through_the_head(tmp_path: Path) -> None:
    case = CASES["masked"]
    model, batch = model_for(case), case.batch(tmp_path)
    assert isinstance(model, MaskedLM) and batch.places is not None
    seen: list[int] = []
    model.head.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    case.objective(model, batch)
    assert 0 < sum(seen) <= batch.places.numel() < batch.tokens.numel() / 4


def test_a_loss_beyond_all_numbers_has_no_perplexity() -> None:
    assert Measurement(800.0, 1.0, 1, 1).perplexity == float("inf")
    assert Measurement(log(5), 1.0, 1, 1).perplexity == pytest.approx(5)
    assert len(LENGTHS) == VOCAB_SIZE
