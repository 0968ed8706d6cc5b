"""Rows of a token stream, and the batches that an objective makes of them.

A loader reads `Rows`: pieces of the stream, one token longer than a sequence. A `Collate` makes a `Batch` of
them: what goes into the model, and what is to be predicted. `next_tokens` is the one of language models;
others (masked tokens, spans, orders) draw from a random generator, which the loader hands over, another one
for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -100
"""The target that counts for nothing, as torch's cross_entropy has it."""
PADDING = -1
"""The number of the document that fills up a row which has no more text."""


@dataclass(frozen=True)
class Rows:
    """Pieces of a token stream side by side, each of one token more than a sequence has."""

    tokens: NDArray[np.int64]
    """Token ids [batch, seq + 1]."""
    documents: NDArray[np.int64] | None = None
    """Number of the document of each token [batch, seq + 1], PADDING where there is none; None: all one."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The documents' numbers, also where all are one."""
        return np.zeros_like(self.tokens) if self.documents is None else self.documents

    def part(self, rows: slice) -> Rows:
        """Some of the rows."""
        return Rows(self.tokens[rows], None if self.documents is None else self.documents[rows])


@dataclass(frozen=True)
class Batch:
    """Sequences for one forward pass, and what is to be predicted of them; what is None, nobody asks for."""

    tokens: Int[Tensor, "batch seq"]
    """Token ids."""
    targets: Int[Tensor, "batch asked"]
    """The ids to be predicted; IGNORED where nothing is."""
    documents: Int[Tensor, "batch seq"] | None = None
    """Number of the document each token belongs to, PADDING where there is none; None: all one."""
    places: Int[Tensor, "batch asked"] | None = None
    """Where in its row each target is asked for; None: one at every place."""
    order: Int[Tensor, "batch seq"] | None = None
    """Place of each token in an order of its text, as `Mask.order` has it; None: they have none."""
    segments: Int[Tensor, "batch seq"] | None = None
    """Of which text of a pair each token is; None: there are no pairs."""
    labels: Int[Tensor, " batch"] | None = None
    """The class of each row; None: rows have none."""
    label_weights: Float[Tensor, " batch"] | None = None
    """How many predicted tokens each class counts as much as; None: rows have no class."""
    source: Int[Tensor, "batch source"] | None = None
    """What an encoder reads before `tokens` are written; None: there is none."""
    source_documents: Int[Tensor, "batch source"] | None = None
    """The documents of the source, by the numbers of `documents`."""
    part: int = 0
    """Which objective of a mixture asks."""
    others: Batch | None = None
    """More rows of the same step: those that other objectives of a mixture ask about, or another batch."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device; nobody waits for the copy of a batch that is pinned."""
        return self.changed(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pinned(self) -> Batch:
        """The same batch in memory that a CUDA GPU reads by itself."""
        return self.changed(Tensor.pin_memory)

    def beside(self, other: Batch) -> Batch:
        """This batch and another one, for one step."""
        return replace(self, others=other if self.others is None else self.others.beside(other))

    def split(self, size: int) -> Iterator[Batch]:
        """Cut the batch into micro-batches of at most `size` sequences, each of one objective."""
        alone = replace(self, others=None)
        for start in range(0, len(self.tokens), size):
            rows = slice(start, start + size)
            yield alone.changed(lambda tensor, rows=rows: tensor[rows])  # type: ignore[misc]
        if self.others is not None:
            yield from self.others.split(size)

    def changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with each tensor changed."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                found[field.name] = change(value)
            elif isinstance(value, Batch):
                found[field.name] = value.changed(change)
        return replace(self, **found)

    def tensors(self) -> list[Tensor]:
        """All that the batch holds."""
        found: list[Tensor] = []
        self.changed(lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
        return found

    @property
    def n_tokens(self) -> int:
        """How many tokens the model goes through, what fills up not counted."""
        source = 0 if self.source is None else _count(self.source, self.source_documents)
        others = 0 if self.others is None else self.others.n_tokens
        return _count(self.tokens, self.documents) + source + others


Collate = Callable[[Rows, np.random.Generator], Batch]
"""What makes a batch of rows."""


def next_tokens(rows: Rows, generator: np.random.Generator) -> Batch:
    """A batch in which each target is the token that follows; nothing is drawn.

    The first token of a document is a target too, of the end of the one before: so a model learns where
    documents end. What fills rows up is no target, and nothing is asked of it.
    """
    tokens, targets = torch.from_numpy(rows.tokens[:, :-1]), torch.from_numpy(rows.tokens[:, 1:])
    if rows.documents is None:
        return Batch(tokens, targets)
    fills_up = torch.from_numpy(rows.documents == PADDING)
    targets = targets.masked_fill(fills_up[:, 1:] | fills_up[:, :-1], IGNORED)
    return Batch(tokens, targets, numbered(rows))


def numbered(rows: Rows) -> Int[Tensor, "batch seq"] | None:
    """The documents of all tokens but the last; None where every row is of one."""
    if rows.documents is None:
        return None
    own = rows.documents[:, :-1]
    return None if bool((own == own[:, :1]).all()) else torch.from_numpy(own)


def _count(tokens: Tensor, documents: Tensor | None) -> int:
    """How many tokens are of a document."""
    return tokens.numel() if documents is None else int((documents != PADDING).sum())
