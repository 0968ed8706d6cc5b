"""Time to a loss of 1.88 on Shakespeare's letters: our recipe against nanoGPT's documented run on a laptop.

    python benchmarks/time_to_loss.py FILE              # tinyshakespeare, one text file; some minutes
    python benchmarks/time_to_loss.py FILE --rounds 1

The peer is the run that nanoGPT's README gives for a CPU, written by hand here (`characters_by_hand.py`): 4
layers of width 128, sequences of 64 letters, 12 in a batch, AdamW, 2,000 steps, losses estimated every 250
steps. Ours is the command `hornbook train shakespeare-char`. Both are processes of their own that take turns;
the time is that of the whole process, from the start of Python to the saved model, ours with its tokenizer,
its samples, its evaluation and its report.

The losses are measured afterwards, of both in one way: the mean over all letters of the last tenth of the
text, cut into rows as long as each model was trained on, in nats.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pairs import at_best, in_turn, times_faster

if TYPE_CHECKING:
    from torch import Tensor, nn

AIM = 1.88
"""Nats a letter that the peer's run is documented to end at."""
HERE = Path(__file__).parent


def main() -> None:
    """Let both train in turn; print times, losses and ratios."""
    parser = argparse.ArgumentParser(description="Time training on letters against nanoGPT's run on a CPU.")
    parser.add_argument("text", type=Path, help="the text file")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    options = parser.parse_args()
    text = options.text.resolve()
    with tempfile.TemporaryDirectory() as folder:
        contenders = [partial(ours, text, Path(folder)), partial(by_hand, text, Path(folder))]
        measured = in_turn(contenders, options.rounds)
    print(f"{'':12} {'seconds':>8} {'at best':>8} {'loss':>7} {'worst':>7}")
    for name, runs in zip(("hornbook", "by hand"), measured, strict=True):
        times, losses = zip(*runs, strict=True)
        print(f"{name:12} {median(times):8.1f} {min(times):8.1f} {median(losses):7.3f} {max(losses):7.3f}")
    mine, peer = ([seconds for seconds, _ in runs] for runs in measured)
    reached = all(loss <= AIM for _, loss in measured[0])
    print(
        f"{times_faster(mine, peer):.1f} times faster, {at_best(mine, peer):.1f} at best; "
        f"{'every' if reached else 'not every'} run of ours reached {AIM}"
    )


def ours(text: Path, folder: Path) -> tuple[float, float]:
    """Train by the recipe, each time with another seed; return the seconds and the loss."""
    import torch

    from hornbook import load

    number = len(list(folder.glob("run-*")))
    out = folder / f"run-{number}"
    command = ["-m", "hornbook", "train", "shakespeare-char", f"data.path={text}", f"seed={number}"]
    took = timed([sys.executable, *command, "--out", str(out)])
    run = load(out, dtype="float32", device="cpu")
    letters = text.read_text(encoding="utf-8")
    ids = torch.tensor(run.tokenizer.encode(letters[int(0.9 * len(letters)) :]))
    return took, loss_of(run.model, ids, run.config.data.seq_len)


def by_hand(text: Path, folder: Path) -> tuple[float, float]:
    """Train the peer; return the seconds and the loss."""
    import characters_by_hand as peer

    out = folder / "by_hand.safetensors"
    took = timed([sys.executable, str(HERE / "characters_by_hand.py"), str(text), str(out)])
    letters = peer.Letters(text)
    return took, loss_of(peer.read_model(out, letters.n_letters), letters.held_out, peer.SEQ_LEN)


def timed(command: list[str]) -> float:
    """Run a process and return its seconds; show what it printed where it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return took


def loss_of(model: nn.Module, ids: Tensor, seq_len: int) -> float:
    """The mean loss over rows of `seq_len` that cover the ids, but for a rest shorter than a row."""
    import torch
    from torch.nn import functional

    n_rows = (len(ids) - 1) // seq_len
    tokens, targets = (ids[i : i + n_rows * seq_len].view(n_rows, seq_len) for i in (0, 1))
    total = 0.0
    with torch.inference_mode():
        for some, wanted in zip(tokens.split(64), targets.split(64), strict=True):
            logits = model(some).flatten(0, 1)
            total += functional.cross_entropy(logits, wanted.flatten(), reduction="sum").item()
    return total / targets.numel()


if __name__ == "__main__":
    main()
