"""The first run of a newcomer: how long each stage takes, how good the model is, how much memory it needs.

    python benchmarks/first_run.py RUN_FOLDER       # of a finished run
    python benchmarks/first_run.py --minutes 4.5    # of a fresh quickstart, whose folder is deleted again

The peers are the compressors everybody has: gzip -9 and xz -9 on the same held-out documents, in bits per
byte, so less is better. A fresh quickstart runs as a command in a process of its own, from the start of
Python to the report; what it takes beside the stages (imports, measuring the machine, the report) stands as
"other".
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pairs import peak_mib

from hornbook.base.files import read_json


def main() -> None:
    """Read a run, or make one and read that."""
    parser = argparse.ArgumentParser(description="Show the time, memory and quality of a quickstart.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("run", nargs="?", type=Path, help="a finished run folder")
    which.add_argument("--minutes", type=float, help="train a new model for so long")
    options = parser.parse_args()
    if options.run is not None:
        show(options.run)
    else:
        measure(options.minutes)


def measure(minutes: float) -> None:
    """Run the quickstart in a process of its own; show the run, its wall time and its memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "hornbook", "quickstart"]
        command += ["--minutes", str(minutes), "--out", str(out)]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        stages = show(out)
    print(f"{'other':24} {wall - stages:8.1f} s\n{'the whole command':24} {wall:8.1f} s")
    print(f"{'largest memory':24} {peak_mib(resource.RUSAGE_CHILDREN) / 2**10:8.2f} GiB")


def show(folder: Path) -> float:
    """Print what a finished run says of itself; return the seconds of its stages together."""
    run, held_out = read_json(folder / "run.json"), read_json(folder / "results.json")["held_out"]
    config = read_json(folder / "config.json")
    print(f"{'layers':24} {config['model']['n_layers']:8,}")
    print(f"{'parameters':24} {run['parameters']['total']:8,}")
    print(f"{'steps':24} {config['train']['steps']:8,}")
    bits = {"this model": held_out["bits_per_byte"], **held_out["yardsticks"]}
    for name, value in sorted(bits.items(), key=lambda pair: pair[1]):
        print(f"{name:24} {value:8.3f} bits per byte")
    for stage, took in run["seconds"].items():
        print(f"{stage:24} {took:8.1f} s")
    return float(sum(run["seconds"].values()))


if __name__ == "__main__":
    main()
