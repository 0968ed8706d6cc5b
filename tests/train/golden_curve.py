"""The curve that a tiny run must follow, whatever is changed in the house.

    python tests/train/golden_curve.py      # from the root: draw golden/next_token.txt anew

Do so only in a change that is meant to alter training, and say there why the numbers differ.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

GOLDEN = Path(__file__).parent / "golden" / "next_token.txt"
STEPS = 20


def curve() -> list[float]:
    """Losses in nats a token of 20 steps: two layers, bytes of invented text, Muon, float32, one thread."""
    from train.small_runs import byte_loader, byte_objective, fresh, optimizer_for, train_config

    from hornbook.train.loop import TrainState, training_steps

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            loader = byte_loader(Path(folder), batch_size=8)
            model = fresh()
            state = TrainState(model, optimizer_for(model), seed=0)
            config = train_config(steps=STEPS, micro_batch_size=4)
            steps = training_steps(state, loader, byte_objective(), config, torch.float32)
            return [info.loss for info in steps]
    finally:
        torch.set_num_threads(threads)


def read_golden() -> list[float]:
    """The losses on file, one a line."""
    return [float(line) for line in GOLDEN.read_text(encoding="utf-8").split()]


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path[:0] = [str(root), str(root / "tests")]
    GOLDEN.write_text("".join(f"{loss:.7f}\n" for loss in curve()), encoding="utf-8")
