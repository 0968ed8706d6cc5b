"""Every attention kernel equals the one to read, for every mask, sharing of heads and cache; the choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from hornbook.model import reference
from hornbook.model.attend import Case, attend, attend_by_products, attend_fused, choose_kernel
from hornbook.model.cache import SlidingCache
from hornbook.model.flex import attend_by_tiles, tiles_of
from hornbook.model.mask import Mask
from hornbook.model.part_config import BlockLocalConfig, FixedConfig, StridedConfig

Attend = Callable[..., torch.Tensor]

BATCH, HEAD_DIM = 2, 4
CPU = torch.device("cpu")
SIZES = [((2, 2), (6, 6)), ((4, 2), (6, 6)), ((3, 1), (6, 6)), ((4, 2), (3, 6)), ((3, 1), (3, 6))]
SIZES += [((4, 2), (1, 6)), ((2, 2), (1, 1))]
"""Heads of queries and of keys, and how many queries and keys; fewer queries are those of a cache."""
CONDITIONS = ["causal", "open", "window", "open window", "padding", "documents", "all"]
CONDITIONS += ["strided", "fixed", "block-local", "open block-local", "order"]
SCORINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "softcap": {"softcap": 0.7},
    "bias": {"bias": True},
    "all three": {"scale": 1.5, "softcap": 0.5, "bias": True},
}
LINES = torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 2]])
"""The documents of six tokens in two rows."""


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


def fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, **scoring: Any) -> torch.Tensor:
    plain = mask.is_plain(q.size(2), k.size(2)) and "bias" not in scoring
    return attend_fused(q, k, v, mask, causal=plain, **scoring)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> dict[str, Attend]:
    """All of them, products in strips of two queries, and FlexAttention as it computes without a compiler."""
    monkeypatch.setattr("hornbook.model.attend.STRIP", 2)
    monkeypatch.setattr("torch.nn.attention.flex_attention._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    return {"chosen": attend, "products": attend_by_products, "fused": fused, "flex": attend_by_tiles}


def compare(kernels: dict[str, Attend], heads: tuple[int, int], lengths: tuple[int, int], mask: Mask) -> None:
    """Run every kernel and the reference on random numbers, with every scoring."""
    q, k, v = random_heads(heads, lengths)
    seen = mask.dense(*lengths, CPU).expand(BATCH, 1, *lengths)[:, 0]
    assert seen.any(), "a mask that lets nobody look proves nothing"
    looking = seen.any(-1)  # what a query gets that may see nothing is nobody's business
    one_bias = torch.randn(1, heads[0], *lengths, generator=torch.Generator().manual_seed(7))
    # The mask is cut once for all scorings, as it is for all layers.
    kernels = kernels | {"flex": partial(kernels["flex"], tiles=tiles_of(mask, *lengths, CPU))}
    for named in SCORINGS.values():
        how = named | ({"bias": one_bias} if "bias" in named else {})
        theirs = named | ({"bias": one_bias[0]} if "bias" in named else {})
        wanted = [reference.attend(q[row], k[row], v[row], seen[row], **theirs) for row in range(BATCH)]
        for name, kernel in kernels.items():
            if name == "fused" and "softcap" in how:
                continue  # it knows none
            if name == "flex" and len(how) == 1:
                continue  # it is slow here, and has no way of its own for one change without the other
            mixed = kernel(q, k, v, mask, **how)
            assert mixed.isfinite().all()
            for row in range(BATCH):
                ours, reference_says = mixed[row][:, looking[row]], wanted[row][:, looking[row]]
                torch.testing.assert_close(
                    ours, reference_says, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
                )


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("heads", "lengths"), SIZES)
def test_every_kernel_is_the_reference(
    heads: tuple[int, int], lengths: tuple[int, int], condition: str, kernels: dict[str, Attend]
) -> None:
    compare(kernels, heads, lengths, mask_for(condition, lengths[1]))


@pytest.mark.parametrize("n_query", [1, 3, 6])
@pytest.mark.parametrize("n_key", [2, 4, 6])
@pytest.mark.parametrize("packed", [True, False])
def test_another_row_is_read_as_the_reference_reads_it(
    n_query: int, n_key: int, packed: bool, kernels: dict[str, Attend]
) -> None:
    """Queries are the last of their row, and may be more than the keys."""
    padding = torch.arange(n_key).expand(BATCH, n_key) < torch.tensor([[n_key], [n_key // 2]])
    mask = Mask(padding=padding, documents=LINES[:, -n_key:] if packed else None)
    compare(kernels, (4, 2), (n_query, n_key), mask.read_by(LINES if packed else None))


@pytest.mark.parametrize("steps", [(6, 1, 1, 1, 1), (1,) * 9, (2, 30, 1, 3), (3, 3, 3, 20, 1)])
def test_a_sliding_cache_keeps_all_that_is_seen(steps: tuple[int, ...], kernels: dict[str, Attend]) -> None:
    """Step by step from what the cache returns, as at once from all keys."""
    n, window = sum(steps), 4
    q, k, v = random_heads((2, 1), (n, n))
    mask = Mask(window=window, documents=torch.arange(n).expand(BATCH, n) // 5)
    wanted = attend(q, k, v, mask)
    for name, kernel in kernels.items():
        cache = SlidingCache((BATCH, 1, n, HEAD_DIM), window, torch.float32, CPU)
        stop = 0
        for step in steps:
            start, stop = stop, stop + step
            held = cache.put(k[:, :, start:stop], v[:, :, start:stop])
            sees = replace(mask, documents=mask.documents[:, :stop]).of_last(held[0].size(2))
            mixed = kernel(q[:, :, start:stop], *held, sees)
            torch.testing.assert_close(mixed, wanted[:, :, start:stop], msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", ["chosen", "products", "fused"])
def test_a_query_that_sees_nothing_spoils_no_gradient(name: str, kernels: dict[str, Attend]) -> None:
    """Padding at the front leaves causal queries without a key; NaN there would reach every weight.

    FlexAttention learns on a GPU only: test_flex.py has its gradient.
    """
    q, k, v = (x.requires_grad_() for x in random_heads((2, 2), (4, 4)))
    padding = torch.tensor([[False, False, True, True], [True, True, True, True]])
    mixed = kernels[name](q, k, v, Mask(padding=padding))
    mixed[:, :, 2:].sum().backward()
    assert mixed.isfinite().all()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))


def test_a_query_that_sees_nothing_is_given_zeros_by_tiles(kernels: dict[str, Attend]) -> None:
    padding = torch.tensor([[False, False, True, True], [True, True, True, True]])
    mixed = kernels["flex"](*random_heads((2, 2), (4, 4)), Mask(padding=padding))
    assert mixed[0, :, :2].eq(0).all() and mixed.isfinite().all()


def test_a_cap_bends_scores_before_the_bias_and_each_row_may_have_its_own_bias(
    kernels: dict[str, Attend],
) -> None:
    q, k, v = random_heads((2, 2), (5, 5))
    bias = torch.randn(BATCH, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    wanted = [
        reference.attend(q[row], k[row], v[row], torch.ones(5, 5).tril().bool(), softcap=0.3, bias=bias[row])
        for row in range(BATCH)
    ]
    for name in ("chosen", "products", "flex"):
        mixed = kernels[name](q, k, v, Mask(), softcap=0.3, bias=bias)
        torch.testing.assert_close(mixed, torch.stack(wanted), atol=1e-5, rtol=1e-5)


def test_bfloat16_is_float32_but_for_rounding() -> None:
    """Eight bits of mantissa: two to the minus eight, twice."""
    q, k, v = random_heads((4, 2), (6, 6))
    narrow = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    torch.testing.assert_close(attend(*narrow, Mask()).float(), attend(q, k, v, Mask()), atol=8e-3, rtol=8e-3)


def test_dropout_zeroes_weights_and_keeps_their_mean(kernels: dict[str, Attend]) -> None:
    """A value of one for the one key of each query comes out as 0 or 1 / (1 - p), whichever kernel."""
    torch.manual_seed(0)
    ones = torch.ones(50, 8, 1, HEAD_DIM)
    for name in ("chosen", "products", "fused"):
        mixed = kernels[name](ones, ones, ones, Mask(), dropout=0.25)
        assert mixed.unique().tolist() == [0, pytest.approx(4 / 3)]
        assert mixed.mean().item() == pytest.approx(1, abs=0.1)


A_CPU = Case(
    device="cpu", dtype=torch.bfloat16, learning=True, mask=Mask(), n_query=512, n_key=512, head_dim=64
)
WIDE = replace(A_CPU, dtype=torch.float32)
A_GPU = replace(A_CPU, device="cuda")
COMPILED = replace(A_GPU, compiled=True)
PACKED = Mask(documents=torch.arange(512)[None] // 100)
LONG = {"n_query": 4096, "n_key": 4096}
ALONE = {"n_query": 1, "learning": False}

CHOICES: list[tuple[str, Case, str]] = [
    ("learning in bfloat16", A_CPU, "products"),
    ("reading in bfloat16", replace(A_CPU, learning=False), "products"),
    ("up to 2048 tokens", replace(A_CPU, n_query=2048, n_key=2048), "products"),
    ("no longer ones", replace(A_CPU, **LONG), "fused, causal"),
    ("reading, twice as far", replace(A_CPU, learning=False, **LONG), "products"),
    ("reading, further", replace(A_CPU, learning=False, n_query=4098, n_key=4098), "fused, causal"),
    (
        "both ways half as far",
        replace(A_CPU, mask=Mask(causal=False), n_query=2048, n_key=2048),
        "fused, open",
    ),
    ("windows at any length", replace(A_CPU, mask=Mask(window=128), **LONG), "products"),
    ("one token of few", replace(A_CPU, n_key=127, **ALONE), "fused, open"),
    ("one token of many", replace(A_CPU, n_key=128, **ALONE), "products"),
    ("float32", WIDE, "fused, causal"),
    ("float32, packed", replace(WIDE, mask=PACKED), "products"),
    ("float32, packed, reading", replace(WIDE, mask=PACKED, learning=False), "fused, masked"),
    ("float32, packed, short", replace(WIDE, mask=PACKED, n_query=256, n_key=256), "fused, masked"),
    ("float32, packed, too much to keep", replace(WIDE, mask=PACKED, **LONG), "fused, masked"),
    ("float32, nothing left out", replace(WIDE, mask=replace(PACKED, causal=False)), "fused, masked"),
    ("float32, a bias", replace(WIDE, biased=True, learning=False), "fused, masked"),
    ("float32, one token of many", replace(WIDE, **ALONE), "fused, open"),
    ("float32, dropping", replace(WIDE, dropping=True), "products"),
    ("float32, capped", replace(WIDE, capped=True), "products"),
    ("float64", replace(WIDE, dtype=torch.float64, dropping=True), "fused, causal"),
    ("compiled for a CPU", replace(A_CPU, compiled=True, mask=PACKED), "products"),
    ("a GPU", A_GPU, "fused, causal"),
    ("a GPU, packed", replace(A_GPU, mask=PACKED), "fused, masked"),
    ("a GPU, capped", replace(A_GPU, capped=True), "products"),
    ("a GPU, dropping", replace(A_GPU, dropping=True), "fused, causal"),
    ("compiled", COMPILED, "fused, causal"),
    ("compiled, open", replace(COMPILED, mask=Mask(causal=False)), "fused, open"),
    ("compiled, packed", replace(COMPILED, mask=PACKED), "flex"),
    ("compiled, window", replace(COMPILED, mask=Mask(window=64)), "flex"),
    ("compiled, sparse", replace(COMPILED, mask=Mask(sparse=StridedConfig(stride=8))), "flex"),
    ("compiled, capped", replace(COMPILED, capped=True), "flex"),
    ("compiled, biased", replace(COMPILED, biased=True), "flex"),
    ("compiled, dropping", replace(COMPILED, mask=PACKED, dropping=True), "fused, masked"),
    ("compiled, narrow heads", replace(COMPILED, mask=PACKED, head_dim=8), "fused, masked"),
    ("compiled, one token", replace(COMPILED, mask=PACKED, **ALONE), "fused, masked"),
    ("another device", replace(COMPILED, device="mps", mask=PACKED), "fused, masked"),
]


@pytest.mark.parametrize(("case", "kernel"), [x[1:] for x in CHOICES], ids=[x[0] for x in CHOICES])
def test_the_choice(case: Case, kernel: str) -> None:
    assert choose_kernel(case) == kernel


def test_what_is_chosen_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """`attend` asks with the facts of its tensors, and takes the kernel it is told."""
    asked: list[Case] = []
    q, k, v = (x.requires_grad_() for x in random_heads((4, 2), (3, 6)))
    for kernel, runs in {
        "products": "attend_by_products",
        "flex": "attend_by_tiles",
        "fused, masked": "attend_fused",
        "fused, open": "attend_fused",
    }.items():
        ran: list[str] = []

        def choose(case: Case, kernel: str = kernel) -> str:
            asked.append(case)
            return kernel

        with monkeypatch.context() as patched:
            patched.setattr("hornbook.model.attend.choose_kernel", choose)
            patched.setattr(f"hornbook.model.attend.{runs}", lambda q, *_, r=ran, **__: r.append("") or q)
            attend(q, k, v, PACKED, bias=torch.zeros(1, 4, 3, 6), dropout=0.1)
        assert ran == [""], kernel
    facts = Case(
        device="cpu", dtype=torch.float32, learning=True, mask=PACKED, n_query=3, n_key=6, head_dim=HEAD_DIM,
        biased=True, dropping=True,
    )  # fmt: skip
    assert all(case == facts for case in asked)
    with torch.no_grad(), monkeypatch.context() as patched:
        patched.setattr("hornbook.model.attend.choose_kernel", lambda case: asked.append(case) or "products")
        attend(q, k, v, PACKED, softcap=2.0)
    assert asked[-1] == replace(facts, learning=False, capped=True, biased=False, dropping=False)
