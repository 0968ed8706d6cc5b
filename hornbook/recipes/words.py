"""The sentences of the quickstart, in the order in which they are read."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from hornbook.plan.dial import Choice, Plan

TRAINING_STAGE = 6

TEXT = (
    "A language model learns from text and nothing else. This one reads what every Python carries: the "
    "standard library's source, its docstrings, and the language reference. Copies are dropped, and a few "
    "files are held out: the model never learns from them and is measured on them at the end."
)
OWN_TEXT = (
    "A language model learns from text and nothing else. This one reads yours. Copies are dropped, and a "
    "small part is held out: the model never learns from it and is measured on it at the end."
)
TOKENIZER = (
    "A model reads numbers, not letters. Byte-pair encoding starts from the 256 bytes and merges, again and "
    "again, the two neighbours that stand together most often into a new token."
)
SHARDS = "All text becomes token numbers on disk, once. Colours show how a held-out line is cut."
PLAN = (
    "A large model learns more from each token, a small one sees more tokens in the same time. A few real "
    "training steps tell this machine's speed, and everything else follows from it."
)
MODEL = (
    "Token ids go in at the top; each block looks back at the text (attention) and thinks at each position "
    "(feed-forward); out comes a score for every token that could be next."
)
TRAINING = (
    "The model guesses the next token everywhere in a batch of text, and every weight moves a little towards "
    "a better guess. Bits per byte say how surprised it still is: 8 is knowing nothing."
)
MEASURING = (
    "A good predictor is a good compressor. These are the bits each needs for a byte of the held-out text: "
    "two ordinary compressors, and the model, which has never seen that text. Less is better."
)
SAMPLES = (
    "The bold words are given, the rest the model writes, token by token, by chance weighted with its scores."
)


def as_asked(size: int, steps: int) -> Plan:
    """The plan of someone who named the steps."""
    return Plan(
        size,
        steps,
        (
            Choice("size", str(size), "layers; each dial of the model follows"),
            Choice("steps", f"{steps:,}", "as asked"),
        ),
    )


def program() -> str:
    """How this program is started from here: by its name, or by its path when that is not on the PATH."""
    if shutil.which("hornbook"):
        return "hornbook"
    beside = Path(sys.executable).with_name("hornbook")
    return os.path.relpath(beside) if beside.exists() else "python -m hornbook"


def next_commands(path: Path) -> list[tuple[str, str]]:
    """What a person may type after a run."""
    name = program()
    return [
        (f"{name} chat {path}", "write with it"),
        (f'{name} generate {path} "def main("', "one continuation"),
        (f"{name} show {path}", "what it is made of"),
        (f"{name} quickstart --text FOLDER --out runs/mine", "the same with your own text"),
    ]


def start_over(path: Path) -> tuple[str, str]:
    """How to build it anew."""
    return (
        f"{program()} quickstart --out {path} --overwrite",
        "start over (this run is kept under another name)",
    )
