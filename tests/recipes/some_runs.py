"""Run folders as `train` leaves them, without any training: for what reads several of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hornbook.base.config import to_dict
from hornbook.recipes.shapes import quickstart, resolve

STEPS, EVERY = 100, 10


def some_run(
    folder: Path,
    *overrides: str,
    bits: float = 1.5,
    held_out: dict[str, Any] | None = None,
    tokenizer: str = "{}",
    finished: bool = True,
    **facts: Any,
) -> Path:
    """A run whose error falls from 8 to `bits` bits per byte; overrides as one types them."""
    folder.mkdir(parents=True)
    config = resolve(quickstart(1), [f"train.steps={STEPS}", "data.path=my-texts", *overrides])
    run = {
        "format": 1, "hornbook": "0.1.0", "git_commit": "4f1c2e9", "seed": config.seed,
        "status": "finished" if finished else "interrupted", "parameters": {"total": 1_234_567},
        "seconds": {"training": 12.5}, "machine": {"device": "cpu", "torch": "2.13.0"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(to_dict(config)), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps(run | facts), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    last = STEPS if finished else STEPS // 2
    lines = [line for step in range(EVERY, last + 1, EVERY) for line in _measured(step, bits)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    if finished:
        measured = {
            "documents": 9, "bytes": 5000, "text": "0a1b", "bits_per_byte": bits, "loss": 2 * bits,
            "yardsticks": {"gzip": 2.2, "xz": 1.9},
        }  # fmt: skip
        results = {"held_out": measured | (held_out or {}), "samples": []}
        (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def _measured(step: int, bits: float) -> list[dict[str, Any]]:
    error = bits + (8 - bits) * math.exp(-step / 12)
    both = {"step": step, "loss": 2 * error, "bits_per_byte": error}
    train = {"kind": "train", "tokens": 4096 * step, "seconds": 0.125 * step, **both}
    return [train, *([{"kind": "validation", **both}] if step % 50 == 0 else [])]
