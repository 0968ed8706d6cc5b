"""What a block is given beside its input."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from hornbook.model.flex import Tiles
from hornbook.model.mask import Mask
from hornbook.model.position import Turn


@dataclass(frozen=True)
class Memory:
    """What an encoder has made of a text, for a decoder to read."""

    features: Float[Tensor, "batch source d_model"]
    """A vector for each token."""
    mask: Mask
    """Which of them are real, and of which document."""


@dataclass(frozen=True, kw_only=True)
class BlockContext:
    """What attention needs to know of its surroundings.

    It is the same for all blocks of one pass but for the turn and the tiles, which a stack puts in for each.
    """

    mask: Mask
    """What may be seen."""
    query_mask: Mask | None = None
    """The same for a second stream of queries, whose vectors follow the text's own; None: there is none."""
    positions: Int[Tensor, "*batch seq"]
    """The place of each token in its text."""
    turn: Turn | None = None
    """By what the layer turns its queries and keys; None: it does not."""
    bias: Float[Tensor, "1 heads query key"] | None = None
    """What is added to the scores of layers that take a bias."""
    tokens: Int[Tensor, "batch seq"]
    """The text, which value embeddings look up."""
    embedded: Float[Tensor, "batch seq d_model"]
    """Its embeddings, which stream mixes read."""
    segments: Int[Tensor, "batch seq"] | None = None
    """The segment of each token, which attention by segment compares; None: all are of one."""
    memory: Memory | None = None
    """What blocks with cross attention read."""
    tiles: Tiles | None = None
    """The mask in tiles, as one block sees it; None: nobody has cut it."""
    memory_tiles: Tiles | None = None
    """The same of the mask of what is read."""
