"""What a mask means, position by position, and that its shortcuts never contradict it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask

from hornbook.base.errors import ConfigError
from hornbook.model.flex import tiles_of
from hornbook.model.mask import Mask
from hornbook.model.part_config import BlockLocalConfig, FixedConfig, SparseConfig, StridedConfig

CPU = torch.device("cpu")


@st.composite
def patterns(draw: st.DrawFn) -> SparseConfig:
    """A sparse pattern small enough to show within a few positions."""
    size = draw(st.integers(1, 4))
    return draw(
        st.sampled_from(
            [
                StridedConfig(stride=size),
                FixedConfig(block=size, n_summary=draw(st.integers(1, size))),
                BlockLocalConfig(block=size, n_global=draw(st.integers(0, 3))),
            ]
        )
    )


@st.composite
def masks(draw: st.DrawFn) -> tuple[Mask, int, int]:
    """A mask for a batch of two, with a number of queries and keys."""
    n_key = draw(st.integers(1, 7))
    rows = st.lists(st.integers(0, 2), min_size=n_key, max_size=n_key)
    documents = draw(st.none() | st.tuples(rows, rows))
    padding = draw(st.none() | st.tuples(rows, rows))
    order = draw(st.none() | st.tuples(rows, rows))
    mask = Mask(
        causal=draw(st.booleans()),
        window=draw(st.none() | st.integers(1, 8)),
        sparse=draw(st.none() | patterns()),
        padding=None if padding is None else torch.tensor(padding) > 0,
        documents=None if documents is None else torch.tensor(documents),
        order=None if order is None else torch.tensor(order),
        query_order=None if order is None or draw(st.booleans()) else torch.tensor(order) - 1,
    )
    return mask, draw(st.integers(1, n_key)), n_key


def may_see(mask: Mask, row: int, query: int, key: int) -> bool:
    """The definition in words: all conditions that are given hold."""
    return (
        (not mask.causal or key <= query)
        and (mask.window is None or abs(query - key) < mask.window)
        and (mask.sparse is None or key in shown(mask.sparse, query, HORIZON))
        and (mask.padding is None or bool(mask.padding[row, key]))
        and (mask.documents is None or bool(mask.documents[row, key] == mask.documents[row, query]))
        and (mask.order is None or in_order(mask.order[row], mask.query_order, query, key))
    )


def in_order(order: torch.Tensor, query_order: torch.Tensor | None, query: int, key: int) -> bool:
    """Whether a key comes before a query; without an order of queries, or at the same place."""
    first, second = int(order[key]), int(order[query])
    return first < second or (first == second and query_order is None)


HORIZON = 12


def shown(sparse: SparseConfig, query: int, n_key: int) -> set[int]:
    """The keys that a pattern shows to a query, set by set as the papers list them, in both directions."""
    if isinstance(sparse, StridedConfig):
        local = set(range(query - sparse.stride + 1, query + sparse.stride))
        column = {query + sparse.stride * times for times in range(-n_key, n_key)}
        return local | column
    blocks = [set(range(start, start + sparse.block)) for start in range(0, n_key, sparse.block)]
    own = next(number for number, block in enumerate(blocks) if query in block)
    if isinstance(sparse, FixedConfig):
        summaries = {key for block in blocks for key in sorted(block)[-sparse.n_summary :]}
        return blocks[own] | summaries
    if query < sparse.n_global:
        return set(range(n_key))
    near = [block for number, block in enumerate(blocks) if own - 1 <= number <= own + 1]
    return set(range(sparse.n_global)).union(*near)


def picture(sparse: SparseConfig, n: int) -> list[str]:
    """A causal mask as rows of signs, one row for each query."""
    dense = Mask(sparse=sparse).dense(n, n, CPU)[0, 0]
    return ["".join("x" if seen else "." for seen in row[: i + 1]) for i, row in enumerate(dense.tolist())]


def test_the_patterns_are_those_of_the_drawings() -> None:
    """As the figures of the papers draw them, for a causal sequence of eight."""
    assert picture(StridedConfig(stride=3), 8) == [
        "x", "xx", "xxx", "xxxx", ".xxxx", "..xxxx", "x..xxxx", ".x..xxxx",
    ]  # fmt: skip
    assert picture(FixedConfig(block=3, n_summary=1), 8) == [
        "x", "xx", "xxx", "..xx", "..xxx", "..xxxx", "..x..xx", "..x..xxx",
    ]  # fmt: skip
    assert picture(BlockLocalConfig(block=2, n_global=1), 8) == [
        "x", "xx", "xxx", "xxxx", "x.xxx", "x.xxxx", "x...xxx", "x...xxxx",
    ]  # fmt: skip


def test_a_layer_keeps_a_pattern_that_is_its_own_and_refuses_another() -> None:
    own = StridedConfig(stride=3)
    assert Mask(window=2).thinned(own) == Mask(window=2, sparse=own)
    assert Mask(sparse=own).thinned(own) == Mask(sparse=own)
    with pytest.raises(ConfigError, match="the mask has a strided pattern, and this layer a fixed one"):
        Mask(sparse=own).thinned(FixedConfig(block=2, n_summary=1))


@given(masks())
def test_dense_is_the_definition(case: tuple[Mask, int, int]) -> None:
    """The queries are the last positions, as they are when decoding with a cache."""
    mask, n_query, n_key = case
    dense = mask.dense(n_query, n_key, CPU).expand(2, 1, n_query, n_key)
    queries = range(n_key - n_query, n_key)
    wanted = [[[may_see(mask, row, q, k) for k in range(n_key)] for q in queries] for row in range(2)]
    assert dense[:, 0].tolist() == wanted


@given(masks(), st.integers(0, 6), st.integers(0, 6))
def test_a_part_of_a_mask_is_cut_out_of_the_whole(case: tuple[Mask, int, int], a: int, b: int) -> None:
    mask, _, n_key = case
    first, last = sorted((a % n_key, b % n_key))
    queries, keys = range(first, last + 1), range(b % n_key, n_key)
    part = mask.between(queries, keys, CPU)
    assert torch.equal(part, mask.dense(n_key, n_key, CPU)[:, :, first : last + 1, b % n_key :])


@given(masks(), st.integers(0, 6), st.integers(0, 6))
def test_nothing_is_seen_beyond_the_reach(case: tuple[Mask, int, int], a: int, b: int) -> None:
    """And where a mask is no more than causal or a window, the reach is no longer than what is seen."""
    mask, _, n_key = case
    first, last = sorted((a % n_key, b % n_key))
    reach = mask.reach(range(first, last + 1), n_key)
    bare = Mask(causal=mask.causal, window=mask.window)
    assert keys_seen(bare, n_key, first, last) == [reach.start, reach.stop - 1]
    found = keys_seen(mask, n_key, first, last)
    assert found is None or (found[0] >= reach.start and found[1] < reach.stop)


def keys_seen(mask: Mask, n_key: int, first: int, last: int) -> list[int] | None:
    """The first and the last key that any of some queries sees."""
    seen = mask.dense(n_key, n_key, CPU)[:, 0, first : last + 1].flatten(0, 1).any(0).nonzero()
    return [int(seen[0]), int(seen[-1])] if len(seen) else None


@settings(max_examples=50)
@given(masks())
def test_tiles_hide_what_the_mask_hides(case: tuple[Mask, int, int]) -> None:
    mask, n_query, n_key = case
    tiles = tiles_of(mask, n_query, n_key, CPU)
    seen = create_mask(tiles.mask_mod, mask.n_rows, 1, n_query, n_key, CPU)
    assert torch.equal(seen, mask.dense(n_query, n_key, CPU))


def test_tiles_that_are_hidden_whole_are_left_out() -> None:
    """Of 8 by 8 tiles a causal mask shows 36, and a window that is no wider than a tile at most 15."""
    assert shown_tiles(Mask()) == 36
    assert shown_tiles(Mask(window=128)) == 15
    assert shown_tiles(Mask(window=1)) == 8
    assert shown_tiles(Mask(causal=False, window=2)) == 22
    assert shown_tiles(Mask(documents=torch.arange(1024)[None] // 256)) == 4 * 3


def shown_tiles(mask: Mask) -> int:
    return int(tiles_of(mask, 1024, 1024, CPU).to_dense().sum())


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
    assert Mask(causal=False, window=5).hides_nothing(3, 5)
    assert not Mask(causal=False, window=5).hides_nothing(7, 5)
    sparse = StridedConfig(stride=2)
    assert not Mask(sparse=sparse).is_plain(5, 5)
    assert not Mask(sparse=sparse).hides_nothing(1, 5)
