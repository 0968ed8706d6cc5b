"""The ledger: what became of every document and every byte.

Each step of a pipeline owns a `Step` and books there what enters, what leaves, what it drops and for
which reason, and what it adds (a document cut in two is one more). The books must balance:

    entered + added == left + dropped          for documents and for bytes, in every step
    left of one step == entered of the next

`Ledger.to_dict` refuses to write books that do not. The ledger knows nothing about the steps themselves.

Examples are kept with the numbers, at most ten for each reason: those whose names have the smallest
hashes. That is a random choice, and yet the same one in whatever order the documents came.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FORMAT = 1
"""Version of the layout of `ledger.json`."""

N_EXAMPLES = 10
"""Examples kept for each reason."""

EXCERPT_LENGTH = 160
"""Characters of text shown with an example."""


@dataclass(slots=True)
class Count:
    """A number of documents and their bytes of UTF-8."""

    documents: int = 0
    bytes: int = 0

    def add(self, documents: int, n_bytes: int) -> None:
        """Count some documents more."""
        self.documents += documents
        self.bytes += n_bytes

    def __add__(self, other: Count) -> Count:
        return Count(self.documents + other.documents, self.bytes + other.bytes)

    def to_dict(self) -> dict[str, int]:
        """Return the two numbers under their names."""
        return {"documents": self.documents, "bytes": self.bytes}


@dataclass(slots=True)
class Examples:
    """At most `N_EXAMPLES` of the documents offered, chosen by the hash of seed and source."""

    seed: int = 0
    chosen: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def offer(self, source: str, text: str | bytes, **more: str) -> None:
        """Take the document as an example if its hash is among the smallest so far."""
        rank = hashlib.sha256(f"{self.seed}/{source}".encode()).digest()
        if len(self.chosen) == N_EXAMPLES and rank >= self.chosen[-1][0]:
            return
        example = {"source": source, **more, "excerpt": excerpt(text)}
        bisect.insort(self.chosen, (rank, example), key=lambda pair: pair[0])
        del self.chosen[N_EXAMPLES:]

    def to_list(self) -> list[dict[str, str]]:
        """Return the examples, in the order of their names."""
        return sorted((example for _, example in self.chosen), key=lambda example: example["source"])


@dataclass(slots=True)
class Entry:
    """What was dropped, or added, for one reason."""

    count: Count = field(default_factory=Count)
    examples: Examples = field(default_factory=Examples)

    def to_dict(self, reason: str) -> dict[str, Any]:
        """Return the entry as it stands in `ledger.json`."""
        return {"reason": reason, **self.count.to_dict(), "examples": self.examples.to_list()}


@dataclass(slots=True)
class Step:
    """The books of one step; `note` says in one sentence what the step does."""

    name: str
    note: str = ""
    entered: Count = field(default_factory=Count)
    left: Count = field(default_factory=Count)
    dropped: dict[str, Entry] = field(default_factory=dict)
    added: dict[str, Entry] = field(default_factory=dict)

    def enter(self, n_bytes: int) -> None:
        """Book one document that comes in."""
        self.entered.add(1, n_bytes)

    def leave(self, n_bytes: int) -> None:
        """Book one document that goes on."""
        self.left.add(1, n_bytes)

    def drop(self, reason: str, source: str, n_bytes: int, text: str | bytes = "") -> None:
        """Book one document that goes no further."""
        self._book(self.dropped, reason, source, 1, n_bytes, text)

    def trim(self, reason: str, source: str, n_bytes: int) -> None:
        """Book bytes taken out of a document that itself goes on."""
        self._book(self.dropped, reason, source, 0, n_bytes, "")

    def gain(self, reason: str, source: str, text: str = "") -> None:
        """Book one document more that is made of bytes already here."""
        self._book(self.added, reason, source, 1, 0, text)

    def balanced(self) -> bool:
        """Say whether everything that entered or was added has left or was dropped."""
        gained = sum((entry.count for entry in self.added.values()), self.entered)
        return gained == sum((entry.count for entry in self.dropped.values()), self.left)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as it stands in `ledger.json`."""
        return {
            "name": self.name,
            "note": self.note,
            "in": self.entered.to_dict(),
            "out": self.left.to_dict(),
            "dropped": [entry.to_dict(reason) for reason, entry in self.dropped.items()],
            "added": [entry.to_dict(reason) for reason, entry in self.added.items()],
        }

    @staticmethod
    def _book(
        side: dict[str, Entry], reason: str, source: str, documents: int, n_bytes: int, text: str | bytes
    ) -> None:
        entry = side.setdefault(reason, Entry())
        entry.count.add(documents, n_bytes)
        entry.examples.offer(source, text)


@dataclass(slots=True)
class Part:
    """One part of the finished corpus and the names of its shards."""

    count: Count = field(default_factory=Count)
    shards: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """The books of a whole pipeline: its inputs, its steps in order, the parts that came out."""

    inputs: Sequence[str] = ()
    steps: list[Step] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    kept: Examples = field(default_factory=Examples)

    def step(self, name: str, note: str) -> Step:
        """Open the books of the next step."""
        self.steps.append(Step(name, note))
        return self.steps[-1]

    @property
    def out(self) -> Count:
        """All documents that came out, of every part."""
        return sum((part.count for part in self.parts.values()), Count())

    def check(self) -> None:
        """Fail if a step does not balance, or the next one did not get what it gave."""
        for step in self.steps:
            assert step.balanced(), f"the ledger of step {step.name!r} does not add up: {step.to_dict()}"
        for step, after in zip(self.steps, self.steps[1:], strict=False):
            gave, got = step.left, after.entered
            assert gave == got, f"{step.name!r} gave {gave}, {after.name!r} got {got}"
        if self.steps:
            assert self.steps[-1].left == self.out, f"the parts hold {self.out}, not {self.steps[-1].left}"

    def to_dict(self) -> dict[str, Any]:
        """Return the checked ledger as it stands in `ledger.json`."""
        self.check()
        parts = {name: {**part.count.to_dict(), "shards": part.shards} for name, part in self.parts.items()}
        return {
            "format": FORMAT,
            "inputs": list(self.inputs),
            "steps": [step.to_dict() for step in self.steps],
            "out": self.out.to_dict(),
            "parts": parts,
            "kept_examples": self.kept.to_list(),
        }


def excerpt(text: str | bytes) -> str:
    """Return the beginning of a text on one line, whatever cannot be shown replaced by U+FFFD."""
    head = text[: 4 * EXCERPT_LENGTH]
    shown = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    line = " ".join(shown.split())[:EXCERPT_LENGTH]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
