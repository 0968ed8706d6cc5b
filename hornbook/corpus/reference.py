"""The readable twins of this room's fast parts; the tests hold each pair equal.

Nothing here bounds its memory or hurries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hornbook.corpus.document import Document


def deduplicate(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the first document of each text; `dedup.deduplicate` remembers digests in place of texts."""
    seen: set[str] = set()
    for document in documents:
        words = " ".join(document.text.split())
        if words not in seen:
            seen.add(words)
            yield document
