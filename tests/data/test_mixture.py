"""Mixtures: exact shares at every moment, each source in epochs of its own, and what is refused."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from data.shard_folders import counted, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.config import override, parse
from hornbook.base.errors import ConfigError, TextError
from hornbook.data import reference
from hornbook.data.config import TEN_THOUSAND, DataConfig, rounded, ten_thousandths
from hornbook.data.mixture import Mixture, turns
from hornbook.data.shards import TokenShards
from hornbook.data.sources import make_loader, make_source


def config(**fields: object) -> DataConfig:
    return parse(DataConfig, {"seq_len": 4, "batch_size": 5} | fields)


def texts(folder: Path, *lengths: int) -> dict[str, TokenShards]:
    """Sources `a`, `b` and so on, of one document each."""
    return {
        name: shards_of(counted(length), folder / name)
        for name, length in zip("abcdef", lengths, strict=False)
    }


@settings(max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=7))
def test_turns_are_those_of_the_reference_and_always_within_one_of_their_share(parts: list[int]) -> None:
    shares = [Fraction(part, sum(parts)) for part in parts]
    found = turns(parts).tolist()
    assert found == reference.turns(shares, sum(parts))
    counts: Counter[int] = Counter()
    for n, source in enumerate(found, 1):
        counts[source] += 1
        assert all(abs(counts[i] - share * n) < 1 for i, share in enumerate(shares))
    assert [counts[i] for i in range(len(parts))] == parts, "a round does not end where the next begins"


def test_any_row_is_found_by_its_number(tmp_path: Path) -> None:
    """Each source gives its rows 0, 1, 2 and so on, through all rounds and epochs."""
    mixture = make_source(config(mixture={"a": 0.7, "b": 0.2, "c": 0.1}), texts(tmp_path, 99, 40, 40), 0)
    assert isinstance(mixture, Mixture)
    places = [mixture.place(number) for number in range(1000)]
    for source, share in enumerate((700, 200, 100)):
        assert [row for index, row in places if index == source] == list(range(share))


def test_each_source_goes_through_its_own_epochs(tmp_path: Path) -> None:
    """A small source comes again and again, in a new order each time; all its windows in each epoch."""
    sources = texts(tmp_path, 400, 30)
    loader = make_loader(config(mixture={"a": 0.5, "b": 0.5}), sources, seed=0)
    mixture = loader.source
    assert isinstance(mixture, Mixture)
    n = mixture.sources["b"].n_rows
    rows = [row for step in range(10) for row in loader.batch(step).tokens.tolist()]
    alone = mixture.sources["b"].rows(range(3 * n)).tokens[:, :-1].tolist()
    from_b = [row for number, row in enumerate(rows) if mixture.place(number)[0] == 1]
    assert from_b[: 3 * n] == alone[: len(from_b)]
    assert len(from_b) == 25
    assert loader.steps_per_epoch == (mixture.sources["a"].n_rows + n) / 5


def test_equal_texts_are_not_served_in_equal_order(tmp_path: Path) -> None:
    sources = texts(tmp_path, 200, 200)
    mixture = make_source(config(mixture={"a": 0.5, "b": 0.5}), sources, 0)
    assert isinstance(mixture, Mixture)
    one, other = (source.rows(range(20)).tokens.tolist() for source in mixture.sources.values())
    assert one != other


def test_a_batch_follows_from_its_step_alone(tmp_path: Path) -> None:
    given_config = config(mixture={"a": 0.3, "b": 0.7}, sequences={"kind": "packing"})
    sources = texts(tmp_path, 300, 300)
    loader = make_loader(given_config, sources, seed=3)
    forward = [loader.batch(step) for step in range(30)]
    other = make_loader(given_config, sources, seed=3)
    for step in (29, 0, 11):
        assert torch.equal(other.batch(step).tokens, forward[step].tokens)
        assert torch.equal(other.batch(step).targets, forward[step].targets)


def test_what_is_mixed_is_said(tmp_path: Path) -> None:
    mixture = make_source(config(mixture={"a": 0.75, "b": 0.25}), texts(tmp_path, 99, 40), 0)
    assert mixture.describe() == "mixture: a 0.75, from 23 sequences; b 0.25, from 9 sequences"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (
            {"a": 0.7, "b": 0.4},
            """the shares sum to 1.1, not to 1; type data.mixture='{"a": 0.6364, "b": 0.3636}'""",
        ),
        (
            {"a": 2, "b": 1},
            """the shares sum to 3, not to 1; type data.mixture='{"a": 0.6667, "b": 0.3333}'""",
        ),
        (
            {"a": 0.33333, "b": 0.66667},
            """the shares have more than four decimals; type data.mixture='{"a": 0.3333, "b": 0.6667}'""",
        ),
        ({"a": 1.5, "b": -0.5}, "each share is above 0, and b has -0.5; leave out what is not wanted"),
        ({"a": 1.0, "b": 0}, "each share is above 0, and b has 0; leave out what is not wanted"),
        ({}, "a mixture names at least one source; give null for none"),
    ],
)
def test_shares_that_are_none_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(mixture=shares)
    assert message in str(caught.value)


@settings(max_examples=60)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_the_shares_to_type_instead_are_taken(numbers: list[float]) -> None:
    parts = rounded({str(i): number for i, number in enumerate(numbers)})
    typed = {name: float(f"{part / TEN_THOUSAND:g}") for name, part in parts.items()}
    assert ten_thousandths(typed) == parts
    assert sum(parts.values()) == TEN_THOUSAND and min(parts.values()) >= 1


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    sources = texts(tmp_path, 99, 40)
    with pytest.raises(ConfigError, match=r"data.mixture names 'aa', which is no source; did you mean 'a'\?"):
        make_source(config(mixture={"aa": 0.5, "b": 0.5}), sources, 0)
    with pytest.raises(ConfigError, match=r"gives no share to b; give one, or leave it out of data.path"):
        make_source(config(mixture={"a": 1}), sources, 0)


def test_a_source_smaller_than_its_part_of_a_batch_is_refused(tmp_path: Path) -> None:
    """5 rows in a batch, 3 of them of a source that has two windows of 4."""
    with pytest.raises(
        TextError, match="the text has 14 training tokens, but one batch of 3 sequences of 4 needs 17"
    ):
        make_loader(config(mixture={"a": 0.5, "b": 0.5}), texts(tmp_path, 99, 13), seed=0)


def test_a_mixture_can_be_typed() -> None:
    found = override(DataConfig(), ['mixture={"web": 0.9, "books": 0.1}'])
    assert found.mixture == {"web": 0.9, "books": 0.1}
