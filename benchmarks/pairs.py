"""Contenders in turn: A B, B A, A B, ..., so that whatever else the machine does falls on all alike.

    ours, peer = in_turn([lambda: seconds(mine), lambda: seconds(theirs)], rounds=9)
    print(times_faster(ours, peer), at_best(ours, peer))

A ratio is taken within each round and the median of these ratios counts: on a machine that is shared, one
speed alone says little. The ratio of the fastest rounds stands beside it: where the two disagree, the
machine had much else to do. `peak_mib` tells the largest memory of a process.

This module times calls and knows nothing of what is called.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

Measured = TypeVar("Measured")


def in_turn(contenders: Sequence[Callable[[], Measured]], rounds: int) -> list[list[Measured]]:
    """Call all contenders in every round, in turned order every other round; return what each measured."""
    measured: list[list[Measured]] = [[] for _ in contenders]
    places = range(len(contenders))
    for number in range(rounds):
        for place in places if number % 2 == 0 else reversed(places):
            measured[place].append(contenders[place]())
    return measured


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def times_faster(ours: Sequence[float], peer: Sequence[float]) -> float:
    """How many times faster ours is than the peer: the median over the rounds, from seconds."""
    return median(theirs / mine for mine, theirs in zip(ours, peer, strict=True))


def at_best(ours: Sequence[float], peer: Sequence[float]) -> float:
    """How many times faster our fastest round is than the peer's."""
    return min(peer) / min(ours)


def peak_mib(whose: int) -> float:
    """The largest memory so far of this process (RUSAGE_SELF) or of a child that ended (RUSAGE_CHILDREN)."""
    peak = resource.getrusage(whose).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere
