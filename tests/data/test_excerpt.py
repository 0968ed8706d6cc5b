"""An excerpt: documents at equal distances, the longest cut, no more tokens than were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.shard_folders import ByteTokenizer
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.excerpt import FEWEST, excerpt
from hornbook.data.shards import TokenShards, write_shards


def shards_of(folder: Path, texts: list[str]) -> TokenShards:
    write_shards(texts, ByteTokenizer(), folder, fingerprint="bytes")
    return TokenShards(folder)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> TokenShards:
    """Forty documents of different lengths."""
    return shards_of(tmp_path_factory.mktemp("excerpt"), [f"{i}" * (1 + 7 * i % 40) for i in range(40)])


@given(most=st.integers(1, 3000))
def test_no_more_tokens_than_asked_for_from_all_over_the_text(shards: TokenShards, most: int) -> None:
    some, whole = excerpt(shards, most), [document.tolist() for document in shards.documents()]
    if some is None:
        assert len(shards) <= most
        return
    found = [document.tolist() for document in some.documents()]
    assert len(some) == sum(map(len, found)) <= most < len(shards)
    longest = max(map(len, found))
    choices = (whole[::every] for every in range(1, len(whole) + 1))
    chosen = next(c for c in choices if [document[:longest] for document in c] == found)
    assert most < 2 * FEWEST or len(found) > FEWEST / 2
    # Nothing is cut for less than need be.
    assert found == chosen or sum(len(document[: longest + 1]) for document in chosen) > most


@pytest.mark.parametrize("length", [300, 9000])
def test_one_long_document_does_not_stand_for_all(length: int, tmp_path: Path) -> None:
    """The others are there as a whole; it has what they leave."""
    some = excerpt(shards_of(tmp_path, ["a" * length, *("bcd" * 3 for _ in range(20))]), 240)
    assert some is not None
    found = [document.tolist() for document in some.documents()]
    assert found == [[256, *b"a" * 39], *[[256, *b"bcdbcdbcd"]] * 20]


def test_it_is_read_as_a_text_is(tmp_path: Path) -> None:
    some = excerpt(shards_of(tmp_path, ["ab", "cde", "fg", "hij"] * 4), 24)
    assert some is not None
    assert some.read(0, len(some)).tolist() == [256, *b"ab", 256, *b"fg"] * 4
    assert some.document_numbers(1, 5).tolist() == [0, 0, 1, 1]
    assert some.document_numbers(0, 6).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.concatenate(list(some.documents())).tolist() == some.read(0, len(some)).tolist()
