"""Cards by name and number."""

from __future__ import annotations

import pytest

from hornbook.base.errors import ConfigError
from hornbook.plan.cards import CARDS, find_cards


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("H100", "H100", 1),
        ("h100x8", "H100", 8),
        ("8xH100", "H100", 8),
        ("MI300X", "MI300X", 1),
        ("mi300xx2", "MI300X", 2),
    ],
)
def test_a_card_is_found(text: str, name: str, count: int) -> None:
    cards = find_cards(text)
    assert (cards.card.name, cards.count) == (name, count)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_card_is_found_by_its_name(card: object) -> None:
    assert find_cards(f"{card.name}x3").card is card  # type: ignore[attr-defined]


def test_an_unknown_card_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="there is no card 'H1000' in the table; did you mean 'H100'"):
        find_cards("H1000")
    with pytest.raises(ConfigError, match="'H100x0' asks for 0 cards; give a number from 1 to 100,000"):
        find_cards("H100x0")
