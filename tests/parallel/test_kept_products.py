"""What is dear is not computed again, what is cheap is; kernels that draw and changes in place are minded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from parallel.learning import decoder, learn
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from hornbook.parallel.kept_products import ATTENTION, PRODUCTS, KeptProducts, is_kept, kept_products
from hornbook.parallel.recompute import Recomputation

aten = torch.ops.aten


class Counting(TorchDispatchMode):
    """Counts the operations that run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Any] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.counts[operation] += 1
        return operation(*args, **(kwargs or {}))


def operations(name: str, how: Recomputation) -> Counter[Any]:
    """How often each operation runs in forward and backward."""
    model, loss = decoder(name)
    with Counting() as counting:
        learn(model, (loss,), how)
    return counting.counts


@pytest.mark.parametrize("name", ["rotary", "learned positions", "experts"])
def test_products_run_once_and_the_rest_twice(name: str) -> None:
    none, selective, block = (operations(name, how) for how in ("none", "selective", "block"))
    dear = PRODUCTS | ATTENTION.keys()
    assert {op: selective[op] for op in dear} == {op: none[op] for op in dear}
    assert sum(block[op] for op in dear) > sum(none[op] for op in dear)
    cheap = {aten.native_layer_norm.default, aten.rsqrt.default, aten.silu.default, aten.gelu.default}
    assert cheap & none.keys()
    assert all(selective[op] > none[op] for op in cheap & none.keys())


def test_the_table_of_scores_is_computed_again_and_the_mixing_is_not() -> None:
    """Scores that are bent below a cap are written out: a product for them, and one that mixes the values."""
    none, selective = (operations("bent scores", how) for how in ("none", "selective"))
    assert selective[aten.bmm.default] == none[aten.bmm.default] + 2, "one for each layer"


def test_the_places_of_dropout_are_those_of_the_kernels() -> None:
    for operation, place in ATTENTION.items():
        assert operation._schema.arguments[place].name == "dropout_p"


@pytest.mark.parametrize("operation", ATTENTION, ids=str)
def test_a_kernel_that_draws_is_not_kept(operation: Any) -> None:
    """Left out of the second pass, it would leave its random numbers to whatever draws after it."""
    place = ATTENTION[operation]
    before = [None] * place
    assert is_kept(operation, before, {})
    assert is_kept(operation, [*before, 0.0, False], {})
    assert not is_kept(operation, [*before, 0.1, False], {})
    assert not is_kept(operation, before, {"dropout_p": 0.1})


def gradients(function: Callable[[Tensor], Tensor], parts: nn.Module, twice: bool) -> list[Tensor]:
    """Of the sum of what a function makes of a random input."""
    parts.zero_grad()
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    run = partial(checkpoint, function, use_reentrant=False, context_fn=kept_products) if twice else function
    run(x).square().sum().backward()
    return [tensor.grad.clone() for tensor in (x, *parts.parameters()) if tensor.grad is not None]


@pytest.mark.parametrize("change", ["add_", "mul_", "zero_"])
def test_a_result_that_is_changed_in_place_is_computed_again(change: str) -> None:
    """As an adapter may do that adds to what a layer gives."""
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    with torch.no_grad():
        second.weight.mul_(3)

    def function(x: Tensor) -> Tensor:
        y = first(x)
        half = y[:, :4]
        _ = half.zero_() if change == "zero_" else getattr(half, change)(2.0)
        return torch.tanh(second(torch.tanh(y)))

    parts = nn.ModuleList([first, second])
    for found, wanted in zip(
        gradients(function, parts, True), gradients(function, parts, False), strict=True
    ):
        assert torch.equal(found, wanted)


ENDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "with a product": lambda x, y: y,
    "with a sum": lambda x, y: x + y,
    "with more": lambda x, y: torch.tanh(y),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_last_product_that_nobody_asks_for_is_forgotten(end: str) -> None:
    one, other = nn.Linear(8, 8), nn.Linear(8, 8)

    def function(x: Tensor) -> Tensor:
        return ENDS[end](x, other(torch.tanh(one(x))))

    both = KeptProducts()
    x = torch.randn(5, 8, requires_grad=True)
    checkpoint(function, x, use_reentrant=False, context_fn=lambda: (both, both))
    assert [each is None for each in both.results] == [False, end != "with more"]
    parts = nn.ModuleList([one, other])
    for found, wanted in zip(
        gradients(function, parts, True), gradients(function, parts, False), strict=True
    ):
        assert torch.equal(found, wanted)
