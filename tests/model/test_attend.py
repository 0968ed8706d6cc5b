"""The fast attention equals the one to read, for every mask and every sharing of heads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hornbook.model import reference
from hornbook.model.attend import attend, attend_by_products, prefers_products
from hornbook.model.mask import Mask
from hornbook.model.part_config import BlockLocalConfig, FixedConfig, StridedConfig

BATCH, HEAD_DIM = 2, 4
HEADS = [(1, 1), (4, 4), (4, 2), (6, 1)]
LENGTHS = [(1, 1), (1, 6), (3, 6), (6, 6)]
CONDITIONS = ["causal", "open", "window", "open window", "padding", "documents", "all"]
CONDITIONS += ["strided", "fixed", "block-local", "open block-local", "order"]


def mask_for(name: str, n_key: int) -> Mask:
    """The mask of a name. The first key is always real and the own one mostly, so that queries see some."""
    padding = torch.ones(BATCH, n_key, dtype=torch.bool)
    padding[1, n_key // 2 :] = False
    documents = torch.arange(n_key).expand(BATCH, n_key) // torch.tensor([[2], [3]])
    return {
        "causal": Mask(),
        "open": Mask(causal=False),
        "window": Mask(window=2),
        "open window": Mask(causal=False, window=2),
        "padding": Mask(causal=False, padding=padding),
        "documents": Mask(documents=documents),
        "all": Mask(window=3, padding=padding, documents=documents),
        "strided": Mask(sparse=StridedConfig(stride=2)),
        "fixed": Mask(sparse=FixedConfig(block=2, n_summary=1), documents=documents),
        "block-local": Mask(sparse=BlockLocalConfig(block=2, n_global=1), window=5),
        "open block-local": Mask(causal=False, sparse=BlockLocalConfig(block=2)),
        "order": Mask(causal=False, order=torch.arange(n_key) * torch.tensor([[3], [5]]) % 7),
    }[name]


def random_heads(heads: tuple[int, int], lengths: tuple[int, int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(heads) + sum(lengths))
    sizes = [(heads[0], lengths[0]), (heads[1], lengths[1]), (heads[1], lengths[1])]
    return [torch.randn(BATCH, h, n, HEAD_DIM, generator=generator) for h, n in sizes]


def by_products(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, **scoring: Any
) -> torch.Tensor:
    return attend_by_products(q, k, v, mask.dense(q.size(2), k.size(2), q.device), **scoring)


SCORINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.9},
    "softcap": {"softcap": 0.7},
    "bias": {"bias": True},
    "all three": {"scale": 1.5, "softcap": 0.5, "bias": True},
}


@pytest.mark.parametrize("kernel", [attend, by_products])
@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("heads", "lengths"), list(itertools.product(HEADS, LENGTHS)))
def test_attend_is_the_reference(
    heads: tuple[int, int],
    lengths: tuple[int, int],
    condition: str,
    scoring: str,
    kernel: Callable[..., torch.Tensor],
) -> None:
    q, k, v = random_heads(heads, lengths)
    mask = mask_for(condition, lengths[1])
    how = dict(SCORINGS[scoring])
    bias = torch.randn(heads[0], *lengths, generator=torch.Generator().manual_seed(7))
    ours = how | {"bias": bias[None]} if "bias" in how else how
    theirs = how | {"bias": bias} if "bias" in how else how
    mixed = kernel(q, k, v, mask, **ours)
    seen = mask.dense(*lengths, q.device).expand(BATCH, 1, *lengths)[:, 0]
    for row in range(BATCH):
        wanted = reference.attend(q[row], k[row], v[row], seen[row], **theirs)
        looking = seen[row].any(-1)  # what a query gets that may see nothing is nobody's business
        torch.testing.assert_close(mixed[row][:, looking], wanted[:, looking], atol=1e-5, rtol=1e-5)
    assert seen.any(), "a mask that lets nobody look proves nothing"


def test_products_are_taken_where_a_cpu_learns_in_bfloat16() -> None:
    q, k, v = random_heads((4, 2), (6, 6))
    learning = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    assert prefers_products(learning[0], 6)
    assert not prefers_products(learning[0], 100_000)
    assert not prefers_products(q.requires_grad_(), 6)
    with torch.no_grad():
        assert not prefers_products(learning[0], 6)
    # eight bits of mantissa: two to the minus eight, twice
    torch.testing.assert_close(
        attend(*learning, Mask()).float(), attend(q, k, v, Mask()), atol=8e-3, rtol=8e-3
    )


@pytest.mark.parametrize("kernel", [attend, by_products])
def test_a_query_that_sees_nothing_spoils_no_gradient(kernel: Callable[..., torch.Tensor]) -> None:
    """Padding at the front leaves causal queries without a key; NaN there would reach every weight."""
    q, k, v = (x.requires_grad_() for x in random_heads((2, 2), (4, 4)))
    padding = torch.tensor([[False, False, True, True], [True, True, True, True]])
    mixed = kernel(q, k, v, Mask(padding=padding))
    mixed[:, :, 2:].sum().backward()
    assert mixed.isfinite().all()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))
