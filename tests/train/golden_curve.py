"""The curves that tiny runs must follow, one for each objective, whatever is changed in the house.

python tests/train/golden_curve.py NAME...     # from the root: draw golden/NAME.txt anew; all where none is
named

Do so only in a change that is meant to alter training, and say there why the numbers differ.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

GOLDEN = Path(__file__).parent / "golden"
STEPS = 20


def curve(name: str) -> list[float]:
    """Losses in nats a token of 20 steps: two layers, bytes of invented text, Muon, float32, one thread."""
    from train.every_objective import CASES
    from train.small_runs import optimizer_for, train_config

    from hornbook.model.shapes import build_model
    from hornbook.train.loop import training_steps
    from hornbook.train.state import TrainState

    case = CASES[name]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            loader = case.loader(Path(folder))
            model = build_model(case.model, seed=0).train()
            state = TrainState(model, optimizer_for(model), seed=0)
            config = train_config(steps=STEPS, micro_batch_size=4)
            steps = training_steps(state, loader, case.objective, config, torch.float32)
            return [info.loss for info in steps]
    finally:
        torch.set_num_threads(threads)


def read_golden(name: str) -> list[float]:
    """The losses on file, one a line."""
    return [float(line) for line in (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").split()]


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path[:0] = [str(root), str(root / "tests")]
    from train.every_objective import CASES

    for chosen in sys.argv[1:] or CASES:
        lines = "".join(f"{loss:.7f}\n" for loss in curve(chosen))
        (GOLDEN / f"{chosen}.txt").write_text(lines, encoding="utf-8")
