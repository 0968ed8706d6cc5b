"""What a mask means, position by position, and that its shortcuts never contradict it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.model.mask import Mask

CPU = torch.device("cpu")


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, int, int]:
    """A mask for a batch of two, with a number of queries and keys."""
    n_key = draw(st.integers(1, 7))
    rows = st.lists(st.integers(0, 2), min_size=n_key, max_size=n_key)
    documents = draw(st.none() | st.tuples(rows, rows))
    padding = draw(st.none() | st.tuples(rows, rows))
    mask = Mask(
        causal=draw(st.booleans()),
        window=draw(st.none() | st.integers(1, 8)),
        padding=None if padding is None else torch.tensor(padding) > 0,
        documents=None if documents is None else torch.tensor(documents),
    )
    return mask, draw(st.integers(1, n_key)), n_key


def may_see(mask: Mask, row: int, query: int, key: int) -> bool:
    """The definition in words: all conditions that are given hold."""
    return (
        (not mask.causal or key <= query)
        and (mask.window is None or query - key < mask.window)
        and (mask.padding is None or bool(mask.padding[row, key]))
        and (mask.documents is None or bool(mask.documents[row, key] == mask.documents[row, query]))
    )


@given(masks())
def test_dense_is_the_definition(case: tuple[Mask, int, int]) -> None:
    """The queries are the last positions, as they are when decoding with a cache."""
    mask, n_query, n_key = case
    dense = mask.dense(n_query, n_key, CPU).expand(2, 1, n_query, n_key)
    queries = range(n_key - n_query, n_key)
    wanted = [[[may_see(mask, row, q, k) for k in range(n_key)] for q in queries] for row in range(2)]
    assert dense[:, 0].tolist() == wanted


@given(masks())
def test_shortcuts_agree_with_dense(case: tuple[Mask, int, int]) -> None:
    mask, n_query, n_key = case
    dense = mask.dense(n_query, n_key, CPU)
    if mask.is_plain(n_query, n_key):
        assert torch.equal(dense[0, 0], torch.ones(n_key, n_key, dtype=torch.bool).tril())
    if mask.hides_nothing(n_query, n_key):
        assert dense.all()


def test_the_shortcuts_are_taken_where_they_save_work() -> None:
    assert Mask().is_plain(5, 5)
    assert not Mask().is_plain(2, 5)
    assert Mask().hides_nothing(1, 5)
    assert not Mask().hides_nothing(2, 5)
    assert Mask(window=5).hides_nothing(1, 5)
    assert not Mask(window=4).hides_nothing(1, 5)
