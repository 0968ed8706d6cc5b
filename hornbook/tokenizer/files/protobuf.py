"""A reader for protocol buffers, as far as SentencePiece's models need one.

A message is a row of fields, each with a number and a wire type: 0 is a whole number in base 128, 1 and 5 are
eight and four bytes, 2 is bytes of a given length, which may be a message again. What the numbers mean is
known to whoever asks (`sentencepiece.py`). Source: the encoding guide of Protocol Buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

FIXED = {1: 8, 5: 4}
"""The number of bytes of the wire types that have one."""


class Message:
    """The fields of a message by their numbers; of a field that is not repeated the last one counts.

    Reading raises a ValueError where the bytes are no message or a field is of another type.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def messages(self, number: int) -> list[Message]:
        """The messages of a repeated field."""
        return [Message(_as_bytes(value)) for value in self._fields.get(number, [])]

    def message(self, number: int) -> Message:
        """A message; an empty one where it is missing."""
        return Message(self.data(number))

    def data(self, number: int) -> bytes:
        """The bytes of a field; none where it is missing."""
        return _as_bytes(self._last(number, b""))

    def text(self, number: int, default: str = "") -> str:
        """The text of a field."""
        return _as_bytes(self._last(number, default.encode())).decode("utf-8")

    def integer(self, number: int, default: int = 0) -> int:
        """A whole number; a negative one is written as 64 bits."""
        value = self._last(number, default)
        if isinstance(value, bytes):
            raise ValueError(f"field {number} is not a number")
        return value - (1 << 64) if value >> 63 > 0 else value

    def single(self, number: int) -> float:
        """A floating-point number of 32 bits; 0 where it is missing."""
        value = self._last(number, bytes(4))
        if not isinstance(value, bytes) or len(value) != 4:
            raise ValueError(f"field {number} is not a floating-point number")
        return float(struct.unpack("<f", value)[0])

    def _last(self, number: int, default: int | bytes) -> int | bytes:
        return self._fields.get(number, [default])[-1]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The number and value of each field in turn."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in FIXED:
            size = FIXED[wire]
        else:
            raise ValueError(f"wire type {wire} at byte {place}")
        if place + size > len(data):
            raise ValueError(f"{size} bytes are announced at byte {place}, and {len(data) - place} are left")
        yield number, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number in base 128, its low digits first, and where it ends."""
    value = shift = 0
    while place < len(data) and shift < 70:
        digit = data[place]
        place += 1
        value |= (digit & 0x7F) << shift
        if digit < 0x80:
            return value & ((1 << 64) - 1), place
        shift += 7
    raise ValueError(f"a number does not end at byte {place}")


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where bytes should")
    return value
