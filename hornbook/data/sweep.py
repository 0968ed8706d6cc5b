"""All of a text in rows, each token once: what a measurement reads.

for rows in sweep(shards, seq_len=256, batch_size=32, document_mask=True):
    batch = collate(rows, generator)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hornbook.data.batch import PADDING, Rows
from hornbook.data.excerpt import Excerpt
from hornbook.data.shards import TokenShards


def sweep(
    shards: TokenShards | Excerpt, *, seq_len: int, batch_size: int, document_mask: bool
) -> Iterator[Rows]:
    """Rows from the first token to the last, side by side; the last row is filled up behind the text."""
    starts = range(0, len(shards), seq_len)
    for first in range(0, len(starts), batch_size):
        chosen = starts[first : first + batch_size]
        tokens = np.zeros((len(chosen), seq_len + 1), dtype=np.int64)
        documents = np.full_like(tokens, PADDING)
        for row, start in enumerate(chosen):
            stop = min(start + seq_len + 1, len(shards))
            tokens[row, : stop - start] = shards.read(start, stop)
            numbers = shards.document_numbers(start, stop) if document_mask else 0
            documents[row, : stop - start] = numbers
        yield Rows(tokens, documents)
