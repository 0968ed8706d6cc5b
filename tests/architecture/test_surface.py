"""The frozen surface: what users and their scripts call, compared with the list in surface.txt."""

from __future__ import annotations

import pytest
from architecture import surface

import hornbook


def test_the_surface_is_as_frozen() -> None:
    """A failure shows what was added (+) and removed (-); where that is meant, write the list anew."""
    changes = surface.changes(surface.FROZEN.read_text("utf-8"), surface.written())
    assert changes == [], "the public surface changed; where it is meant, type: make surface"


@pytest.mark.parametrize("name", hornbook.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(hornbook, name) is not None
    assert name in dir(hornbook)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Tokeniser'"):
        _ = hornbook.Tokeniser


def test_a_change_is_shown_line_by_line() -> None:
    assert surface.changes("a\nb\n", "a\nc\n") == ["-b", "+c"]
    assert surface.changes("a\n", "a\n") == []
