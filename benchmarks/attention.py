"""The two attention kernels of a CPU against each other: written-out products, and PyTorch's fused one.

    python benchmarks/attention.py [--rounds 15] [--documents] [--memory returned]

`hornbook.model.attend` chooses between them by a rule, `prefers_products`: products where a CPU learns in
bfloat16 from at most PRODUCTS_UP_TO keys, else `scaled_dot_product_attention`. Both run in turn on the same
numbers, forward alone and with the backward pass; "times" is how many times faster products are, in the
median pair and at best, and the last columns say what the rule takes and which was the faster one. With
--documents two texts are packed into each row, as in training, so that the fused kernel is given a dense
mask. Freed memory is kept, as training keeps it; `--memory returned` shows what the kernels take without
that. The outputs are compared first, so that a fast wrong answer is no answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch
from pairs import at_best, in_turn, seconds, times_faster
from torch import Tensor

from hornbook.model.attend import Case, attend_by_products, attend_fused, choose_kernel
from hornbook.model.mask import Mask
from hornbook.train.device import keep_freed_memory

SHAPES = (
    (64, 4, 64, 64),
    (32, 4, 128, 64),
    (16, 4, 256, 64),
    (16, 2, 256, 128),
    (8, 4, 512, 64),
    (2, 8, 1024, 64),
    (1, 8, 2048, 64),
)
"""Batch, heads, sequence, head width."""

Kernel = Callable[[Tensor, Tensor, Tensor, Mask], Tensor]


@dataclass(frozen=True)
class Contest:
    """One line of the table."""

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    learns: bool
    """Whether the backward pass is run too."""
    mask: Mask

    def inputs(self) -> list[Tensor]:
        """Queries, keys and values; the same numbers each time."""
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randn(self.shape, generator=generator) for _ in range(3)]
        return [part.to(self.dtype).requires_grad_(self.learns) for part in drawn]

    def case(self) -> Case:
        """What the rule is asked."""
        _, _, seq, width = self.shape
        return Case(
            device="cpu",
            dtype=self.dtype,
            learning=self.learns,
            mask=self.mask,
            n_query=seq,
            n_key=seq,
            head_dim=width,
        )


def main() -> None:
    """Run every contest and print a line for each."""
    parser = argparse.ArgumentParser(description="Time attention by products against the fused kernel.")
    parser.add_argument("--rounds", type=int, default=15, help="how often each kernel runs")
    parser.add_argument("--documents", action="store_true", help="two documents in each row")
    parser.add_argument("--memory", choices=("kept", "returned"), default="kept", help="once it is freed")
    options = parser.parse_args()
    if options.memory == "kept":
        keep_freed_memory()
    print(
        f"{'shape':17} {'type':9} {'pass':17} {'products ms':>11} {'fused ms':>9} "
        f"{'times':>6} {'at best':>7}  {'rule takes':10} faster"
    )
    for contest in contests(options.documents):
        compare(contest)
        run(contest, options.rounds)


def contests(documents: bool) -> Iterator[Contest]:
    """All shapes, in both precisions, learning and not."""
    for dtype in (torch.bfloat16, torch.float32):
        for learns in (True, False):
            for shape in SHAPES:
                yield Contest(shape, dtype, learns, two_documents(shape) if documents else Mask())


def two_documents(shape: tuple[int, int, int, int]) -> Mask:
    """Causal, with a border between two documents in the middle of each row."""
    batch, _, seq, _ = shape
    return Mask(documents=(torch.arange(seq) >= seq // 2).long().expand(batch, seq))


def products(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """Ours."""
    return attend_by_products(q, k, v, mask)


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """PyTorch's, without a mask tensor where the mask is plainly causal."""
    return attend_fused(q, k, v, mask, causal=mask.is_plain(q.size(-2), k.size(-2)))


def compare(contest: Contest) -> None:
    """Both kernels mean the same."""
    q, k, v = contest.inputs()
    tolerance = 1e-5 if contest.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(
        products(q, k, v, contest.mask), fused(q, k, v, contest.mask), atol=tolerance, rtol=tolerance
    )


def run(contest: Contest, rounds: int) -> None:
    """Run both kernels in turn and print the line."""
    q, k, v = contest.inputs()
    direction = torch.randn(contest.shape, generator=torch.Generator().manual_seed(1)).to(contest.dtype)

    def once(kernel: Kernel) -> float:
        def work() -> None:
            mixed = kernel(q, k, v, contest.mask)
            if contest.learns:
                torch.autograd.grad(mixed, (q, k, v), direction)

        return seconds(work)

    both = [lambda: once(products), lambda: once(fused)]
    in_turn(both, 2)  # not counted
    ours, peer = in_turn(both, rounds)
    times = times_faster(ours, peer)
    choice = choose_kernel(contest.case()).partition(",")[0]
    faster = "products" if times > 1 else "fused"
    print(
        f"{contest.shape!s:17} {str(contest.dtype).removeprefix('torch.'):9} "
        f"{'forward, backward' if contest.learns else 'forward':17} "
        f"{1e3 * median(ours):11.1f} {1e3 * median(peer):9.1f} "
        f"{times:6.2f} {at_best(ours, peer):7.2f}  {choice:10} {faster}",
        flush=True,
    )


if __name__ == "__main__":
    main()
