"""The errors a person may meet, and the spelling help they carry.

Everything a user can get wrong raises a `HornbookError`: one message that says what is wrong, with
the numbers or names involved, and what to type instead. The command line prints that message without
a traceback and exits with 2. A broken invariant of our own is an `assert`, never one of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HornbookError(Exception):
    """A mistake outside the program that a person can mend; the message says how."""


class ConfigError(HornbookError):
    """A configuration with unknown keys, wrong values or an impossible combination."""


class TextError(HornbookError):
    """Text that cannot be read, tokenized or trained on."""


class RunFolderError(HornbookError):
    """A run folder, or another folder of ours, that is missing, damaged, foreign or in the way."""


class Interrupted(HornbookError):
    """Work was stopped from outside, by a signal or by the system; what it had saved is whole."""


class DivergedError(HornbookError):
    """Training broke down: its loss is not a number any more."""


class MissingPackageError(HornbookError):
    """An optional package that the called function needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package}; type: pip install 'hornbook[{extra}]'")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to a word; None: none is near."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known word, else the list of known words."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near!r}?"
    return "known: " + ", ".join(names) if names else "there are none"
