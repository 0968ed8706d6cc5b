"""Numbers as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.amounts import parse_amount, short_amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("30M", 30_000_000),
        (" 1.5b ", 1_500_000_000),
        ("2G", 2_000_000_000),
        ("10T", 10_000_000_000_000),
        ("300k", 300_000),
        ("30_000", 30_000),
        ("1e18", 10**18),
        ("2.5e3", 2500),
        ("1e3M", 1_000_000_000),
        ("0", 0),
        (".5k", 500),
    ],
)
def test_what_is_understood(text: str, number: int) -> None:
    assert parse_amount(text) == number


@pytest.mark.parametrize(
    "text", ["", "M", "2.5", "-1", "1e-3", "30MB", "true", "[1]", "1 000", "nan", "inf", "1e999"]
)
def test_what_is_not(text: str) -> None:
    assert parse_amount(text) is None


@given(st.integers(1, 10**15))
def test_a_short_number_is_within_half_of_its_third_figure(number: int) -> None:
    back = parse_amount(short_amount(number))
    assert back is not None and abs(back - number) <= 0.005001 * number


@pytest.mark.parametrize(
    ("number", "short"), [(850, "850"), (999_960, "1M"), (30_000_000, "30M"), (1234567, "1.23M")]
)
def test_the_unit_suits(number: int, short: str) -> None:
    assert short_amount(number) == short
