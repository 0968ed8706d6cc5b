"""What an encoder is asked: tokens hidden from it, or an order of the tokens to foresee them in.

    collate = Masked(special=special, mask=mask_id)
    batch = collate(rows, generator)                  # another generator, other tokens hidden

Each is a `Collate`: a pure function of rows and a random generator. Of every row as many tokens are asked
for as its text allows by the share, no more and no fewer, and their places stand in `Batch.places`, so that
a head need not compute the others. Special tokens and what fills rows up are never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.data.batch import IGNORED, PADDING, Batch, Rows, numbered

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Masked:
    """Some tokens are hidden and asked for (Devlin et al. 2019), other ones at each step (Liu et al. 2019).

    Of those asked for, `mask_share` become the mask token and `random_share` any ordinary one; the others
    stay as they are, so that a model must have an opinion on every token that it sees.
    """

    special: Bools
    """Whether an id is no text [vocab]."""
    mask: int
    """The id that hides."""
    share: float = 0.15
    """Share of a row's tokens that is asked for."""
    mask_share: float = 0.8
    """Share of these that is hidden."""
    random_share: float = 0.1
    """Share of these that is replaced by another token, drawn evenly."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        tokens = rows.tokens[:, :-1]
        may = is_text(rows, self.special)[:, :-1]
        places, targets = asked(tokens, may, self.share, generator)
        corrupted = self.corrupted(tokens, places, targets, generator)
        return Batch(
            torch.from_numpy(corrupted),
            torch.from_numpy(targets),
            documents=numbered(rows),
            places=torch.from_numpy(places),
        )

    def corrupted(self, tokens: Ints, places: Ints, targets: Ints, generator: np.random.Generator) -> Ints:
        """The tokens as the model sees them: changed at the places that are asked for, nowhere else."""
        dice = generator.random(places.shape)
        drawn = draw_ordinary(self.special, places.shape, generator)
        hides, replaces = dice < self.mask_share, dice < self.mask_share + self.random_share
        seen = np.where(hides, self.mask, np.where(replaces, drawn, targets))
        found = tokens.copy()
        as_it_is = np.take_along_axis(tokens, places, 1)
        np.put_along_axis(found, places, np.where(targets == IGNORED, as_it_is, seen), 1)
        return found


@dataclass(frozen=True)
class Permuted:
    """The last tokens in a random order are asked for, each by those before it (Yang et al. 2019).

    All that is not asked for is known from the start: place 0. The others have the places from 1 on.
    """

    special: Bools
    """Whether an id is no text [vocab]."""
    one_in: int = 6
    """Of so many tokens one is asked for: the paper's K."""

    def __call__(self, rows: Rows, generator: np.random.Generator) -> Batch:
        tokens = rows.tokens[:, :-1]
        may = is_text(rows, self.special)[:, :-1]
        places, targets = asked(tokens, may, 1 / self.one_in, generator)
        order = np.zeros_like(tokens)
        later = np.where(targets == IGNORED, 0, np.arange(1, places.shape[1] + 1))
        np.put_along_axis(order, places, later, 1)
        return Batch(
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            documents=numbered(rows),
            places=torch.from_numpy(places),
            order=torch.from_numpy(order),
        )


def asked(tokens: Ints, may: Bools, share: float, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw the places of each row that are asked for, in a random order, and what stands there.

    As many as `n_asked` says for those that `may` be asked for. Rows with fewer than the row that has most
    are filled up with places that are not asked for: their target is IGNORED.
    """
    counts = n_asked(may.sum(1), share)
    width = int(n_asked(np.array([tokens.shape[1]]), share)[0])
    keys = np.where(may, generator.random(tokens.shape), 2.0)  # Drawn last: what may not be asked for.
    places = np.argsort(keys, axis=1, kind="stable")[:, :width]
    targets = np.take_along_axis(tokens, places, 1)
    return places, np.where(np.arange(width) < counts[:, None], targets, IGNORED)


def n_asked(n_tokens: Ints, share: float) -> Ints:
    """How many of some tokens are asked for: the share, rounded, and at least one where there is one."""
    wanted: Ints = np.maximum(1, np.rint(share * n_tokens).astype(np.int64))
    return np.minimum(n_tokens, wanted)


def is_text(rows: Rows, special: Bools) -> Bools:
    """Which tokens are text: not special, and not there to fill up."""
    text: Bools = ~special[rows.tokens] & (rows.numbers != PADDING)
    return text


def draw_ordinary(special: Bools, shape: tuple[int, ...], generator: np.random.Generator) -> Ints:
    """Draw ids of text, all equally often."""
    ordinary = np.flatnonzero(~special)
    return ordinary[generator.integers(len(ordinary), size=shape)]
