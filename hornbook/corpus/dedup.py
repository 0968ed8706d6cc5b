"""Exact deduplication: of documents with the same words in the same order, the first stays.

Two documents are the same when their texts are equal after every run of white space (what `str.isspace`
says is white, line ends included) is made one space and the white space at both ends is cut off. Case,
punctuation and accents count. Memory: 16 bytes of digest for each distinct document, never a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step

NOTE = "Of documents with the same words in the same order, only the first is kept."

_PIECE_LENGTH = 2**20


def deduplicate(documents: Iterable[Document], step: Step | None = None) -> Iterator[Document]:
    """Yield the first document of each text, in the order given."""
    books = step or Step("deduplicate", NOTE)
    seen: set[bytes] = set()
    for document in documents:
        books.enter(document.n_bytes)
        key = digest(document.text)
        if key in seen:
            books.drop("copy of an earlier document", document.source, document.n_bytes, document.text)
            continue
        seen.add(key)
        books.leave(document.n_bytes)
        yield document


def digest(text: str, piece_length: int = _PIECE_LENGTH) -> bytes:
    """Return 16 bytes that are the same for texts that differ in white space only.

    The text is hashed in pieces of so many characters, since its words as a list take many times its memory.
    """
    state = hashlib.blake2b(digest_size=16)
    begun, white = False, False
    for start in range(0, len(text), piece_length):
        piece = text[start : start + piece_length]
        words = " ".join(piece.split())
        if not words:
            white = True
            continue
        if begun and (white or piece[0].isspace()):
            state.update(b" ")
        state.update(words.encode())
        begun, white = True, piece[-1].isspace()
    return state.digest()
