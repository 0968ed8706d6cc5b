"""Memory is counted as it is: imagined tensors hold what real ones do, to the byte, now and at the peak."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from model.every_config import EVERY
from model.small_models import CONFIGS, block, model_config
from model.small_seq2seq import SEQ2SEQ
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hornbook.model.mixture import Mixture
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import build_model
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.plan.memory import Held, HeldBytes, at_full_depth, held_by_pass, imagined, n_bytes

RECOMPUTATIONS: list[Recomputation] = ["none", "selective", "block"]
SOME = ["rotary", "local and global", "bent scores", "experts, one shared", "masked, as published"]
SOME += ["encoder-decoder, by distance"]


def some_loss(model: nn.Module, tokens: Tensor, precision: torch.dtype) -> Tensor:
    """A loss of a model of any shape."""
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        if isinstance(model, Seq2SeqLM):
            logits = model(tokens, tokens)
        elif isinstance(model, PermutationLM):
            logits = model(tokens, order=tokens)
        else:
            logits = model(tokens)
        return logits.float().square().sum()


def learner(config: AnyConfig, how: Recomputation = "none", dropout: float = 0.0) -> nn.Module:
    """A model in training, whatever its numbers are."""
    model = build_model(config).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    recompute(model, how)
    return model


def held(
    config: AnyConfig,
    how: Recomputation = "none",
    precision: torch.dtype = torch.float32,
    *,
    accumulates: bool = False,
    dropout: float = 0.0,
) -> Held:
    """What a pass over three rows of ten tokens holds, of real tensors or of imagined ones."""
    model, tokens = learner(config, how, dropout), torch.zeros(3, 10, dtype=torch.int64)
    forward = partial(some_loss, model, tokens, precision)
    return held_by_pass(model, forward, [tokens], accumulates=accumulates)


def imagining(count: Callable[[], Held]) -> Held:
    with imagined():
        return count()


@pytest.mark.parametrize("name", list(EVERY))
def test_imagined_tensors_hold_what_real_ones_do(name: str) -> None:
    count = partial(held, EVERY[name], dropout=0.1)
    assert imagining(count) == count()


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("how", RECOMPUTATIONS)
def test_so_they_do_in_bfloat16_when_blocks_are_computed_again(name: str, how: Recomputation) -> None:
    count = partial(held, EVERY[name], how, torch.bfloat16, accumulates=how == "block")
    assert imagining(count) == count()


@pytest.mark.parametrize("name", SOME)
def test_what_is_kept_is_what_the_gradient_needs(name: str) -> None:
    """PyTorch tells what it saves; beside that there is the loss, one number."""
    model, tokens = learner(EVERY[name]), torch.zeros(3, 10, dtype=torch.int64)
    saved: list[Tensor] = []
    known = {each.untyped_storage()._cdata for each in [tokens, *model.parameters()]}

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = some_loss(model, tokens, torch.float32)
    fresh = [each for each in saved if each.untyped_storage()._cdata not in known]
    assert n_bytes(fresh) + loss.nbytes == held(EVERY[name]).kept


class Pieces(TorchDispatchMode):
    """Another way of looking: all memory that was made, to be asked later what of it is still there."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                piece = StorageWeakRef(tensor.untyped_storage())
                self.made[piece.cdata] = piece, tensor.untyped_storage().nbytes()
        return result

    def alive(self) -> int:
        return sum(n_bytes for piece, n_bytes in self.made.values() if not piece.expired())


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("how", RECOMPUTATIONS)
def test_another_way_of_looking_sees_the_same(name: str, how: Recomputation) -> None:
    model, tokens = learner(EVERY[name], how), torch.zeros(3, 10, dtype=torch.int64)
    known = n_bytes([tokens, *model.parameters()])
    with Pieces() as pieces:
        for each in [tokens, *model.parameters()]:
            each.detach()
        assert pieces.alive() == known
        loss = some_loss(model, tokens, torch.float32)
        assert pieces.alive() - known == held(EVERY[name], how).kept
    del loss


