"""A yardstick for language models: what ordinary compressors make of the same text.

A model that gives each byte of a text a probability could compress it to its cross-entropy, in bits per
byte. gzip and xz are compressors everybody has, so their bits per byte on the held-out documents are a
mark to beat. They start knowing nothing, which flatters a model; they learn as they read the
held-out text itself, which flatters them.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable

from hornbook.base.errors import TextError
from hornbook.corpus.document import Document


def compress_bits_per_byte(documents: Iterable[Document]) -> dict[str, float]:
    """Return the bits per byte of `gzip -9` and `xz -9` on the documents, one after the other as one file."""
    gzip = zlib.compressobj(9, wbits=31)  # 31: the largest window (15) in a gzip frame (16)
    xz = lzma.LZMACompressor(preset=9)
    n_bytes, n_gzip, n_xz = 0, 0, 0
    for document in documents:
        raw = document.text.encode()
        n_bytes += len(raw)
        n_gzip += len(gzip.compress(raw))
        n_xz += len(xz.compress(raw))
    if not n_bytes:
        raise TextError("there is no text to compress: the documents are empty")
    n_gzip += len(gzip.flush())
    n_xz += len(xz.flush())
    return {"gzip": 8 * n_gzip / n_bytes, "xz": 8 * n_xz / n_bytes}
