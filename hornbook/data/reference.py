"""The loader to read: the textbook's sliding window over a list of token ids.

A language model learns from pairs of equal length, the second shifted by one: at every place the question
is "what comes next?". The tests prove that the fast loader serves exactly these pairs, shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence


def windows(tokens: Sequence[int], seq_len: int, stride: int) -> list[tuple[list[int], list[int]]]:
    """Cut (input, target) pairs from a token stream.

    `windows([1, 2, 3, 4, 5, 6], seq_len=2, stride=2)` gives `([1, 2], [2, 3])` and `([3, 4], [4, 5])`.
    """
    pairs = []
    for start in range(0, len(tokens) - seq_len, stride):
        inputs = list(tokens[start : start + seq_len])
        targets = list(tokens[start + 1 : start + seq_len + 1])
        pairs.append((inputs, targets))
    return pairs


def document_numbers(tokens: Sequence[int], end_of_text: int) -> list[int]:
    """Number the documents of a stream: each begins with the end-of-text token."""
    numbers, current = [], -1
    for token in tokens:
        current += token == end_of_text
        numbers.append(current)
    return numbers


def may_see(documents: Sequence[int], query: int, key: int) -> bool:
    """Whether position `query` may look at position `key`: not ahead, and in the same document."""
    return key <= query and documents[query] == documents[key]
