"""What the guard saves, and what it costs a run that needs none.

    python benchmarks/stability.py harm TEXT        # each harm under each policy, beside the run left alone
    python benchmarks/stability.py calm TEXT...     # how far steps stand out in runs that nothing disturbs

A small decoder learns to predict the text of a file. `harm` spoils one step in the middle (harms.py) and
prints the loss on held-out text at the end, in nats a token, as the mean over seeds and the largest distance
from it, with the number of interventions in brackets; less is better. `calm` prints the largest z-scores of a
run's steps, of the loss and of the gradient, for the defaults of the guard to stand above.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from harms import HARMS

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import DivergedError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.shards import TokenShards, write_shards
from hornbook.model.config import ModelConfig
from hornbook.recipes.shapes import resolve
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.fit import Fit

STEPS = 400
HARMED = 220
"""The step that is spoilt."""
VOCAB_SIZE = 1024
POLICIES = ("off", "skip", "roll_back")


class Bench:
    """A text made into tokens, and runs over it."""

    def __init__(self, text: Path, folder: Path) -> None:
        self.folder = folder
        documents = cut(text.read_text(encoding="utf-8", errors="replace"))
        self.tokenizer = Tokenizer.train(documents, vocab_size=VOCAB_SIZE)
        for part, chosen in (
            ("held_out", documents[::10]),
            ("train", [d for i, d in enumerate(documents) if i % 10]),
        ):
            write_shards(chosen, self.tokenizer, folder / part, fingerprint=text.name)

    def fit(self, name: str, seed: int, batch_size: int = 8, **train: Any) -> Fit:
        """A run that has not begun."""
        model = resolve("quickstart", ["size=1", f"tokenizer.vocab_size={self.tokenizer.vocab_size}"]).model
        assert isinstance(model, ModelConfig)
        settings = {
            "steps": STEPS, "precision": "float32", "device": "cpu", "log_every": 1, "save_every": 50,
            "validate_every": STEPS, "validation_batches": 32, "sample_every": STEPS, "sample_prompts": [],
        }  # fmt: skip
        config = parse(
            RunConfig,
            {
                "seed": seed,
                "model": to_dict(model),
                "tokenizer": {"vocab_size": self.tokenizer.vocab_size},
                "data": {"seq_len": 64, "batch_size": batch_size},
                "train": settings | train,
            },
        )
        run = RunFolder(self.folder / name)
        run.create()
        write_json(run.config_path, to_dict(config))
        self.tokenizer.save(run.path)
        shards = (TokenShards(self.folder / part) for part in ("train", "held_out"))
        return Fit(config, run, self.tokenizer, *shards)


def cut(text: str, n_characters: int = 4000) -> list[str]:
    """Documents of so many characters each."""
    return [text[i : i + n_characters] for i in range(0, len(text), n_characters)]


def harm(text: Path, seeds: int) -> None:
    """Each harm under each policy: loss at the end, and interventions."""
    print(
        f"| harm at step {HARMED} of {STEPS} | " + " | ".join(f"guard {policy}" for policy in POLICIES) + " |"
    )
    print("|---|" + "---|" * len(POLICIES))
    for name in (None, *HARMS):
        cells = []
        for policy in POLICIES:
            ended = [ending(text, name, policy, seed) for seed in range(seeds)]
            cells.append(told(ended))
        print(f"| {name or 'none'} | " + " | ".join(cells) + " |", flush=True)


def ending(text: Path, name: str | None, policy: str, seed: int) -> tuple[float, int]:
    """Loss on held-out text at the end of a run, and how often the guard stepped in."""
    with tempfile.TemporaryDirectory() as folder:
        fit = Bench(text, Path(folder)).fit("run", seed, guard={"kind": policy})
        if name is not None:
            HARMS[name](fit, HARMED)
        try:
            fit.run()
        except DivergedError:
            return math.nan, 0
        lines = fit.folder.read_metrics()
    loss = next(line["loss"] for line in reversed(lines) if line["kind"] == "validation")
    return (math.nan if loss is None else loss), sum("what" in line for line in lines)


def told(ended: list[tuple[float, int]]) -> str:
    """Mean, scatter and interventions, for a table."""
    losses = [loss for loss, _ in ended]
    if not all(map(math.isfinite, losses)):
        return "broke down"
    mean = sum(losses) / len(losses)
    scatter = max(abs(loss - mean) for loss in losses)
    n = sum(count for _, count in ended) / len(ended)
    return f"{mean:.3f} ± {scatter:.3f}" + (f" ({n:.0f})" if n else "")


def calm(texts: list[Path], seeds: int) -> None:
    """The steps that stand out most in runs that nothing disturbs."""
    print("| text | optimizer | sequences a batch | largest z of the loss | of the gradient |")
    print("|---|---|---|---|---|")
    unmoved = {"kind": "skip", "loss_z": 1e9, "grad_norm_z": 1e9}
    for text, optimizer, batch_size in itertools.product(texts, ("muon", "adamw"), (1, 8)):
        most = {"loss_z": 0.0, "grad_norm_z": 0.0}
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                train = {"optimizer": {"kind": optimizer}, "guard": unmoved}
                fit = Bench(text, Path(folder)).fit("run", seed, batch_size, **train)
                fit.listen = partial(note_largest, fit, most)
                fit.run()
        cells = f"{most['loss_z']:.1f} | {most['grad_norm_z']:.1f}"
        print(f"| {text.name} | {optimizer} | {batch_size} | {cells} |", flush=True)


def note_largest(fit: Fit, most: dict[str, float], line: dict[str, Any]) -> None:
    """A listener that keeps the largest z-scores."""
    for name, z in fit.state.guard.z.items():
        most[name] = max(most[name], z)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Show what the guard of training saves and costs.")
    parser.add_argument("what", choices=["harm", "calm"])
    parser.add_argument("text", nargs="+", type=Path, help="a file of text, documents parted by empty lines")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    harm(options.text[0], options.seeds) if options.what == "harm" else calm(options.text, options.seeds)


if __name__ == "__main__":
    main()
