"""The two attention kernels of a CPU against each other: written-out products, and PyTorch's fused one.

    python benchmarks/attention.py [--kind documents] [--rounds 15] [--memory returned]

`hornbook.model.attend` chooses between them by a rule, `prefers_products`. Both run in turn on the same
numbers, forward alone and with the backward pass; "times" is how many times faster products are, in the
median pair and at best, and the last columns say what the rule takes and which was the faster one. The kinds
differ in what the kernels are asked: with a dense mask for the fused one, as for two texts packed into each
row, which is how training packs them; with more or less that products leave out; with dropout; by one token
of all those in a cache. Freed memory is kept, as training keeps it; `--memory returned` shows what the
kernels take without that. The outputs are compared first, so that a fast wrong answer is no answer.
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
KINDS = ("causal", "documents", "window", "both ways", "padded", "dropout", "one token")
WINDOW = 128
DROPOUT = 0.1

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Contest:
    """One line of the table."""

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    learns: bool
    """Whether the backward pass is run too."""
    kind: str

    def inputs(self) -> list[Tensor]:
        """Queries, keys and values; the same numbers each time."""
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randn(self.shape, generator=generator) for _ in range(3)]
        drawn[0] = drawn[0][:, :, -self.n_query :]
        return [part.to(self.dtype).requires_grad_(self.learns) for part in drawn]

    @property
    def n_query(self) -> int:
        return 1 if self.kind == "one token" else self.shape[2]

    @property
    def dropout(self) -> float:
        return DROPOUT if self.kind == "dropout" else 0.0

    def mask(self) -> Mask:
        """Two documents meet in the middle of each row; every other row has a last quarter of padding."""
        batch, _, seq, _ = self.shape
        place = torch.arange(seq).expand(batch, seq)
        odd = torch.arange(batch)[:, None] % 2
        return {
            "documents": Mask(documents=(place >= seq // 2).long()),
            "window": Mask(window=WINDOW),
            "both ways": Mask(causal=False),
            "padded": Mask(causal=False, padding=place < seq - odd * (seq // 4)),
        }.get(self.kind, Mask())

    def case(self) -> Case:
        """What the rule is asked."""
        _, _, seq, width = self.shape
        return Case(
            device="cpu",
            dtype=self.dtype,
            learning=self.learns,
            mask=self.mask(),
            n_query=self.n_query,
            n_key=seq,
            head_dim=width,
            dropping=self.dropout > 0,
        )


def main() -> None:
    """Run every contest and print a line for each."""
    parser = argparse.ArgumentParser(description="Time attention by products against the fused kernel.")
    parser.add_argument("--kind", choices=KINDS, default="causal", help="what is asked")
    parser.add_argument("--rounds", type=int, default=15, help="how often each kernel runs")
    parser.add_argument("--memory", choices=("kept", "returned"), default="kept", help="once it is freed")
    options = parser.parse_args()
    if options.memory == "kept":
        keep_freed_memory()
    print(
        f"{'shape':17} {'type':9} {'pass':17} {'products ms':>11} {'fused ms':>9} "
        f"{'times':>6} {'at best':>7}  {'rule takes':10} faster"
    )
    for contest in contests(options.kind):
        run(contest, options.rounds)


def contests(kind: str) -> Iterator[Contest]:
    """All shapes, in both precisions, learning and not; one token alone is never learned from."""
    for dtype in (torch.bfloat16, torch.float32):
        for learns in (True, False):
            if learns and kind == "one token":
                continue
            for shape in SHAPES:
                yield Contest(shape, dtype, learns, kind)


def kernels(contest: Contest, dropout: float) -> tuple[Kernel, Kernel]:
    """Products and the fused kernel for a contest, masks spelt out on the way as `attend` does it."""
    mask = contest.mask()
    plain = mask.is_plain(contest.n_query, contest.shape[2])

    def products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend_by_products(q, k, v, mask, dropout=dropout)

    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend_fused(q, k, v, mask, causal=plain, dropout=dropout)

    return products, fused


def run(contest: Contest, rounds: int) -> None:
    """Compare what both kernels compute, run them in turn and print the line."""
    inputs = contest.inputs()
    tolerance = 1e-5 if contest.dtype == torch.float32 else 2e-2
    ours, theirs = (kernel(*inputs) for kernel in kernels(contest, 0.0))
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).to(contest.dtype)

    def once(kernel: Kernel) -> float:
        def work() -> None:
            mixed = kernel(*inputs)
            if contest.learns:
                torch.autograd.grad(mixed, inputs, direction)

        return seconds(work)

    products, fused = kernels(contest, contest.dropout)
    both = [lambda: once(products), lambda: once(fused)]
    in_turn(both, 2)  # not counted
    own, peer = in_turn(both, rounds)
    report(contest, own, peer)


def report(contest: Contest, ours: list[float], peer: list[float]) -> None:
    """Print the line of a contest, from the seconds of products and of the fused kernel."""
    times = times_faster(ours, peer)
    choice = choose_kernel(contest.case()).partition(",")[0]
    faster = "products" if times > 1 else "fused"
    print(
        f"{contest.shape!s:17} {str(contest.dtype).removeprefix('torch.'):9} "
        f"{'forward, backward' if contest.learns else 'forward':17} "
        f"{1e3 * median(ours):11.2f} {1e3 * median(peer):9.2f} "
        f"{times:6.2f} {at_best(ours, peer):7.2f}  {choice:10} {faster}",
        flush=True,
    )


if __name__ == "__main__":
    main()
