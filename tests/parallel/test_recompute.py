"""A model that computes again learns the same to the bit, from the same names, and forgets what it says."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
import torch
from model.small_models import CONFIGS, scrambled
from parallel.learning import CASES, TOKENS, decoder, forgetful, learn
from torch import nn

from hornbook.base.errors import ConfigError
from hornbook.model.block import Block
from hornbook.model.models import CausalLM
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.plan.memory import HeldBytes

WAYS: tuple[Recomputation, ...] = ("block", "selective")
DROPPING = (
    "rotary",
    "learned positions",
    "experts, one shared",
    "masked, as published",
    "encoder and decoder",
)
"""Models that drop numbers in float32 too, of which all do without dropout, and in bfloat16 with it."""


@pytest.mark.parametrize(
    ("name", "share", "precision"),
    [
        *((name, 0.0, torch.float32) for name in CASES),
        *((name, 0.3, torch.bfloat16) for name in CASES),
        *((name, 0.3, torch.float32) for name in DROPPING),
    ],
)
def test_losses_and_gradients_are_the_same_bits(name: str, share: float, precision: torch.dtype) -> None:
    """Two passes under one autocast: in the second one the weights have been cast already."""
    model, loss = CASES[name]()
    forgetful(model, share)
    wanted = learn(model, (loss, loss), "none", precision)
    assert wanted.gradients
    for how in WAYS:
        found = learn(model, (loss, loss), how, precision)
        assert torch.equal(found.loss, wanted.loss)
        assert torch.equal(found.next_draw, wanted.next_draw)
        assert found.gradients.keys() == wanted.gradients.keys()
        differing = [n for n, g in wanted.gradients.items() if not torch.equal(g, found.gradients[n])]
        assert differing == []


def test_the_comparison_sees_another_dropout() -> None:
    """The test above could pass with masks that nothing depends on."""
    model, loss = decoder("rotary")
    forgetful(model, 0.3)
    once, twice = (
        learn(model, (loss,), "none"),
        learn(model, (lambda m: torch.rand(1).sum() * 0 + loss(m),), "none"),
    )
    assert not torch.equal(once.loss, twice.loss)
    assert not torch.equal(once.gradients["head.weight"], twice.gradients["head.weight"])


@pytest.mark.parametrize("how", get_args(Recomputation))
def test_gradients_can_be_asked_twice(how: Recomputation) -> None:
    model, loss = decoder("experts")
    recompute(model, how)
    model.train()
    asked = loss(model)
    asked.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    asked.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[name])


def names_and_keys(model: nn.Module) -> tuple[list[str], list[str], list[str]]:
    names = [name for name, _ in model.named_parameters()]
    return names, list(model.state_dict()), [name for name, _ in model.named_modules()]


def test_names_stay_and_everything_can_be_undone() -> None:
    model = scrambled(CONFIGS["experts, one shared"])
    before = names_and_keys(model)
    for how in ("block", "selective", "selective", "block"):
        recompute(model, how)
        assert names_and_keys(model) == before
    recompute(model, "none")
    assert names_and_keys(model) == before
    assert all("forward" not in vars(each) for each in model.modules())


class Counted:
    """Counts how often the forward pass of some part of every block runs."""

    def __init__(self, model: nn.Module) -> None:
        self.count = 0
        for module in model.modules():
            if isinstance(module, Block):
                module.attention.layer.q.register_forward_hook(self)

    def __call__(self, *seen: object) -> None:
        self.count += 1


@pytest.mark.parametrize("how", WAYS)
def test_a_block_that_learns_runs_twice(how: Recomputation) -> None:
    model, loss = decoder("rotary")
    recompute(model, how)
    passes = Counted(model)
    asked = loss(model.train())
    assert passes.count == 2, "two layers"
    asked.backward()
    assert passes.count == 4


@pytest.mark.parametrize("how", WAYS)
def test_the_last_word_counts(how: Recomputation) -> None:
    """And not the first and the last together, which would run a block four times."""
    model, loss = decoder("rotary")
    for each in ("block", "selective", how):
        recompute(model, each)
    passes = Counted(model)
    loss(model.train()).backward()
    assert passes.count == 4


@pytest.mark.parametrize("how", WAYS)
def test_evaluation_is_left_alone(how: Recomputation) -> None:
    """Gradients of a model in evaluation are of one pass; so is everything without gradients."""
    model, loss = decoder("rotary")
    recompute(model, how)
    passes = Counted(model)
    loss(model.eval()).backward()
    assert passes.count == 2
    with torch.no_grad():
        loss(model.train())
    assert passes.count == 4


@pytest.mark.parametrize("how", WAYS)
def test_a_cache_is_filled_once(how: Recomputation) -> None:
    """Even in training and with gradients, where a second pass would put everything in again."""
    model = scrambled(CONFIGS["rotary"])
    wanted = model(TOKENS)
    recompute(model, how)
    cache = model.train().make_cache(2)
    with torch.no_grad():
        parts = [model(part, cache=cache) for part in (TOKENS[:, :6], TOKENS[:, 6:])]
    torch.testing.assert_close(torch.cat(parts, dim=1), wanted, atol=1e-5, rtol=1e-5)
    passes = Counted(model)
    cache = model.make_cache(2)
    model(TOKENS, cache=cache)
    assert (passes.count, cache.length) == (2, 10)


@pytest.mark.parametrize("how", WAYS)
def test_a_copy_has_its_own_weights(how: Recomputation) -> None:
    """A method that stayed bound to the first model would let the copy compute with its weights."""
    model, loss = decoder("rotary")
    recompute(model, how)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(0.5)
    found = loss(copied.train())
    found.backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in copied.parameters())
    assert torch.equal(found, learn(copied, (loss,), "none").loss)


def bytes_held(kind: str, how: Recomputation, n_layers: int, share: float = 0.0) -> int:
    """The bytes that a forward pass leaves for the backward pass, in a model of so many blocks."""
    model = CausalLM(CONFIGS[kind].model_copy(update={"n_layers": n_layers}), seed=0).train()
    forgetful(model, share)
    recompute(model, how)
    with HeldBytes([*model.parameters(), TOKENS]) as held:
        features = model.features(TOKENS)
    assert features.requires_grad
    return held.now


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("kind", CONFIGS)
def test_less_is_held(kind: str, share: float) -> None:
    n_layers = CONFIGS[kind].n_layers
    none, selective, block = (bytes_held(kind, how, n_layers, share) for how in get_args(Recomputation))
    assert none > selective > block


N_PLACES, WIDTH, FLOAT = TOKENS.numel(), 16, 4


def of_a_block(kind: str, how: Recomputation) -> float:
    """The numbers that one more block holds, for each number of the stream that runs through it."""
    return (bytes_held(kind, how, 3) - bytes_held(kind, how, 2)) / (N_PLACES * WIDTH * FLOAT)


def test_a_block_holds_its_input() -> None:
    assert of_a_block("learned positions", "block") == 1
    assert of_a_block("rotary", "block") == 1


def test_a_block_holds_the_results_of_its_products() -> None:
    """Its input, queries, keys, values, what was mixed (with a logarithm for each head), `out`, and `up`.

    Not `down`, whose result is added to the stream and asked for no more; with `gate` the rotary one holds.
    """
    logarithms = 2 / WIDTH
    assert of_a_block("learned positions", "selective") == 1 + 3 + 1 + logarithms + 1 + 24 / WIDTH
    assert of_a_block("rotary", "selective") == 1 + 3 + 1 + logarithms + 1 + 2 * 24 / WIDTH


def test_another_word_is_a_mistake() -> None:
    model: Any = scrambled(CONFIGS["rotary"])
    word: Any = "selectiv"
    with pytest.raises(ConfigError, match="no recomputation 'selectiv'; did you mean 'selective'"):
        recompute(model, word)
    assert all("forward" not in vars(each) for each in model.modules())


def test_a_model_without_blocks_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="Linear has no blocks"):
        recompute(nn.Linear(2, 2), "block")
