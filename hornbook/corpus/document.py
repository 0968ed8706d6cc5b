"""A document: one piece of text and where it came from.

Readers make documents, every later step takes documents in and gives documents out. A document does
not know its place in a corpus, nor what was done to it; the ledger does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Document:
    """One text; `source` is a name that stays the same when the text is read again elsewhere."""

    text: str
    source: str
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def n_bytes(self) -> int:
        """Length of the text in bytes of UTF-8."""
        # Python keeps ASCII text as bytes, so the common case needs no encoding.
        return len(self.text) if self.text.isascii() else len(self.text.encode())
