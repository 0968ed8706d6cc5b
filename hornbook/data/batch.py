"""Rows of a token stream, and the batches that an objective makes of them.

A loader reads `Rows`: pieces of the stream, one token longer than a sequence. A `Collate` makes a `Batch` of
them: what goes into the model, and what is to be predicted. `next_tokens` is the one of language models;
others (masked tokens, spans, orders) draw from a random generator, which the loader hands over, another one
for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Int
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


@dataclass(frozen=True)
class Batch:
    """Sequences for one forward pass, and what is to be predicted at each place."""

    tokens: Int[Tensor, "batch seq"]
    """Token ids."""
    targets: Int[Tensor, "batch seq"]
    """The ids to be predicted; IGNORED where nothing is."""
    documents: Int[Tensor, "batch seq"] | None = None
    """Number of the document each token belongs to, PADDING where there is none; None: all one."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return self._with(lambda tensor: tensor.to(device))

    def split(self, size: int) -> Iterator[Batch]:
        """Cut the batch into micro-batches of at most `size` sequences."""
        for start in range(0, len(self.tokens), size):
            rows = slice(start, start + size)
            yield self._with(lambda tensor, rows=rows: tensor[rows])  # type: ignore[misc]

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with each tensor changed."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = {name: change(tensor) for name, tensor in given.items() if tensor is not None}
        return replace(self, **changed)


Collate = Callable[[Rows, np.random.Generator], Batch]
"""What makes a batch of rows."""


def next_tokens(rows: Rows, generator: np.random.Generator) -> Batch:
    """A batch in which each target is the token that follows; nothing is drawn.

    The first token of a document is a target too, of the end of the one before: so a model learns where
    documents end. What fills rows up is no target.
    """
    tokens, targets = torch.from_numpy(rows.tokens[:, :-1]), torch.from_numpy(rows.tokens[:, 1:])
    if rows.documents is None:
        return Batch(tokens, targets)
    documents = torch.from_numpy(rows.documents)
    targets = targets.masked_fill(documents[:, 1:] == PADDING, IGNORED)
    own = documents[:, :-1]
    return Batch(tokens, targets, None if bool((own == own[:, :1]).all()) else own)
