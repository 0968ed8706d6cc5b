from __future__ import annotations

import gzip
import lzma
import random

import pytest

from hornbook.base.errors import TextError
from hornbook.corpus.document import Document
from hornbook.corpus.yardstick import compress_bits_per_byte


def test_it_is_what_the_two_programs_make_of_one_file() -> None:
    draw = random.Random(0)
    documents = [Document("".join(draw.choices("abcé \n", k=3000)), str(number)) for number in range(5)]
    raw = "".join(document.text for document in documents).encode()
    bits = compress_bits_per_byte(iter(documents))
    assert bits == {
        "gzip": 8 * len(gzip.compress(raw, 9)) / len(raw),
        "xz": 8 * len(lzma.compress(raw, preset=9)) / len(raw),
    }


def test_nothing_to_compress_is_an_error() -> None:
    with pytest.raises(TextError, match="no text to compress"):
        compress_bits_per_byte([Document("", "a")])
