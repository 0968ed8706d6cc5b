"""Where to compute and in which precision: asked for by name, or found out by trying."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from hornbook.base.errors import ConfigError

WORTHWHILE = 1.3
"""How many times faster bfloat16 must be before it is taken: less is not worth the rounding."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there."""
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if name == "auto":
        return torch.device(there[0])
    kind, _, number = name.partition(":")
    if kind not in there or not (number or "0").isdecimal():
        raise ConfigError(
            f"there is no device {name!r} on this machine; choose auto or one of {', '.join(there)}"
        )
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Turn `auto` into the precision this device multiplies matrices faster in."""
    if name == "float32" or name == "bfloat16":
        return name  # type: ignore[return-value]
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "mps":
        return "float32"
    slow, fast = _product_seconds(torch.float32), _product_seconds(torch.bfloat16)
    return "bfloat16" if slow > WORTHWHILE * fast else "float32"


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with so many threads for a while; None: with as many as before.

    A sum over another number of threads adds up in another order and rounds to other bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next tensor instead of giving it back to the system.

    A training step frees and takes the same large tensors again and again; each time the system hands
    fresh pages out one fault at a time (benchmarks/training_step.py counts the faults and the seconds).
    Does nothing where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1)):
        library.mallopt(option, value)


_MMAP_MAX, _TRIM_THRESHOLD, _ARENA_MAX = -4, -1, -8  # numbers of malloc.h


def _product_seconds(dtype: torch.dtype, size: int = 512, tries: int = 7) -> float:
    """Shortest time of one square matrix product on the CPU, in seconds: what others do only adds to it."""
    a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - began)
    return min(times)
