"""GPT-2's byte alphabet: one printable character for each of the 256 bytes.

Vocabulary files are text, and most bytes are not. GPT-2 therefore writes the 188 printable bytes of
Latin-1 as themselves and the other 68 (controls, the space, ...) as the characters from U+0100 on, so
that the space is `Ġ` and the line feed is `Ċ`. The order of these characters is also the order of the
first 256 ids. This module knows nothing of merges or files.
"""

from __future__ import annotations


def _printable() -> list[int]:
    """The bytes that Latin-1 shows as a visible character, in ascending order."""
    return [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]


BYTE_ORDER: tuple[int, ...] = (*_printable(), *sorted(set(range(256)) - set(_printable())))
"""The byte that each of the ids 0 to 255 stands for."""

LETTERS: dict[int, str] = {
    byte: chr(byte) if place < len(_printable()) else chr(256 + place - len(_printable()))
    for place, byte in enumerate(BYTE_ORDER)
}
"""The character that stands for each byte."""

BYTES: dict[str, int] = {letter: byte for byte, letter in LETTERS.items()}
"""The byte that each character of the alphabet stands for."""


def spell(token: bytes) -> str:
    """Write bytes in the alphabet: `b" the"` becomes `Ġthe`."""
    return "".join([LETTERS[byte] for byte in token])


def unspell(text: str) -> bytes | None:
    """Read bytes back from the alphabet; None where a character is not of it."""
    try:
        return bytes([BYTES[letter] for letter in text])
    except KeyError:
        return None
