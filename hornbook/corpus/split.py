"""The held-out split: which text is kept from training, to be evaluated on.

The rule goes by content. Documents are put in the order of a hash of their text and taken in that order
until the held-out part has its share of the bytes; one that would carry it more than half beyond its
share is passed over. So the choice depends neither on names nor on the order of reading, copies of a text
fall on one side, and a corpus that grows keeps most of its held-out documents.

Where the documents are too few or too large for that (one big file), each one passed over gives the tail
of its text, cut at the end of a paragraph, else of a line, else of a word.

Either way the held-out part has between one half and one and a half times its share, rounding to whole
characters aside. The whole needs two passes: `plan_split` over the fingerprints and sizes, `SplitPlan.divide`
over the documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hornbook.base.errors import ConfigError, TextError
from hornbook.corpus.document import Document

DEFAULT_SHARE = 0.04
"""Share of the bytes held out where nobody says otherwise."""

MAX_SHARE = 0.25
"""Largest share that may be held out."""

MIN_BYTES = 100
"""A corpus of fewer bytes is not split."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Which documents are held out whole, and which share of each other one is cut from its end."""

    seed: int
    whole: frozenset[int]
    tail_share: float

    def divide(self, document: Document) -> tuple[Document | None, Document | None]:
        """Return the document's part for training and its held-out part, either of them None."""
        if fingerprint(document.text, self.seed) in self.whole:
            return None, document
        head, tail = cut_tail(document.text, self.tail_share)
        if not head or not tail:
            return document, None
        return replace(document, text=head), replace(document, text=tail, source=document.source + "#tail")


def split(
    documents: Iterable[Document], share: float = DEFAULT_SHARE, seed: int = 0
) -> tuple[list[Document], list[Document]]:
    """Return (train, held out), each in the order given and neither of them empty."""
    listed = list(documents)
    prints = [fingerprint(document.text, seed) for document in listed]
    plan = plan_split(prints, [document.n_bytes for document in listed], share, seed)
    pairs = [plan.divide(document) for document in listed]
    train = [kept for kept, _ in pairs if kept is not None]
    held_out = [held for _, held in pairs if held is not None]
    if not train or not held_out:
        raise too_small(sum(document.n_bytes for document in listed))
    return train, held_out


def plan_split(
    fingerprints: Sequence[int], sizes: Sequence[int], share: float = DEFAULT_SHARE, seed: int = 0
) -> SplitPlan:
    """Choose what is held out from the fingerprints and the sizes in bytes of all documents."""
    check_share(share)
    total = sum(sizes)
    if total < MIN_BYTES:
        raise too_small(total)
    order, position = np.unique(np.asarray(fingerprints, dtype=np.uint64), return_inverse=True)
    weights = np.zeros(len(order), dtype=np.int64)
    np.add.at(weights, position, np.asarray(sizes, dtype=np.int64))  # copies count as one
    wanted = share * total
    whole: set[int] = set()
    held = 0
    for print_, weight in zip(order.tolist(), weights.tolist(), strict=True):
        if held >= wanted:
            break
        if held + weight <= 1.5 * wanted:
            whole.add(print_)
            held += weight
    # Every document passed over is now larger than what is wanted, so there are few of them.
    tail_share = (wanted - held) / (total - held) if held < wanted / 2 else 0.0
    return SplitPlan(seed, frozenset(whole), tail_share)


def fingerprint(text: str, seed: int = 0) -> int:
    """Return a 64-bit hash of a text; another seed gives another order of the same documents."""
    state = hashlib.blake2b(f"{seed}\n".encode(), digest_size=8)
    state.update(text.encode())
    return int.from_bytes(state.digest(), "little")


def cut_tail(text: str, share: float) -> tuple[str, str]:
    """Cut a text in two so that the second piece has about `share` of the bytes, at most half as much again.

    Head and tail joined are the text again. A share of 0 leaves the tail empty.
    """
    raw = text.encode()
    if share <= 0:
        return text, ""
    latest = len(raw) - max(1, round(share * len(raw)))
    earliest = max(0, len(raw) - int(1.5 * share * len(raw)))
    place = _good_place(raw, earliest, latest)
    return raw[:place].decode(), raw[place:].decode()


def check_share(share: float) -> None:
    """Raise `ConfigError` for a share that cannot be held out."""
    if not 0 < share <= MAX_SHARE:
        raise ConfigError(f"the held-out share must be above 0 and at most {MAX_SHARE}, not {share}")


def note(plan: SplitPlan) -> str:
    """Return one sentence on what a plan does, for the ledger."""
    if plan.tail_share:
        return f"The last {plan.tail_share:.1%} or so of each large document are held out from training."
    return "Documents chosen by a hash of their text are held out from training."


def too_small(n_bytes: int) -> TextError:
    """Return the error for a corpus that cannot be split."""
    return TextError(
        f"{n_bytes} bytes of text are too few to hold some of them out; give at least {MIN_BYTES}"
    )


def _good_place(raw: bytes, earliest: int, latest: int) -> int:
    """The last end of a paragraph in the window, else of a line, else of a word, else of a character."""
    for end in (b"\n\n", b"\n", b" "):
        found = raw.rfind(end, earliest, latest)
        if found >= 0:
            return found + len(end)
    while latest > 0 and raw[latest] & 0xC0 == 0x80:  # the inside of a character of several bytes
        latest -= 1
    return latest
