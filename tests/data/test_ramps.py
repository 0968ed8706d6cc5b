"""Ramps: sizes that double, rows that follow one another without a gap, and pieces that hold every token."""

from __future__ import annotations

from pathlib import Path

import pytest
from data.shard_folders import counted, shards_of
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.config import parse
from hornbook.base.errors import ConfigError
from hornbook.data.config import DataConfig
from hornbook.data.ramps import Stages
from hornbook.data.sources import make_loader

LENGTHS = (30, 25, 40, 7, 33)


def config(**fields: object) -> DataConfig:
    return parse(DataConfig, {"seq_len": 8, "batch_size": 8, **fields})


@st.composite
def stages(draw: st.DrawFn) -> Stages:
    first = draw(st.integers(1, 5))
    return Stages(first, first << draw(st.integers(0, 5)), draw(st.integers(1, 40)))


@given(ramp=stages())
def test_sizes_double_and_are_counted_without_counting_up(ramp: Stages) -> None:
    sizes = [ramp.size(step) for step in range(60)]
    assert sizes[0] == ramp.first or ramp.steps < ramp.n_doublings
    assert sizes == sorted(sizes)
    assert all(size % ramp.first == 0 and (size // ramp.first).bit_count() == 1 for size in sizes)
    assert set(sizes[ramp.steps :]) == {ramp.whole}
    assert [ramp.before(step) for step in range(61)] == [sum(sizes[:step]) for step in range(61)]


def test_stages_are_equally_long() -> None:
    ramp = Stages(4, 32, 30)
    assert [ramp.size(step) for step in (0, 9, 10, 19, 20, 29, 30, 99)] == [4, 4, 8, 8, 16, 16, 32, 32]


def test_batches_grow_over_the_same_rows(tmp_path: Path) -> None:
    """One after the other, ramped or not: no row is left out or served twice."""
    shards = shards_of(counted(*LENGTHS), tmp_path)
    plain = make_loader(config(), shards, seed=0)
    ramped = make_loader(config(batch_ramp={"first": 2, "steps": 4}), shards, seed=0)
    wanted = [row for step in range(2) for row in plain.batch(step).tokens.tolist()]
    batches = [ramped.batch(step) for step in range(5)]
    assert [len(batch.tokens) for batch in batches] == [2, 2, 4, 4, 8]
    found = [row for batch in batches for row in batch.tokens.tolist()]
    assert found[:16] == wanted
    assert ramped.batch(3).tokens.tolist() == batches[3].tokens.tolist(), "any step's batch can be named"


@pytest.mark.parametrize("document_mask", [True, False])
def test_sequences_grow_and_every_token_is_a_target_once(tmp_path: Path, document_mask: bool) -> None:
    shards = shards_of(counted(*LENGTHS), tmp_path)
    plain = make_loader(config(document_mask=document_mask), shards, seed=0)
    ramp = {"first": 2, "steps": 2}
    ramped = make_loader(config(document_mask=document_mask, seq_len_ramp=ramp), shards, seed=0)
    for step, length in ((0, 2), (1, 4), (2, 8), (3, 8)):
        whole, pieces = plain.batch(step), ramped.batch(step)
        assert pieces.tokens.shape == (64 // length, length)
        assert pieces.tokens.flatten().tolist() == whole.tokens.flatten().tolist()
        assert pieces.targets.flatten().tolist() == whole.targets.flatten().tolist()
        if pieces.documents is not None:
            assert whole.documents is not None
            assert pieces.documents.flatten().tolist() == whole.documents.flatten().tolist()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_ramp": {"first": 3, "steps": 4}}, "batch_ramp.first 3 does not double to batch_size 8"),
        ({"batch_ramp": {"first": 8, "steps": 4}}, "give one of 4, 2, 1"),
        ({"seq_len": 7, "seq_len_ramp": {"first": 2, "steps": 4}}, "seq_len 7; 7 has no half"),
    ],
)
def test_what_does_not_double_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**fields)
    assert message in str(caught.value)
