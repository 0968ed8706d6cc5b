"""The sweep over a text: every token once, and filling behind the end alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.shard_folders import counted, shards_of

from hornbook.data.batch import PADDING
from hornbook.data.sweep import sweep


@pytest.mark.parametrize("document_mask", [True, False])
@pytest.mark.parametrize("seq_len", [4, 7, 16, 100])
def test_every_token_is_read_once(seq_len: int, document_mask: bool, tmp_path: Path) -> None:
    shards = shards_of(counted(5, 9, 1, 12), tmp_path, shard_tokens=11)
    found = list(sweep(shards, seq_len=seq_len, batch_size=3, document_mask=document_mask))
    assert all(len(rows.tokens) <= 3 for rows in found)
    tokens = np.concatenate([rows.tokens[:, :-1].ravel() for rows in found])
    numbers = np.concatenate([rows.numbers[:, :-1].ravel() for rows in found])
    n = len(shards)
    assert tokens[:n].tolist() == shards.read(0, n).tolist()
    wanted = shards.document_numbers(0, n) if document_mask else np.zeros(n)
    assert numbers[:n].tolist() == wanted.tolist() and (numbers[n:] == PADDING).all()


def test_a_row_knows_the_token_after_it(tmp_path: Path) -> None:
    """And the last row, that there is none."""
    shards = shards_of(counted(5, 9), tmp_path)
    (rows,) = sweep(shards, seq_len=8, batch_size=3, document_mask=True)
    assert rows.tokens[0, -1] == rows.tokens[1, 0] and rows.numbers[1, -1] == PADDING
