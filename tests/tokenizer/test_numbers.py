"""Lists that are filled by compiled code: what they hold, and that every reference is counted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.tokenizer.numbers import FEW, Numbers

SIZE = 3000
numbers = Numbers(SIZE)


@given(st.lists(st.lists(st.integers(0, SIZE - 1), max_size=2 * FEW), max_size=8))
def test_lists_hold_the_ids(lists: list[list[int]]) -> None:
    ids = np.array([each for one in lists for each in one], np.int32)
    stops = np.cumsum([len(one) for one in lists], dtype=np.int64).tolist()
    assert numbers.lists_of(ids, stops) == lists
    assert numbers.list_of(ids) == ids.tolist()


def test_references_are_counted() -> None:
    (object_,) = numbers.lists_of(np.array([SIZE - 1], np.int32), [1])[0]
    before = sys.getrefcount(object_)
    lists = numbers.lists_of(np.full(500, SIZE - 1, np.int32), [200, 500])
    assert [len(one) for one in lists] == [200, 300]
    assert lists[1][299] is object_
    assert sys.getrefcount(object_) == before + 500
    del lists
    assert sys.getrefcount(object_) == before


@pytest.mark.parametrize("wrong", [-1, SIZE])
def test_an_id_that_there_is_not_is_an_error(wrong: int) -> None:
    with pytest.raises(IndexError, match=f"0 to {SIZE - 1}"):
        numbers.lists_of(np.array([1, wrong], np.int32), [2])