def test_a_peak_by_hand() -> None:
    """Three tensors of 400 bytes: the first is gone when the third is made, a view is none of its own."""
    with HeldBytes() as watched:
        first = torch.ones(100)
        second = first + 1
        assert (watched.now, watched.peak) == (800, 800)
        view = first.view(10, 10)
        del first
        assert watched.now == 800
        del view
        third = second * 2
        assert (watched.now, watched.peak) == (800, 800)
        second.mul_(2)
        assert watched.now == 800
        fourth = third + second
    assert (watched.now, watched.peak) == (1200, 1200)
    del fourth
    assert (watched.now, watched.peak) == (800, 1200)


def test_what_was_there_before_does_not_count() -> None:
    before = torch.ones(100)
    with HeldBytes([before]) as watched:
        part = before[:10]
        assert watched.now == 0
    assert len(part) == 10


def test_shared_memory_counts_once() -> None:
    whole = torch.zeros(10, 10)
    assert n_bytes([whole, whole[1:], whole.T, torch.zeros(5, dtype=torch.bfloat16)]) == 410


def test_a_model_that_fits_nowhere() -> None:
    """A petabyte of weights."""
    huge = model_config(block({"n_heads": 2**15}), d_model=2**22, n_layers=4)
    with imagined():
        assert n_bytes(build_model(huge).parameters()) > 10**15


def test_numbers_that_are_asked_for_are_made_up() -> None:
    with imagined():
        assert torch.zeros(3).sum().item() == 1.0
        assert int(torch.zeros(3, dtype=torch.int64).sum()) == 1
        assert bool((torch.zeros(3) > 0).all())
        picked = torch.zeros(4, 5)[torch.zeros(4, 5) > 0]
        rows = torch.zeros(4, 5)[torch.zeros(4) > 0]
    assert picked.shape == (20,) and rows.shape == (4, 5)


def test_experts_are_taken_to_be_chosen_equally_often() -> None:
    """Five tokens and two choices each are ten lines for four experts."""
    seen: list[int] = []
    with imagined():
        model = build_model(CONFIGS["experts"])
        mixture = next(module for module in model.modules() if isinstance(module, Mixture))
        for expert in mixture.experts:
            expert.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
        mixture(torch.zeros(1, 5, 16))
    assert seen == [3, 3, 2, 2]


def test_nothing_of_the_imagination_is_left() -> None:
    with pytest.raises(KeyError), imagined():
        raise KeyError
    assert torch.zeros(2).sum().item() == 0.0
    assert not nn.modules.module._global_forward_pre_hooks


@pytest.mark.parametrize(
    ("name", "how", "accumulates"),
    [
        ("rotary", "none", False),
        ("rotary", "none", True),
        ("rotary", "block", False),
        ("local and global", "selective", True),
        ("experts, one shared", "block", True),
        ("masked, as published", "none", False),
    ],
)
def test_a_few_layers_tell_of_many(name: str, how: Recomputation, accumulates: bool) -> None:
    """Nine layers, of patterns of one and of two."""
    config = EVERY[name].model_copy(update={"n_layers": 9})
    depths: list[int] = []

    def count(config: AnyConfig) -> Held:
        depths.append(config.n_layers)  # type: ignore[union-attr]
        return imagining(partial(held, config, how, accumulates=accumulates))

    found = at_full_depth(count, config, accumulates=accumulates)
    assert found == count(config)
    assert max(depths[:-1]) <= 5


def test_where_few_layers_do_not_tell_all_are_counted() -> None:
    """Of a peak that grows by less than it might, nobody knows how it goes on."""
    counted: list[int] = []

    def count(config: AnyConfig) -> Held:
        n = config.n_layers  # type: ignore[union-attr]
        counted.append(n)
        return Held(kept=10 * n, lasting=4 * n, peak=max(10 * n, 30 + 4 * n))

    config = model_config(n_layers=20)
    assert at_full_depth(count, config, accumulates=False) == Held(200, 80, 200)
    assert counted == [1, 2, 20]
    counted.clear()
    pair = SEQ2SEQ["by distance"]
    assert at_full_depth(lambda config: Held(1, 2, 3), pair, accumulates=False) == Held(1, 2, 3)
    assert at_full_depth(count, model_config(n_layers=3), accumulates=True).kept == 30
    assert counted == [3]
