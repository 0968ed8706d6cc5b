"""Attention: of a text to itself, or to what an encoder has made of another, with or without a cache.

One class for every number of key and value heads.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.attend import Case, attend
from hornbook.model.cache import BlockCache, CrossCache, LayerCache, SlidingCache, sliding_length
from hornbook.model.context import BlockContext
from hornbook.model.mask import Mask
from hornbook.model.norm import build_norm
from hornbook.model.part_config import AttentionConfig, BiasConfig, RelativeContentConfig
from hornbook.model.position import turned
from hornbook.model.shortcuts import ValueEmbedding

Heads = Float[Tensor, "batch heads seq head_dim"]
Keys = Float[Tensor, "batch kv_heads key head_dim"]


class Attention(nn.Module):
    """Projects to queries, keys and values, attends, and projects back (Vaswani et al. 2017, 3.2.2)."""

    def __init__(self, config: AttentionConfig, d_model: int, head_dim: int, vocab_size: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.window, self.sparse = config.window, config.sparse
        self.scale, self.softcap, self.dropout = config.scale, config.softcap, config.dropout
        n_kv_heads = config.n_kv_heads or config.n_heads
        self.q = nn.Linear(d_model, config.n_heads * head_dim, bias=config.qkv_bias)
        self.k = nn.Linear(d_model, n_kv_heads * head_dim, bias=config.qkv_bias)
        self.v = nn.Linear(d_model, n_kv_heads * head_dim, bias=config.qkv_bias)
        self.out = nn.Linear(config.n_heads * head_dim, d_model, bias=config.out_bias)
        self.norm_each_head = config.qk_norm_over == "head"
        self.q_norm = build_norm(config.qk_norm, head_dim if self.norm_each_head else self.q.out_features)
        self.k_norm = build_norm(config.qk_norm, head_dim if self.norm_each_head else self.k.out_features)
        extra = config.value_embedding
        self.value_embedding = (
            None if extra is None else ValueEmbedding(extra, vocab_size, n_kv_heads, head_dim)
        )
        self.takes_bias = isinstance(config.position, BiasConfig)
        self.adds_to_scores = isinstance(config.position, BiasConfig | RelativeContentConfig)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: BlockCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        q, k, v = self._queries(x), self._keys(x), self._values(x, context)
        if context.turn is not None:
            q, k = turned(q, context.turn), turned(k, context.turn)
        mask, bias = self._sight(context.mask), context.bias if self.takes_bias else None
        if cache is not None:
            k, v = cache.own.put(k, v)
            if k.size(2) < cache.own.length:
                mask, bias = mask.of_last(k.size(2)), None if bias is None else bias[..., -k.size(2) :]
        return self._mixed(q, k, v, replace(context, mask=mask, bias=bias))

    def case(self, asked: Case) -> Case:
        """A case as it is in this layer, which narrows the mask and may bend scores or add to them."""
        return replace(
            asked,
            mask=self._sight(asked.mask),
            head_dim=self.head_dim,
            capped=self.softcap is not None,
            biased=self.adds_to_scores,
            dropping=self.training and self.dropout > 0,
        )

    def make_cache(self, batch_size: int, length: int) -> LayerCache | SlidingCache:
        """An empty cache for this layer, of the weights' type and on their device."""
        weight = self.k.weight
        shape = (batch_size, weight.size(0) // self.head_dim, length, self.head_dim)
        if self.window is not None and self.sparse is None and sliding_length(self.window) < length:
            return SlidingCache(shape, self.window, weight.dtype, weight.device)
        return LayerCache(shape, weight.dtype, weight.device)

    def _queries(self, x: Float[Tensor, "batch seq d_model"]) -> Heads:
        if self.norm_each_head:
            return self._heads(self.q(x), self.q_norm)
        return self._heads(self.q_norm(self.q(x)))

    def _keys(self, x: Float[Tensor, "batch key d_model"]) -> Keys:
        if self.norm_each_head:
            return self._heads(self.k(x), self.k_norm)
        return self._heads(self.k_norm(self.k(x)))

    def _values(self, x: Float[Tensor, "batch key d_model"], context: BlockContext) -> Keys:
        values = self._heads(self.v(x))
        return values if self.value_embedding is None else values + self.value_embedding(x, context.tokens)

    def _sight(self, mask: Mask) -> Mask:
        """The mask, narrowed to what this layer looks at."""
        if self.window is not None:
            mask = mask.narrowed(self.window)
        if self.sparse is not None:
            mask = mask.thinned(self.sparse)
        return mask

    def _mixed(self, q: Heads, k: Keys, v: Keys, context: BlockContext) -> Float[Tensor, "batch seq d_model"]:
        """Attend, and project back."""
        dropout = self.dropout if self.training else 0.0
        mixed = attend(
            q,
            k,
            v,
            context.mask,
            scale=self.scale,
            softcap=self.softcap,
            bias=context.bias,
            dropout=dropout,
            tiles=context.tiles,
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Float[Tensor, "batch seq width"], norm: nn.Module | None = None) -> Heads:
        """Split the width into heads; the head count is read off, so a part of the heads works too.

        `norm` scales each head, while the numbers still lie in the order of x.
        """
        heads = x.unflatten(-1, (-1, self.head_dim))
        return (heads if norm is None else norm(heads)).transpose(1, 2)


class CrossAttention(Attention):
    """The same with keys and values of an encoder's output (Vaswani et al. 2017, 3.2.3)."""

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: BlockCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        memory = context.memory
        if memory is None:
            raise ConfigError(
                "this decoder reads an encoder's output: give it the memory that encode returns"
            )
        kept = CrossCache() if cache is None else cache.cross
        kept.check(memory.features)
        if kept.held is None:
            kept.held = self._keys(memory.features), self._heads(self.v(memory.features))
            kept.source = memory.features
        own = replace(
            context,
            mask=memory.mask.read_by(context.mask.documents),
            bias=None,
            tiles=context.memory_tiles,
        )
        return self._mixed(self._queries(x), *kept.held, own)
