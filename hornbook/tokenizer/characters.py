"""What kind of character each code point is, by one version of Unicode on every machine.

The published patterns tell letters, numbers, marks and white space apart. Which character is which changes
with every version of Unicode, and with it the ids of a text. tiktoken and Hugging Face's tokenizers both
follow Unicode 16.0; the table in `characters.txt` is that of the same version, whatever the Python or the
`regex` package at hand knows.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from hornbook.tokenizer.jit import Bytes

UNICODE_VERSION = "16.0"

LETTER, NUMBER, SPACE, SIGN = 1, 2, 4, 8
"""A letter, a number, white space, or none of these; each character is exactly one of the four."""
UPPER, LOWER = 16, 32
"""What may begin a capitalised word and what may go on in it; letters without case and marks are both."""
NEWLINE = 64
"""A carriage return or a line feed."""

MEANINGS: dict[str, int] = {
    "upper": LETTER | UPPER,
    "lower": LETTER | LOWER,
    "caseless": LETTER | UPPER | LOWER,
    "mark": SIGN | UPPER | LOWER,
    "number": NUMBER,
    "space": SPACE,
}
"""The flags of each kind in the file."""


@functools.cache
def character_flags() -> Bytes:
    """The flags of each Unicode code point; uint8 [0x110000], not to be written to."""
    flags = np.full(0x110000, SIGN, np.uint8)
    for line in Path(__file__).with_name("characters.txt").read_text(encoding="ascii").splitlines():
        kind, *runs = line.split()
        if kind == "#":
            continue
        for run in runs:
            first, _, last = run.partition("-")
            flags[int(first, 16) : int(last or first, 16) + 1] = MEANINGS[kind]
    for newline in "\r\n":
        flags[ord(newline)] |= NEWLINE
    flags.flags.writeable = False
    return flags
