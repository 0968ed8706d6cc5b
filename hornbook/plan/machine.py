"""This machine: what it is, and how fast it learns."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch


def describe_machine(device: str, precision: str) -> dict[str, str | int | float]:
    """Facts about the machine that belong beside every measurement made on it."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(device),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": _cores(torch.get_num_threads()) if device == "cpu" else device,
        "precision": precision,
    }


def git_commit(folder: Path) -> str | None:
    """The commit a source tree stands at, or None where there is no git."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def seconds_per_call(function: Callable[[], object], calls: int = 6) -> float:
    """Shortest time of a call in seconds, after one call that is not counted.

    The shortest and not the median, because what else runs on the machine only ever adds to it.
    """
    function()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def _cores(n: int) -> str:
    """The CPU as a device: as many cores as compute."""
    return f"{n} CPU core" if n == 1 else f"{n} CPU cores"


def _processor(device: str) -> str:
    """The name of the chip that computes."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    """Physical memory in bytes; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
