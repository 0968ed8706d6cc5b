"""Texts that are hard to split, for the tests of this folder; import it as `from tokenizer import texts`."""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path

from hypothesis import strategies as st

PIECES = [
    " ", "  ", "\n", "\r\n", "\t", "'s", "'S", "'ll", "'\u017f", "'", "a", "B", "the", " the", "é", "e\u0301",
    "ǅ", "ʰ", "中文", "ไทย", "1", "²", "٣", "١٢٣٤", "!", "...", "/", "\u00a0", "\u2028", "\x1c", "\x85",
    "\x00", "😀", "👩\u200d💻", "<|endoftext|>", "\ufffd", "\ud83d", "\udc4d",
]  # fmt: skip
hard = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
any_text = st.text() | hard | st.text(alphabet=st.characters())
few_letters = st.text(alphabet="ab ", max_size=40)


def stable(text: str) -> bool:
    """Whether libraries that follow different versions of Unicode agree on the kinds of all characters."""
    # U+0295 is the one letter whose category changed after Unicode 14.
    return all(unicodedata.category(letter) != "Cn" and letter != "\u0295" for letter in text)


@functools.cache
def python_source() -> list[str]:
    """A few modules of the standard library."""
    library = Path(functools.__file__).parent
    names = ["argparse", "ast", "functools", "heapq", "inspect", "json/decoder", "textwrap"]
    return [(library / f"{name}.py").read_text(encoding="utf-8") for name in names]
