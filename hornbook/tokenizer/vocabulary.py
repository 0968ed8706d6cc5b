"""What a tokenizer is, as data: its tokens, its merges, its special tokens and its pattern.

Training and every file format produce a `Vocabulary`, the encoder and the savers consume one. Nothing
here reads files or encodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hornbook.tokenizer.jit import Int32s


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens and merges of a byte-level BPE; all 256 single bytes are among the tokens."""

    tokens: Sequence[bytes]
    """The bytes of each id; a special token's are its text in UTF-8, those of an unused id are empty."""
    left: Int32s
    """The first token of each merge."""
    right: Int32s
    """The second one."""
    ranks: Int32s
    """When each merge is done: the smallest rank first, among equals the leftmost in the word. Merges of
    equal rank make the same token.
    """
    pattern: str
    """The regular expression that cuts text into words."""
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    """The id of each special token, by its text."""
    added_tokens: Mapping[str, int] = field(default_factory=dict)
    """The id of each text that is always one token, whatever stands around it, and is not special."""
    normalizer: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = None
    """The Unicode form that text is brought to before it is split."""
    post_processor: Mapping[str, Any] | None = None
    """What a `tokenizer.json` does to the ids when special tokens are to be added, which is not done here;
    kept for the file that is written.
    """
    whole_words: bool = False
    """Whether a word that is a token is never built by merges, as tiktoken and Llama 3 have it."""

    def ordinary_ids(self) -> dict[bytes, int]:
        """The id of each token that merges can make: all but the special, the added and the unused ones."""
        apart = {*self.special_tokens.values(), *self.added_tokens.values()}
        return {token: place for place, token in enumerate(self.tokens) if token and place not in apart}

    def merged(self) -> Int32s:
        """The token each merge makes."""
        ids = self.ordinary_ids()
        pairs = zip(self.left.tolist(), self.right.tolist(), strict=True)
        made = [ids[self.tokens[left] + self.tokens[right]] for left, right in pairs]
        return np.array(made, dtype=np.int32)
