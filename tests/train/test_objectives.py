"""The next-token objective: sums and counts that a naive program agrees with, blind where it must be."""

from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch
from data.shard_folders import read_batch, shards_of
from model.small_models import CONFIGS, block, model_config, scrambled
from train.small_runs import random_batch

from hornbook.data.batch import IGNORED, Batch
from hornbook.data.loader import held_out_batches
from hornbook.data.shards import TokenShards, write_shards
from hornbook.model.mask import Mask
from hornbook.tokenizer import Tokenizer
from hornbook.train import reference
from hornbook.train.objectives import predict_tokens
from hornbook.train.validate import measure

LENGTHS = torch.arange(31) % 7
OBJECTIVE = predict_tokens(LENGTHS)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A tokenizer whose tokens are letters, words and parts of letters of two, three and four bytes."""
    return Tokenizer.train(["the thé, 日本 of the 🦉 and the thé\n"] * 5, vocab_size=270)


def test_the_sums_are_those_of_a_naive_program() -> None:
    """Row by row, place by place, with the cross-entropy to read."""
    model, batch = scrambled(CONFIGS["rotary"]), random_batch(ragged=True)
    loss = OBJECTIVE(model, batch)
    total = weight = n_bytes = 0.0
    for row in batch.split(1):
        logits = model(row.tokens, Mask(documents=row.documents))[0]
        for scores, target in zip(logits, row.targets[0], strict=True):
            if target != IGNORED:
                total += reference.cross_entropy(scores[None], target[None]).item()
                weight += 1
                n_bytes += int(target) % 7
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert (loss.weight.item(), loss.n_bytes.item()) == (weight, n_bytes)
    assert 0 < weight < batch.targets.numel(), "some targets count and some do not"


def test_bits_per_byte_are_counted_in_bytes_of_text(tokenizer: Tokenizer) -> None:
    """A token may be a part of a letter; decoding it to text and measuring that would count it wrongly."""
    ids = torch.tensor([tokenizer.encode("日本 of 🦉 thé\n")])
    assert any("�" in tokenizer.decode([i]) for i in ids[0].tolist()), "no token is a part of a letter"
    batch = Batch(ids[:, :-1], ids[:, 1:].clone())
    batch.targets[0, 0] = IGNORED
    model = scrambled(model_config(vocab_size=tokenizer.vocab_size, max_seq_len=64))
    loss = predict_tokens(torch.tensor(tokenizer.byte_lengths))(model, batch)
    assert loss.n_bytes == sum(len(tokenizer.token_bytes(i)) for i in ids[0, 2:].tolist())


def test_a_special_token_has_no_bytes(tokenizer: Tokenizer) -> None:
    end = tokenizer.end_of_text
    assert end is not None
    batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[end, end]]))
    model = scrambled(model_config(vocab_size=tokenizer.vocab_size))
    loss = predict_tokens(torch.tensor(tokenizer.byte_lengths))(model, batch)
    assert (loss.weight, loss.n_bytes) == (2, 0)
    assert loss.total > 0, "to foresee the end is learned all the same"


def test_held_out_bytes_are_the_bytes_of_the_documents(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Each document's bytes exactly once, whatever windows it was cut into: comparable with gzip."""
    texts = ["thé of the 日本 🦉 and so on, " * n for n in (1, 2, 5)] + ["", "a"]
    write_shards(texts, tokenizer, tmp_path, fingerprint="")
    batches = list(held_out_batches(TokenShards(tmp_path), seq_len=12, batch_size=3, overlap=6))
    model = scrambled(model_config(vocab_size=tokenizer.vocab_size))
    objective = predict_tokens(torch.tensor(tokenizer.byte_lengths))
    found = measure(model, batches, objective)
    assert found.n_bytes == sum(len(text.encode()) for text in texts)
    assert found.n_tokens == sum(len(tokenizer.encode(text)) for text in texts)
    bits = found.loss * found.n_tokens / log(2)
    assert found.bits_per_byte == pytest.approx(bits / found.n_bytes)


