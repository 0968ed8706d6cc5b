"""Held-out text: every token but the first of each document is predicted once, with enough before it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from data.shard_folders import counted, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.batch import IGNORED, Batch
from hornbook.data.loader import held_out_batches
from hornbook.data.shards import TokenShards


@st.composite
def windowings(draw: st.DrawFn) -> tuple[list[int], int, int, int]:
    """(document lengths, seq_len, batch_size, overlap), documents up to three windows long."""
    seq_len = draw(st.integers(1, 7))
    lengths = draw(st.lists(st.integers(0, 3 * seq_len), min_size=1, max_size=5))
    return lengths, seq_len, draw(st.integers(1, 3)), draw(st.integers(0, seq_len - 1))


def scored(batches: list[Batch]) -> list[tuple[int, list[int]]]:
    """Every prediction asked for: the target, and the tokens before it that the model is shown."""
    found = []
    for batch in batches:
        for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
            found += [(t, tokens[: i + 1]) for i, t in enumerate(targets) if t != IGNORED]
    return found


def batches_over(shards: TokenShards, seq_len: int, batch_size: int, overlap: int) -> list[Batch]:
    return list(held_out_batches(shards, seq_len=seq_len, batch_size=batch_size, overlap=overlap))


@settings(max_examples=40)
@given(windowings())
def test_every_token_is_scored_once_with_its_own_context(case: tuple[list[int], int, int, int]) -> None:
    """What stands before a scored token is the text before it: the last `overlap + 1` tokens at least,
    or all of the document where that is shorter."""
    lengths, seq_len, batch_size, overlap = case
    with tempfile.TemporaryDirectory() as folder:
        lists = counted(*lengths)
        found = scored(batches_over(shards_of(lists, Path(folder)), seq_len, batch_size, overlap))
    documents = [[0, *ids] for ids in lists]
    wanted = [token for document in documents for token in document[1:]]
    assert [target for target, _ in found] == wanted
    before = {document[i]: document[:i] for document in documents for i in range(1, len(document))}
    for target, context in found:
        known = before[target]
        assert context == known[-len(context) :], "the context is not the text before the token"
        assert len(context) >= min(len(known), overlap + 1)


@settings(max_examples=40)
@given(windowings())
def test_batches_are_full_but_the_last(case: tuple[list[int], int, int, int]) -> None:
    lengths, seq_len, batch_size, overlap = case
    with tempfile.TemporaryDirectory() as folder:
        batches = batches_over(shards_of(counted(*lengths), Path(folder)), seq_len, batch_size, overlap)
    assert all(batch.tokens.shape[1] == seq_len for batch in batches)
    assert all(len(batch.tokens) == batch_size for batch in batches[:-1])
    assert all(0 < len(batch.tokens) <= batch_size for batch in batches)
    assert all(batch.documents is None for batch in batches), "each row is one document, no mask is needed"


def test_documents_without_a_token_give_nothing(tmp_path: Path) -> None:
    assert batches_over(shards_of([[], []], tmp_path / "empty"), 4, 2, 2) == []
    assert batches_over(shards_of([], tmp_path / "none"), 4, 2, 2) == []


def test_an_overlap_of_a_whole_window_is_our_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        batches_over(shards_of([[1]], tmp_path), 4, 2, 4)
