"""Where each token stands in the text: byte lengths turned into spans of characters."""

from __future__ import annotations

from collections.abc import Sequence


def offsets(tokens: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the span of characters of each token in the text that all of them together spell."""
    raise NotImplementedError