def test_measuring_leaves_the_model_as_it_was() -> None:
    """No dropout while measuring, no gradient, and training goes on afterwards."""
    model = scrambled(model_config(block(dropout=0.5)))
    batches = [random_batch(seed=seed, ragged=True) for seed in range(3)]
    for training in (True, False):
        model.train(training)
        one, other = measure(model, batches, OBJECTIVE), measure(model, batches, OBJECTIVE)
        assert one == other
        assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_measuring_is_one_mean_over_all_batches() -> None:
    """Not a mean of the batches' means: they weigh as many tokens as they hold."""
    model = scrambled(CONFIGS["rotary"])
    batches = [random_batch(n_rows=2), random_batch(seed=1, ragged=True)]
    losses = [OBJECTIVE(model, batch) for batch in batches]
    total, weight = (sum(getattr(loss, field).item() for loss in losses) for field in ("total", "weight"))
    found = measure(model, batches, OBJECTIVE)
    assert found.loss == pytest.approx(total / weight, rel=1e-6)
    assert found.n_tokens == weight


def test_the_loss_of_one_document_does_not_know_the_other() -> None:
    """Packed into one row behind a mask; without the mask, which must make a difference, it knows."""
    model, batch = scrambled(CONFIGS["rotary"]), random_batch(n_rows=1)
    documents = torch.tensor([[0] * 4 + [1] * 6])
    batch.targets[:, :4] = IGNORED
    changed = batch.tokens.clone()
    changed[:, :4] = (changed[:, :4] + 1) % 31

    def total(tokens: torch.Tensor, documents: torch.Tensor | None) -> float:
        return OBJECTIVE(model, Batch(tokens, batch.targets, documents)).total.item()

    assert total(batch.tokens, documents) == total(changed, documents)
    assert abs(total(batch.tokens, None) - total(changed, None)) > 1e-3
    alone = OBJECTIVE(model, Batch(batch.tokens[:, 4:], batch.targets[:, 4:])).total.item()
    assert total(batch.tokens, documents) == pytest.approx(alone, rel=1e-5)


def test_no_gradient_crosses_the_border_of_documents() -> None:
    model, batch = scrambled(CONFIGS["learned positions"]), random_batch(n_rows=1)
    batch.targets[:, :4] = IGNORED
    before, after = set(batch.tokens[0, :4].tolist()), set(batch.tokens[0, 4:].tolist())
    assert before - after, "the first document needs a token of its own"
    untied = model.embedding.tokens.weight.detach().clone().requires_grad_()
    model.head.weight = torch.nn.Parameter(model.head.weight.detach().clone())
    model.embedding.tokens.weight = torch.nn.Parameter(untied)
    OBJECTIVE(model, Batch(batch.tokens, batch.targets, torch.tensor([[0] * 4 + [1] * 6]))).total.backward()
    gradient = model.embedding.tokens.weight.grad
    assert gradient is not None
    assert not gradient[sorted(before - after)].any()
    assert gradient[sorted(after)].any()


def test_a_prediction_does_not_see_its_target() -> None:
    """Everything from the target on may change: the loss at the places before stays."""
    model, batch = scrambled(CONFIGS["rotary"]), random_batch(n_rows=2)
    batch.targets[:, 5:] = IGNORED
    changed = batch.tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 31
    one, other = (OBJECTIVE(model, Batch(tokens, batch.targets)).total for tokens in (batch.tokens, changed))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_end_of_a_document_is_predicted(tmp_path: Path) -> None:
    """In training the token that ends a text is a target: a model that never sees it never stops."""
    shards = shards_of([[1, 2], [3, 4, 5]], tmp_path)
    batch = read_batch(shards, [0], 6, document_mask=True)
    assert batch.tokens.tolist() == [[0, 1, 2, 0, 3, 4]]
    assert batch.targets.tolist() == [[1, 2, 0, 3, 4, 5]]
    assert batch.documents is not None
    assert batch.documents.tolist() == [[0, 0, 0, 1, 1, 1]], "the end is foreseen from its own document"


def test_z_loss_is_learned_and_not_measured() -> None:
    """The gradient has that of z^2 in it, for z the log of the softmax's denominator; the loss stays."""
    batch = random_batch(3, 5)
    gradients = []
    for weight in (0.0, 0.25):
        model = scrambled(CONFIGS["rotary"])
        loss = predict_tokens(LENGTHS, z_weight=weight)(model, batch)
        assert loss.total.item() == pytest.approx(OBJECTIVE(model, batch).total.item(), rel=1e-6)
        loss.learned.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    model = scrambled(CONFIGS["rotary"])
    (0.25 * model(batch.tokens).logsumexp(-1).square().sum()).backward()
    beside = [p.grad for p in model.parameters() if p.grad is not None]
    for plain, both, alone in zip(*gradients, beside, strict=True):
        torch.testing.assert_close(both, plain + alone, atol=1e-4, rtol=1e-4)
