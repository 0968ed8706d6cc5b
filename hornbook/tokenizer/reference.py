"""Byte-pair encoding, to read: training, encoding and decoding in plain Python.

The algorithm of Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword
Units" (2016), on bytes as in GPT-2 (Radford et al., 2019). A text is cut into words by a regular
expression. A word is first a sequence of bytes, each byte a token. Training looks for the pair of
neighbouring tokens that is most frequent in the text, makes it a new token everywhere, and begins again:
`t` + `h` becomes `th`, `th` + `e` becomes `the`. Encoding replays these merges, in the order in which
they were learned, on new text.

The fast twins are `train.py` and `encode.py`; tests hold them to this file, id by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import regex

from hornbook.tokenizer.alphabet import BYTE_ORDER, spell

Pair = tuple[int, int]


def split(text: str, expression: str) -> list[bytes]:
    """Cut a text into words, as UTF-8; merges never cross from one word into the next."""
    return [match.group().encode() for match in regex.finditer(expression, text)]


def first_tokens() -> list[bytes]:
    """The 256 single bytes every vocabulary begins with; an id is a place in such a list."""
    return [bytes([byte]) for byte in BYTE_ORDER]


def to_ids(word: bytes) -> list[int]:
    """A word as the ids of its single bytes."""
    return [BYTE_ORDER.index(byte) for byte in word]


def train(
    texts: Iterable[str],
    expression: str,
    n_tokens: int,
    min_frequency: int = 2,
    special_tokens: Collection[str] = (),
) -> tuple[list[bytes], list[Pair]]:
    """Learn merges until there are `n_tokens` tokens or no pair is left; return tokens and merges.

    A pair seen less than `min_frequency` times is not merged, nor one that would spell a special token.
    """
    counts = Counter(word for text in texts for word in split(text, expression))
    words = {word: to_ids(word) for word in counts}
    tokens = first_tokens()
    merges: list[Pair] = []
    while len(tokens) < n_tokens:
        frequency = count_pairs(words, counts)
        candidates = [
            pair
            for pair, count in frequency.items()
            if count >= max(min_frequency, 1) and spell(join(tokens, pair)) not in special_tokens
        ]
        if not candidates:
            break
        # The most frequent pair; among equals the one with the smallest ids, the left id first.
        best = min(candidates, key=lambda pair: (-frequency[pair], pair))
        # Two merges can spell the same token ("ab" + "c", "a" + "bc"); it then has one id.
        token = join(tokens, best)
        if token not in tokens:
            tokens.append(token)
        merges.append(best)
        words = {word: merge(ids, best, tokens.index(token)) for word, ids in words.items()}
    return tokens, merges


def join(tokens: Sequence[bytes], pair: Pair) -> bytes:
    """The bytes two tokens make together."""
    return tokens[pair[0]] + tokens[pair[1]]


def count_pairs(words: Mapping[bytes, list[int]], counts: Mapping[bytes, int]) -> Counter[Pair]:
    """How often each pair of neighbours occurs in the text, counted over its distinct words."""
    frequency: Counter[Pair] = Counter()
    for word, ids in words.items():
        for pair in pairwise(ids):
            frequency[pair] += counts[word]
    return frequency


def merge(ids: list[int], pair: Pair, token: int) -> list[int]:
    """Replace a pair by one token wherever it occurs, from left to right."""
    merged: list[int] = []
    place = 0
    while place < len(ids):
        found = tuple(ids[place : place + 2]) == pair
        merged.append(token if found else ids[place])
        place += 2 if found else 1
    return merged


def encode(text: str, tokens: Sequence[bytes], merges: Sequence[Pair], expression: str) -> list[int]:
    """Return the ids of a text: in each word, merges are done in the order they were learned."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    id_of = {token: place for place, token in enumerate(tokens)}
    ids: list[int] = []
    for word in split(text, expression):
        parts = to_ids(word)
        while True:
            known = [(ranks[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in ranks]
            if not known:
                break
            # The merge learned first; where it occurs twice, the left one.
            _, place = min(known)
            parts[place : place + 2] = [id_of[join(tokens, (parts[place], parts[place + 1]))]]
        ids += parts
    return ids


def decode(ids: Iterable[int], tokens: Sequence[bytes]) -> str:
    """Return the text of some ids; bytes that are not UTF-8 become U+FFFD."""
    return b"".join(tokens[token] for token in ids).decode("utf-8", errors="replace")
