"""Random streams: the same for ever, apart from each other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.randomness import stream, stream_seed


def test_the_seed_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"7/data/3").digest()
    assert stream_seed(7, "data", 3) == int.from_bytes(digest[:8], "little") // 2


def test_the_values_never_change() -> None:
    """Frozen: a change of these would change every model anybody has trained with a seed."""
    assert stream_seed(0, "init") == 3330654677893223573
    assert stream(0, "data", 1).integers(0, 1000, 4).tolist() == [621, 181, 213, 750]


@given(st.integers(), st.text().filter(lambda text: "/" not in text), st.lists(st.integers(), max_size=3))
def test_a_seed_has_63_bits_and_repeats(seed: int, purpose: str, indices: list[int]) -> None:
    value = stream_seed(seed, purpose, *indices)
    assert 0 <= value < 2**63
    assert value == stream_seed(seed, purpose, *indices)


def test_streams_differ_by_seed_purpose_and_index() -> None:
    keys = [
        (0, "data"),
        (1, "data"),
        (0, "init"),
        (0, "data", 0),
        (0, "data", 1),
        (0, "data", 0, 1),
        (0, "data", 11),
    ]
    draws = {tuple(stream(*key).integers(0, 2**63, 4)) for key in keys}
    assert len(draws) == len(keys)


def test_a_purpose_cannot_pass_for_another_with_an_index() -> None:
    with pytest.raises(AssertionError, match="give the numbers as indices"):
        stream_seed(0, "data/1")


def test_drawing_from_one_stream_leaves_another_alone() -> None:
    expected = stream(5, "data").random(3).tolist()
    one, other = stream(5, "data"), stream(5, "sampling")
    other.random(1000)
    assert one.random(3).tolist() == expected
