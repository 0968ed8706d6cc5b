"""Where to compute and in which precision: asked for by name, or found out by trying."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, cast

import torch

from hornbook.base.errors import ConfigError

WORTHWHILE = 1.3
"""How many times faster bfloat16 must be before it is taken: less is not worth the rounding."""
PEAK_SIZE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the products that show how fast a device can be at best."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]


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


def resolve_precision(name: str, device: torch.device) -> Precision:
    """Turn `auto` into the precision this device multiplies matrices faster in.

    float16, which needs a scale for its loss, is for the GPUs that are too old for bfloat16.
    """
    if name != "auto":
        assert name in PRECISIONS, name
        return cast(Precision, name)
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
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


@cache
def matmul_peak(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second in the fastest of a few large matrix products; measured once in a process."""
    size = PEAK_SIZE.get(device.type, 1024)
    if device.type == "cpu" and precision == torch.float16:
        size = 256  # Where a CPU has no units for it, larger ones take seconds.
    return 2.0 * size**3 / _product_seconds(precision, size, 5, device)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free for new tensors on a device; None: the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    return min((each for each in (free, _left_in_group()) if each is not None), default=None)


def held_memory(device: torch.device) -> int | None:
    """Bytes that this process holds now: of a GPU those that torch took, else all of its memory.

    None: the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _left_in_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the process's control group, such as a container, may still take; None: any."""
    try:
        limit, used, statistics = (
            (folder / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current", "stat")
        )
        files = next(line.split()[1] for line in statistics.splitlines() if line.startswith("inactive_file "))
        return (
            int(limit) - int(used) + int(files)
        )  # Files that are kept in memory make room when it is needed.
    except (OSError, ValueError, StopIteration):  # No such file, or the word max.
        return None


def _product_seconds(
    dtype: torch.dtype, size: int = 512, tries: int = 7, device: str | torch.device = "cpu"
) -> float:
    """Shortest time of one square matrix product, in seconds: what others do only adds to it."""
    a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        a @ b
        if torch.device(device).type != "cpu":
            torch.accelerator.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)
