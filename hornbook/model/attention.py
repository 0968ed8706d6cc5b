"""Self-attention, one class for every number of key and value heads, with or without a cache."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.attend import attend
from hornbook.model.cache import LayerCache
from hornbook.model.mask import Mask
from hornbook.model.norm import build_norm
from hornbook.model.part_config import AlibiConfig, AttentionConfig, RotaryConfig
from hornbook.model.position import Rotary, alibi


class Attention(nn.Module):
    """Projects to queries, keys and values, attends, and projects back (Vaswani et al. 2017, 3.2.2)."""

    def __init__(self, config: AttentionConfig, d_model: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.scale, self.softcap, self.dropout = config.scale, config.softcap, config.dropout
        n_kv_heads = config.n_kv_heads or config.n_heads
        self.q = nn.Linear(d_model, config.n_heads * head_dim, bias=config.qkv_bias)
        self.k = nn.Linear(d_model, n_kv_heads * head_dim, bias=config.qkv_bias)
        self.v = nn.Linear(d_model, n_kv_heads * head_dim, bias=config.qkv_bias)
        self.out = nn.Linear(config.n_heads * head_dim, d_model, bias=config.out_bias)
        self.norm_each_head = config.qk_norm_over == "head"
        self.q_norm = build_norm(config.qk_norm, head_dim if self.norm_each_head else self.q.out_features)
        self.k_norm = build_norm(config.qk_norm, head_dim if self.norm_each_head else self.k.out_features)
        self.rotary = Rotary(config.position, head_dim) if isinstance(config.position, RotaryConfig) else None
        self.falls_with_distance = isinstance(config.position, AlibiConfig)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Mask,
        positions: Int[Tensor, "*batch seq"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        q, k, v = self.q(x), self.k(x), self._heads(self.v(x))
        if self.norm_each_head:
            q, k = self.q_norm(self._heads(q)), self.k_norm(self._heads(k))
        else:
            q, k = self._heads(self.q_norm(q)), self._heads(self.k_norm(k))
        if self.rotary is not None:
            q, k = self.rotary(q, positions), self.rotary(k, positions)
        if cache is not None:
            k, v = cache.put(k, v)
        bias = alibi(q.size(1), q.size(2), k.size(2), q.device) if self.falls_with_distance else None
        dropout = self.dropout if self.training else 0.0
        mixed = attend(q, k, v, mask, scale=self.scale, softcap=self.softcap, bias=bias, dropout=dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def make_cache(self, batch_size: int, length: int) -> LayerCache:
        """An empty cache for this layer, of the weights' type and on their device."""
        weight = self.k.weight
        shape = (batch_size, weight.size(0) // self.head_dim, length, self.head_dim)
        return LayerCache(shape, weight.dtype, weight.device)

    def _heads(self, x: Float[Tensor, "batch seq width"]) -> Float[Tensor, "batch heads seq head_dim"]:
        """Split the width into heads; the head count is read off, so a part of the heads works too."""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
