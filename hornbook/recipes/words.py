"""The sentences of the quickstart, in the order in which they are read."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import suppress
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
SHARDS = "All text becomes token numbers on disk, once. Below, the first held-out lines are cut into tokens."
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
    "Each text begins with words that were given; the rest the model writes, token by token, by chance "
    "weighted with its scores."
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
    """How this program is started from here, as one types it: by its name, or by its path."""
    own = shutil.which("hornbook", path=os.path.dirname(sys.executable))
    found = shutil.which("hornbook")
    if found and (own is None or os.path.samefile(found, own)):
        return "hornbook"
    if own:
        return shlex.quote(_near(own))
    python = shutil.which("python")
    is_ours = python is not None and os.path.abspath(python) == os.path.abspath(sys.executable)
    return f"{'python' if is_ours else shlex.quote(_near(sys.executable))} -m hornbook"


def typed(*words: str | os.PathLike[str]) -> str:
    """A command of this program as one types it."""
    return f"{program()} {shlex.join(os.fspath(word) for word in words)}"


def resume(path: Path) -> str:
    """The command that goes on with a run that has begun to train."""
    return typed("train", path, "--resume")


def next_commands(path: Path) -> list[tuple[str, str]]:
    """What a person may type after a run."""
    return [
        (typed("chat", path), "write with it"),
        (f'{typed("generate", path)} "The"', "one continuation"),
        (typed("show", path), "what it is made of"),
        (typed("quickstart", "--text", "FOLDER", "--out", "runs/mine"), "the same with your own text"),
    ]


def _near(path: str) -> str:
    """A path from here where that is shorter."""
    with suppress(ValueError):  # Another drive of Windows.
        return min(os.path.relpath(path), path, key=len)
    return path
