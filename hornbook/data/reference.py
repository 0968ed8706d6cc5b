"""The loader to read: the textbook's sliding window over a list of token ids.

A language model learns from pairs of equal length, the second shifted by one: at every place the question
is "what comes next?". The tests prove that the fast loader serves exactly these pairs, shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


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


def pack(lengths: Sequence[int], room: int) -> list[list[tuple[int, int, int]]]:
    """Rows of (document, start, stop): documents placed whole, the longest first, each where it fits best.

    A document longer than a row fills rows with pieces of itself, and its rest is placed like a short
    document; it takes two places more, since nothing announces it. `pack([5, 3, 9], room=8)` gives
    `[[(2, 0, 8)], [(0, 0, 5), (1, 0, 3)], [(2, 8, 9)]]`.
    """
    pieces = [(d, start, min(n, start + room)) for d, n in enumerate(lengths) for start in range(0, n, room)]

    def size(piece: tuple[int, int, int]) -> int:
        _, start, stop = piece
        return min(room, stop - start + (2 if start else 0))

    rows: list[list[tuple[int, int, int]]] = []
    for piece in sorted(pieces, key=size, reverse=True):
        with_room = [row for row in rows if sum(map(size, row)) + size(piece) <= room]
        if with_room:
            max(with_room, key=lambda row: sum(map(size, row))).append(piece)
        else:
            rows.append([piece])
    return rows


def packed_row(
    documents: Sequence[Sequence[int]], row: Sequence[tuple[int, int, int]], room: int, end_of_text: int
) -> list[tuple[int, int]]:
    """The (token, document) pairs of a packed row, one more than it has room for; -1 is no document.

    Behind each piece stands the token that follows it: the next of a document that was cut, else the
    end of text. A document that comes next begins with that token itself.
    """
    pairs: list[tuple[int, int]] = []
    for document, start, stop in row:
        text = [*documents[document], end_of_text][start : stop + 1]
        if start and pairs:
            pairs.append((end_of_text, -1))
        elif pairs:
            pairs.pop()
        pairs += [(token, document) for token in text]
    return pairs + [(end_of_text, -1)] * (room + 1 - len(pairs))


def turns(shares: Sequence[Fraction], count: int) -> list[int]:
    """Whose turn it is, `count` times: each source always within one turn of its share (Tijdeman 1980).

    A source may have the turn when it is behind its share by 1 / (2k - 2), of k sources. Of these it goes to
    the one that would be the first to fall behind by more than 1 - 1 / (2k - 2).
    """
    slack = Fraction(1, max(1, 2 * len(shares) - 2))
    given, found = [0] * len(shares), []
    for turn in range(1, count + 1):
        behind = [i for i, share in enumerate(shares) if share * turn - given[i] >= slack]
        chosen = min(behind, key=lambda i: (given[i] + 1 - slack) / shares[i])
        given[chosen] += 1
        found.append(chosen)
    return found
