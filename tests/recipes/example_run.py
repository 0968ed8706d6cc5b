"""A made-up run folder that looks like a real one: for the report's tests, and for looking at the page.

    python tests/recipes/example_run.py FOLDER      # writes the files, then the report

The curves are drawn from formulas and the samples are invented; no model was trained. The run was
interrupted once and resumed, so some steps are in `metrics.jsonl` twice, and its last line is half.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STEPS, RESUMED, EVERY = 1240, 400, 5
BYTES_PER_TOKEN = 3.46
TOKENS_PER_STEP = 8192

LESSONS = [
    (10, "t  e,\n si  ntao\n\n e  r.d e s( aan l   _tf ,  rn eoe"),
    (50, "self, s, s\n        the the of of the in the self_s\n    # to the is a\n"),
    (150, "_get(self, name):\n        if self.name is None:\n        return self.the value\n    def _the"),
    (350, 'get_name(self, value):\n    """Return the the name of the value."""\n    if not value:\n'),
    (
        700,
        'read_line(self, size=-1):\n    """Read a line from the file.\n\n    If size is given, it is the\n',
    ),
    (1000, 'is_empty(self):\n    """Return True if the list is empty."""\n    return len(self._items) < 1\n'),
    (
        1240,
        'add_header(self, name, value):\n    """Add a header to the message.\n\n    The name is a string; '
        'value may be None.\n    """\n    if value is None:\n        return\n'
        "    self._headers.append((name, value))\n",
    ),
]
ENGLISH = [
    (10, " e t  os a. nr  th"),
    (350, " the object is the value of the object and the object is not the"),
    (1240, " method is called when the file is closed. If the argument is omitted, the\ndefault is used."),
]
FINAL = [
    ("def ", "parse_args(self, args=None):\n    \"\"\"Parse the command line & return the options.\"\"\"\n"
     "    if args is None:\n        args = sys.argv[1:]\n    for i, arg in enumerate(args):\n"
     "        if arg < '--' and not self._known(arg):\n            raise ValueError('unknown: %r' % arg)\n"),
    ("The function ", "returns a new list with the elements of the given sequence. If the sequence\n"
     "is empty, an empty list is returned. The order of the elements is not changed.\n"),
    ("class ", "Reader(Base):\n    \"\"\"A reader of <lines> that ends with \x00 or \x1b[0m.\"\"\"\n\n"
     "    def __init__(self, stream, limit=None):\n        super().__init__(stream, limit)\n"),
]  # fmt: skip
SAMPLE = "def| area|(|self|):|\n|   | return| self|.|width| *| self|.|height|  #| in| square| met|res"
MODEL = {
    "n_layers": 8, "d_model": 256, "n_heads": 4, "max_seq_len": 512, "vocab_size": 4096,
    "pattern": [{"attention": {"kind": "attention"}, "feed_forward": {"kind": "swiglu", "d_ff": 704}}],
    "position": {"kind": "rotary", "theta": 10000.0},
}  # fmt: skip
CONFIG = {
    "format": 1,
    "seed": 0,
    "model": MODEL,
    "tokenizer": {"vocab_size": 4096, "pattern": "gpt2"},
    "data": {"path": "shards", "seq_len": 512, "batch_size": 16},
    "train": {"steps": STEPS, "schedule": {"kind": "cosine", "warmup": 62}, "peak_learning_rate": 0.004},
}
PARTS = [
    {"name": "embedding", "shape": "4096 x 256", "parameters": 1_048_576,
     "note": "a row of 256 numbers for every token"},
    {"name": "attention", "shape": "4 x (256 x 256)", "parameters": 2_097_152, "repeat": 8,
     "note": "each token looks back at the ones before it and takes what it needs"},
    {"name": "feed-forward", "shape": "3 x (256 x 704)", "parameters": 4_325_376, "repeat": 8,
     "note": "each token thinks about what it has gathered"},
    {"name": "norms", "shape": "2 x 256", "parameters": 4096, "repeat": 8,
     "note": "keep the numbers at one size"},
    {"name": "final norm", "shape": "256", "parameters": 256},
    {"name": "output", "shape": "256 x 4096", "parameters": 0, "note": "shares the embedding's numbers"},
]  # fmt: skip
DIAL = [
    ("speed", "21,400 tokens/s", "measured: 20 steps of a small model on this machine"),
    ("parameters", "7.48 million", "what this speed can teach in 6 minutes at 20 tokens a parameter, halved"),
    ("d_model", "256", "the widest multiple of 64 that stays within the parameters"),
    ("n_layers", "8", "one layer for each 32 of width"),
    ("batch_size", "16", "8,192 tokens a step: small batches learn most from little text"),
    ("steps", "1,240", "6 minutes at this speed, less the time of the evaluations"),
    ("learning rate", "0.004", "falls with the square root of the width"),
]
MACHINE = {
    "system": "Linux 6.8", "processor": "AMD EPYC 7B13", "cores": 2, "threads": 2, "memory_gib": 7.8,
    "device": "2 CPU cores", "precision": "float32", "python": "3.12.4", "torch": "2.13.0",
}  # fmt: skip
LEDGER = {
    "format": 1,
    "inputs": ["Lib/", "pydoc_data/topics.py"],
    "steps": [
        {"name": "read", "note": "Every .py and .txt file, as UTF-8.",
         "in": {"documents": 2914, "bytes": 46_120_331}, "out": {"documents": 2871, "bytes": 44_902_118},
         "dropped": [
             {"reason": "not UTF-8", "documents": 9, "bytes": 310_113, "examples": [
                 {"source": "Lib/test/module_koi8_r.py", "excerpt": "# test = \ufffd\ufffd\ufffd <coding>"}]},
             {"reason": "shorter than 64 bytes", "documents": 34, "bytes": 908_100, "examples": [
                 {"source": "Lib/concurrent/__init__.py", "excerpt": "# This directory is a package."}]}]},
        {"name": "deduplicate", "note": "Of documents that are equal byte for byte the first one stays.",
         "in": {"documents": 2871, "bytes": 44_902_118}, "out": {"documents": 2790, "bytes": 41_377_012},
         "dropped": [{"reason": "exact duplicate", "documents": 81, "bytes": 3_525_106, "examples": [
             {"source": "Lib/idlelib/template.py", "excerpt": "import unittest\n\nclass Test:\n    pass"}]}]},
        {"name": "hold out", "note": "One document in fifty is kept from training, for the examination.",
         "in": {"documents": 2790, "bytes": 41_377_012}, "out": {"documents": 2734, "bytes": 40_133_480},
         "dropped": [{"reason": "held out", "documents": 56, "bytes": 1_243_532, "examples": []}]},
    ],
    "out": {"documents": 2734, "bytes": 40_133_480},
    "kept_examples": [
        {"source": "Lib/calendar.py", "excerpt": 'class Calendar:\n    """Base class of <calendars>."""'}],
}  # fmt: skip


