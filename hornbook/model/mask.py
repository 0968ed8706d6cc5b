"""Which position may look at which: a structured value, never a bare tensor passed around.

A `Mask` says what is meant (causal, a window, a sparse pattern, padding, documents packed into one row, an
order of the tokens). `sees` is the definition, for one query and key or for many; `dense` spells it out as
booleans, and every attention kernel must agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import and_

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
    """How many positions back a query sees, itself included, and as many ahead where it may look there."""
    sparse: SparseConfig | None = None
    """Which positions a query sees, by a fixed pattern."""
    padding: Bool[Tensor, "batch key"] | None = None
    """True where a key is a real token."""
    documents: Int[Tensor, "batch key"] | None = None
    """Number of the document each token belongs to; different documents do not see each other."""
    query_documents: Int[Tensor, "batch query"] | None = None
    """The same for the queries, where they are tokens of another row; None: keys and queries are one row."""
    order: Int[Tensor, "batch key"] | None = None
    """Place of each token in an order of its text; a query sees the places up to its own."""
    query_order: Int[Tensor, "batch key"] | None = None
    """Up to which place each token sees as a query, where that is not its own; None: it is."""

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

    def read_by(self, documents: Int[Tensor, "batch query"] | None) -> Mask:
        """The same mask for queries of another row, whose documents have the same numbers."""
        return replace(self, causal=False, query_documents=documents)

    def of_last(self, n_key: int) -> Mask:
        """The same mask over the last keys alone, which is all that a layer with a window keeps."""
        padding, documents, order, query_order = (
            None if each is None else each[:, -n_key:]
            for each in (self.padding, self.documents, self.order, self.query_order)
        )
        return replace(self, padding=padding, documents=documents, order=order, query_order=query_order)

    def is_plain(self, n_query: int, n_key: int) -> bool:
        """Whether the mask is nothing but "causal" over a square, which kernels do without a tensor."""
        bare = self.window is None and self.sparse is None
        everywhere = self.padding is None and self.documents is None and self.order is None
        return bare and everywhere and self.causal and n_query == n_key

    def hides_nothing(self, n_query: int, n_key: int) -> bool:
        """Whether every query sees every key: one last query over a cache, or no condition at all."""
        within = self.sparse is None and (self.window is None or self.window >= max(n_query, n_key))
        open_ahead = not self.causal or n_query == 1
        everywhere = self.padding is None and self.documents is None and self.order is None
        return within and open_ahead and everywhere

    @property
    def n_rows(self) -> int:
        """How many rows of a batch the mask tells apart: 1 where all see alike."""
        given = (self.documents, self.padding, self.order)
        sizes = [each.size(0) for each in given if each is not None]
        return sizes[0] if sizes else 1

    def sees(
        self, row: Int[Tensor, "*#at"], query: Int[Tensor, "*#at"], key: Int[Tensor, "*#at"]
    ) -> Bool[Tensor, "*#at"]:
        """Whether a query sees a key: the definition, for numbers in tensors that broadcast together.

        `row` is the number in the batch; places of queries and keys are counted from the first key on. Where
        queries are tokens of another row, both rows end at one place, and theirs may begin below zero.
        """
        conditions = [key <= query] if self.causal else []
        if self.window is not None:
            distance = query - key if self.causal else (query - key).abs()
            conditions.append(distance < self.window)
        if self.sparse is not None:
            conditions.append(_pattern(self.sparse, query, key))
        if self.padding is not None:
            conditions.append(self.padding[row, key])
        if self.documents is not None:
            own = self.documents if self.query_documents is None else self.query_documents
            place = query + (own.size(1) - self.documents.size(1))
            conditions.append(own[row, place] == self.documents[row, key])
        if self.order is not None:
            limit = self.order if self.query_order is None else self.query_order
            conditions.append(self.order[row, key] <= limit[row, query])
        return reduce(and_, conditions) if conditions else key.new_ones((), dtype=torch.bool)

    def dense(self, n_query: int, n_key: int, device: torch.device) -> Bool[Tensor, "batch 1 query key"]:
        """Spell the mask out: True where a query may see a key; batch is 1 where rows do not differ.

        The queries are the last `n_query` of the `n_key` positions, as they are when decoding with a
        cache; where they are tokens of another row, the last of that row.
        """
        return self.between(range(n_key - n_query, n_key), range(n_key), device)

    def between(self, queries: range, keys: range, device: torch.device) -> Bool[Tensor, "batch 1 query key"]:
        """Spell out a part of the mask, the one between some places."""
        key = torch.arange(keys.start, keys.stop, device=device)
        query = torch.arange(queries.start, queries.stop, device=device)[:, None]
        row = torch.arange(self.n_rows, device=device)[:, None, None, None]
        return self.sees(row, query, key).expand(self.n_rows, 1, len(queries), len(keys))

    def reach(self, queries: range, n_key: int) -> range:
        """The keys that some queries may see as far as `causal` and `window` say, and those between them."""
        first, end = 0, n_key
        if self.window is not None:
            first, end = max(0, queries.start - self.window + 1), min(n_key, queries.stop + self.window - 1)
        return range(first, min(end, queries.stop) if self.causal else end)


def _pattern(
    sparse: SparseConfig, query: Int[Tensor, "*#at"], key: Int[Tensor, "*#at"]
) -> Bool[Tensor, "*#at"]:
    """Whether a pattern lets a query see a key, for positions that broadcast together."""
    if isinstance(sparse, StridedConfig):
        distance = (query - key).abs()
        return (distance < sparse.stride) | (distance % sparse.stride == 0)
    apart = (query // sparse.block - key // sparse.block).abs()
    if isinstance(sparse, FixedConfig):
        return (apart == 0) | (key % sparse.block >= sparse.block - sparse.n_summary)
    return (apart <= 1) | (key < sparse.n_global) | (query < sparse.n_global)
