"""Which position may look at which: a structured value, never a bare tensor passed around.

A `Mask` says what is meant (causal, a window, a sparse pattern, padding, documents packed into one row);
`dense` spells it out as booleans and is the definition that every attention kernel must agree with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from hornbook.base.errors import ConfigError
from hornbook.model.part_config import FixedConfig, SparseConfig, StridedConfig


@dataclass(frozen=True, kw_only=True)
class Mask:
    """What attention may see. All given conditions must hold together."""

    causal: bool = True
    """No position sees a later one."""
    window: int | None = None
    """How many positions back a query sees, itself included."""
    sparse: SparseConfig | None = None
    """Which positions a query sees, by a fixed pattern."""
    padding: Bool[Tensor, "batch key"] | None = None
    """True where a key is a real token."""
    documents: Int[Tensor, "batch key"] | None = None
    """Number of the document each token belongs to; different documents do not see each other."""
    query_documents: Int[Tensor, "batch query"] | None = None
    """The same for the queries, where they are tokens of another row; None: keys and queries are one row."""

    def narrowed(self, window: int) -> Mask:
        """The same mask with a window, unless it has a narrower one already."""
        return replace(self, window=window if self.window is None else min(window, self.window))

    def thinned(self, sparse: SparseConfig) -> Mask:
        """The same mask with a sparse pattern; two different ones are refused."""
        if self.sparse is not None and self.sparse != sparse:
            raise ConfigError(
                f"the mask has a {self.sparse.kind} pattern, and this layer a {sparse.kind} one of its own; "
                "leave the pattern to the layers"
            )
        return replace(self, sparse=sparse)

    def of_last(self, n_key: int) -> Mask:
        """The same mask over the last keys alone, which is all that a layer with a window keeps."""
        padding, documents = (
            None if each is None else each[:, -n_key:] for each in (self.padding, self.documents)
        )
        return replace(self, padding=padding, documents=documents)

    def is_plain(self, n_query: int, n_key: int) -> bool:
        """Whether the mask is nothing but "causal" over a square, which kernels do without a tensor."""
        bare = self.window is None and self.sparse is None
        everywhere = self.padding is None and self.documents is None
        return bare and everywhere and self.causal and n_query == n_key

    def hides_nothing(self, n_query: int, n_key: int) -> bool:
        """Whether every query sees every key: one last query over a cache, or no condition at all."""
        within = self.sparse is None and (self.window is None or self.window >= n_key)
        open_ahead = not self.causal or n_query == 1
        return within and open_ahead and self.padding is None and self.documents is None

    def dense(self, n_query: int, n_key: int, device: torch.device) -> Bool[Tensor, "batch 1 query key"]:
        """Spell the mask out: True where a query may see a key; batch is 1 where rows do not differ.

        The queries are the last `n_query` of the `n_key` positions, as they are when decoding with a
        cache; where they are tokens of another row, the last of that row.
        """
        key = torch.arange(n_key, device=device)
        query = torch.arange(n_key - n_query, n_key, device=device)[:, None]
        seen = torch.ones(1, 1, n_query, n_key, dtype=torch.bool, device=device)
        if self.causal:
            seen = seen & (key <= query)
        if self.window is not None:
            seen = seen & (query - key < self.window)
        if self.sparse is not None:
            seen = seen & _pattern(self.sparse, query, key)
        if self.padding is not None:
            seen = seen & self.padding[:, None, None, :]
        if self.documents is not None:
            own = self.documents if self.query_documents is None else self.query_documents
            own = own[:, own.size(1) - n_query :]
            seen = seen & (own[:, None, :, None] == self.documents[:, None, None, :])
        return seen


def _pattern(
    sparse: SparseConfig, query: Int[Tensor, "query 1"], key: Int[Tensor, " key"]
) -> Bool[Tensor, "query key"]:
    """True where a pattern lets a query see a key, for positions in a row."""
    if isinstance(sparse, StridedConfig):
        distance = (query - key).abs()
        return (distance < sparse.stride) | (distance % sparse.stride == 0)
    apart = (query // sparse.block - key // sparse.block).abs()
    if isinstance(sparse, FixedConfig):
        return (apart == 0) | (key % sparse.block >= sparse.block - sparse.n_summary)
    return (apart <= 1) | (key < sparse.n_global) | (query < sparse.n_global)