def write_example_run(folder: Path) -> Path:
    """Write every file of a finished run, but weights and report, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(part["parameters"] for part in PARTS if isinstance(part["parameters"], int))
    run = {
        "format": 1, "hornbook": "0.1.0", "created": "2026-03-07T14:02:11+00:00",
        "finished": "2026-03-07T14:10:02+00:00", "status": "finished", "seed": 0,
        "command": "hornbook quickstart", "git_commit": "4f1c2e9",
        "reproduce": f"hornbook quickstart --steps {STEPS} --seed 0 --out runs/again",
        "machine": MACHINE, "parameters": {"total": total, "parts": PARTS},
        "seconds": {"corpus": 6.1, "tokenizer": 31.4, "shards": 9.8, "training": 362.0, "evaluation": 21.7},
        "dial": [{"name": name, "value": value, "because": because} for name, value, because in DIAL],
        "tokenizer": {"vocab_size": 4096, "bytes_per_token": BYTES_PER_TOKEN,
                      "sample": [[token, i] for i, token in enumerate(SAMPLE.split("|"))]},
    }  # fmt: skip
    results = {
        "held_out": {"documents": 56, "bytes": 1_243_532, "bits_per_byte": 1.592, "loss": 3.818,
                     "yardsticks": {"gzip": 2.214, "xz": 1.731}},
        "samples": [{"prompt": prompt, "text": text} for prompt, text in FINAL],
    }  # fmt: skip
    for name, value in (("config", CONFIG), ("run", run), ("results", results), ("ledger", LEDGER)):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=2), encoding="utf-8")
    lines = [json.dumps(line) for line in metrics()]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"kind": "train", "st', encoding="utf-8")
    return folder


def metrics() -> Iterator[dict[str, Any]]:
    """Yield the lines of `metrics.jsonl`: to shortly after `RESUMED`, then on from there again."""
    draw = random.Random(0)
    yield from _stretch(draw, EVERY, RESUMED + 30)
    yield {"kind": "event", "step": RESUMED, "text": "interrupted by Ctrl-C; resumed"}
    yield from _stretch(draw, RESUMED + EVERY, STEPS)


def _stretch(draw: random.Random, first: int, last: int) -> Iterator[dict[str, Any]]:
    lessons = [(step, "def ", text) for step, text in LESSONS] + [(s, "The", text) for s, text in ENGLISH]
    for step in range(first, last + 1, EVERY):
        warm, done = min(1.0, step / 62), step / STEPS
        loss = _loss(step) + draw.gauss(0, 0.09)
        yield {
            "kind": "train", "step": step, "tokens": step * TOKENS_PER_STEP, "seconds": step * 0.292,
            "loss": round(loss, 4), "bits_per_byte": round(_bits(loss), 4),
            "learning_rate": 0.004 * warm * (0.55 + 0.45 * math.cos(math.pi * done)),
            "grad_norm": round(0.42 + 2.2 * math.exp(-step / 60) + abs(draw.gauss(0, 0.07)), 3),
            "tokens_per_second": round(28_000 * (1 - 0.3 * math.exp(-step / 15)) + draw.gauss(0, 500)),
        }  # fmt: skip
        if step % 100 == 0 or step == STEPS:
            held_out = _loss(step) + 0.02 + 0.05 * done
            yield {"kind": "validation", "step": step, "loss": held_out, "bits_per_byte": _bits(held_out)}
        yield from (
            {"kind": "sample", "step": step, "prompt": prompt, "text": text}
            for at, prompt, text in lessons
            if at == step
        )


def _loss(step: int) -> float:
    return 3.78 + 4.6 * math.exp(-step / 32) + 1.75 * math.exp(-step / 240) - 0.1 * max(0, step / STEPS - 0.6)


def _bits(loss: float) -> float:
    return loss / math.log(2) / BYTES_PER_TOKEN


if __name__ == "__main__":
    from hornbook.recipes.report import write_report

    write_report(write_example_run(Path(sys.argv[1])))
