"""Training: count the words of a text, then merge the most frequent pair again and again.

The text may be a stream: memory grows with the distinct words, not with the text. The rule of
`reference.py` holds, and with it that of the Hugging Face library's trainer: the pair with the largest
count is merged next, and among equals the one whose left token has the smallest id, then the one
whose right token has. Ids are those of the byte alphabet, then the merged tokens as they are learned.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

import numpy as np

from hornbook.base import errors
from hornbook.base.progress import Progress, silent
from hornbook.tokenizer import merges
from hornbook.tokenizer.alphabet import BYTE_ORDER, spell
from hornbook.tokenizer.jit import Int64s
from hornbook.tokenizer.vocabulary import Vocabulary
from hornbook.tokenizer.word_counts import count_words
from hornbook.tokenizer.words import WordTable

logger = logging.getLogger(__name__)

LARGEST = 1 << 31
"""The places of training are numbered in 32 bits."""


def train(
    texts: Iterable[str],
    expression: str,
    vocab_size: int,
    special_tokens: Collection[str],
    min_frequency: int,
    threads: int = 1,
    max_words: int | None = None,
    progress: Progress = silent,
) -> Vocabulary:
    """Learn a vocabulary of `vocab_size` tokens, special ones included; these get the last ids.

    `progress` is told each merge as it is learned. Fewer tokens are learned, with a warning in the
    log, when no pair is left that occurs `min_frequency` times.
    """
    smallest = len(BYTE_ORDER) + len(special_tokens)
    if not isinstance(vocab_size, int):
        raise errors.ConfigError(f"vocab_size={vocab_size!r} must be a whole number")
    if vocab_size < smallest:
        raise errors.ConfigError(
            f"vocab_size={vocab_size} is too small: 256 bytes and {len(special_tokens)} special tokens "
            f"are {smallest}; give at least that, 4096 for a small model"
        )
    words, counts = count_words(texts, expression, threads, max_words)
    if words.n_letters >= LARGEST:
        raise errors.TextError(
            f"the distinct words of the text have {words.n_letters} bytes, {LARGEST} or more; give max_words="
        )
    learner = _Learner(words, counts, special_tokens)
    n_tokens = vocab_size - len(special_tokens)
    while len(learner.tokens) < n_tokens:
        note = learner.step(min_frequency)
        if note is None:
            break
        progress(len(learner.tokens) - len(BYTE_ORDER), n_tokens - len(BYTE_ORDER), note)
    tokens = learner.tokens
    if len(tokens) < n_tokens:
        logger.warning(
            "the text gave %d tokens of the %d asked for: no pair is left that occurs %d times; "
            "give more text or a smaller vocab_size",
            len(tokens) + len(special_tokens), vocab_size, max(min_frequency, 1),
        )  # fmt: skip
    left, right = np.array(learner.merges, np.int32).reshape(-1, 2).T.copy()
    return Vocabulary(
        tokens=[*tokens, *(special.encode() for special in special_tokens)],
        left=left,
        right=right,
        ranks=np.arange(len(left), dtype=np.int32),
        pattern=expression,
        special_tokens={special: len(tokens) + place for place, special in enumerate(special_tokens)},
    )


class _Learner:
    """The state of training: tokens and merges so far, and the words as they stand."""

    def __init__(self, words: WordTable, counts: Int64s, special_tokens: Collection[str]) -> None:
        self.tokens = [bytes([byte]) for byte in BYTE_ORDER]
        self.merges: list[tuple[int, int]] = []
        self._ids = {token: place for place, token in enumerate(self.tokens)}
        self._special_tokens = frozenset(special_tokens)
        byte_ids = np.argsort(np.array(BYTE_ORDER)).astype(np.int32)
        self._places = merges.lay_out(words.spelled(), counts, byte_ids)
        n_byte_pairs = len(BYTE_ORDER) ** 2
        self._pairs = merges.allocate(n_byte_pairs, n_byte_pairs)
        merges.count_all(self._places, self._pairs)

    def step(self, min_frequency: int) -> str | None:
        """Do the next merge and return a note on it; None when there is no pair to merge."""
        while (pair := int(merges.pop_best(self._pairs))) >= 0:
            if self._pairs.counts[pair] < min_frequency:
                return None
            name = int(self._pairs.names[pair])
            left, right = name >> 32, name & 0xFFFFFFFF
            token = self.tokens[left] + self.tokens[right]
            # Text must never become the id of a special token, so no merge may spell one.
            if spell(token) in self._special_tokens:
                continue
            self._merge(pair, left, right, token)
            return f"{_shown(self.tokens[left])} + {_shown(self.tokens[right])} -> {_shown(token)}"
        return None

    def _merge(self, pair: int, left: int, right: int, token: bytes) -> None:
        place = self._ids.setdefault(token, len(self.tokens))
        if place == len(self.tokens):
            self.tokens.append(token)
        self.merges.append((left, right))
        n_places = int(self._pairs.n_places[pair])
        self._pairs = merges.with_room(self._pairs, 2 * n_places)
        merges.merge(self._places, self._pairs, pair, place)


def _shown(token: bytes) -> str:
    """A token for people: as a quoted text, or as bytes where it is not whole characters."""
    try:
        return repr(token.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(token)
