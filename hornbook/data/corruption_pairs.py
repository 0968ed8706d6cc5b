"""Pairs of texts: does the second follow the first, and which tokens of both are hidden?

    collate = MaskedPairs(Masked(special=special, mask=mask_id), first=cls_id, between=sep_id)
    batch = collate(rows, generator)                 # batch.labels: FOLLOWS or STRANGER, half of each

A row becomes `first A between B between`. A is the beginning of the longest document in the row, and B goes
on with it, or is how the document of another row goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.data.batch import IGNORED, PADDING, Batch, Rows
from hornbook.data.corruption import Masked
from hornbook.data.corruption_spans import pieces

Ints = NDArray[np.int64]

FOLLOWS, STRANGER = 0, 1
"""The classes of pairs, numbered as Devlin et al. 2019 do."""
N_MARKS = 3
"""How many tokens of a pair are no text."""


@dataclass(frozen=True)
class MaskedPairs:
    """BERT's two questions at once (Devlin et al. 2019, section 3.1).

    In half of the rows, rounded down and drawn anew, B is of another row, all of which are equally likely. It
    may be of the same document, and is never what follows. The class of a row counts as much as the batch has
    predicted tokens for each row: so a step learns from the mean over tokens plus the mean over rows.
    """

    masked: Masked
    """How tokens are hidden."""
    first: int
    """The id that begins a pair, whose vector is asked for the class."""
    between: int
    """The id that stands after each text of a pair."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        pairs = [self._cut(*row, generator) for row in zip(rows.tokens, rows.numbers, strict=True)]
        labels = np.full(len(pairs), FOLLOWS)
        if len(pairs) > 1:
            labels[generator.permutation(len(pairs))[: len(pairs) // 2]] = STRANGER
        others = generator.integers(1, max(2, len(pairs)), size=len(pairs))
        length = rows.tokens.shape[1] - 1
        laid = Rows(np.zeros_like(rows.tokens), np.full_like(rows.tokens, PADDING))
        segments = np.zeros_like(rows.tokens)
        assert laid.documents is not None
        for i, (beginning, rest) in enumerate(pairs):
            if labels[i] == STRANGER:
                rest = pairs[(i + others[i]) % len(pairs)][1]
            tokens, of_second = self.laid_out(beginning, rest, length)
            laid.tokens[i, : len(tokens)] = tokens
            laid.documents[i, : len(tokens)] = 0
            segments[i, of_second : len(tokens)] = 1
        batch = self.masked(laid, generator)
        each = int((batch.targets != IGNORED).sum()) / len(pairs)
        return replace(
            batch,
            segments=torch.from_numpy(segments[:, :-1]),
            labels=torch.from_numpy(labels),
            label_weights=torch.full((len(pairs),), each),
        )

    def laid_out(self, beginning: Ints, rest: Ints, length: int) -> tuple[Ints, int]:
        """Two texts as one of at most `length` tokens, the second cut short, and where that begins."""
        room = length - N_MARKS - len(beginning)
        between = [self.between]
        tokens = np.concatenate(([self.first], beginning, between, rest[:room], between))
        return tokens, len(beginning) + 2

    def _cut(self, tokens: Ints, numbers: Ints, generator: np.random.Generator) -> tuple[Ints, Ints]:
        """The longest text of a row, in two where chance will; each has a token if there are two."""
        spans = list(pieces(numbers[:-1]))
        begin, stop = max(spans, key=lambda span: span[1] - span[0]) if spans else (0, 0)
        text = tokens[begin:stop]
        text = text[~self.masked.special[text]][: len(tokens) - 1 - N_MARKS]
        cut = int(generator.integers(1, max(2, len(text))))
        return text[:cut], text[cut:]
