"""A block: attention and feed-forward, each wrapped in a residual branch with norm slots.

Pre-norm, post-norm and sandwich-norm are the same code with other slots filled; an empty slot is the
identity. The branches stand one after the other, or side by side. Between them a decoder may read an encoder.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from hornbook.model.attention import Attention, CrossAttention
from hornbook.model.cache import BlockCache
from hornbook.model.config import BlockConfig, NormSlotsConfig, ParallelWiring, StackConfig
from hornbook.model.context import BlockContext
from hornbook.model.mixture import build_positionwise
from hornbook.model.norm import build_norm
from hornbook.model.part_config import RelativeContentConfig
from hornbook.model.relative_attention import RelativeAttention
from hornbook.model.shortcuts import StreamMix

Layer = TypeVar("Layer", bound=nn.Module)


class Residual(nn.Module, Generic[Layer]):
    """residual_norm(x + dropout(output_norm(layer(input_norm(x)))))."""

    def __init__(self, layer: Layer, norms: NormSlotsConfig, d_model: int, dropout: float) -> None:
        super().__init__()
        self.input_norm = build_norm(norms.input, d_model)
        self.layer = layer
        self.output_norm = build_norm(norms.output, d_model)
        self.dropout = nn.Dropout(dropout)
        self.residual_norm = build_norm(norms.residual, d_model)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], *context: object
    ) -> Float[Tensor, "batch seq d_model"]:
        return self.residual_norm(x + self.branch(x, *context))

    def branch(
        self, x: Float[Tensor, "batch seq d_model"], *context: object
    ) -> Float[Tensor, "batch seq d_model"]:
        """What is added to x."""
        return self.dropout(self.output_norm(self.layer(self.input_norm(x), *context)))


class Block(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: BlockConfig, stack: StackConfig) -> None:
        super().__init__()
        d_model, vocab_size = stack.d_model, stack.vocab_size
        slots = (config.norms, d_model, config.dropout)
        attention, across = config.attention, config.cross_attention
        of_kind = RelativeAttention if isinstance(attention.position, RelativeContentConfig) else Attention
        self.attention = Residual(
            of_kind(attention, d_model, stack.width_of_heads(attention), vocab_size), *slots
        )
        self.cross_attention: Residual[CrossAttention] | None = None
        if across is not None:
            reader = CrossAttention(across, d_model, stack.width_of_heads(across), vocab_size)
            self.cross_attention = Residual(reader, *slots)
        self.feed_forward = Residual(build_positionwise(config.feed_forward, d_model), *slots)
        self.stream_mix = None if config.stream_mix is None else StreamMix(config.stream_mix)
        self.parallel = isinstance(config.wiring, ParallelWiring)
        self.norm = build_norm(
            config.wiring.norm if isinstance(config.wiring, ParallelWiring) else None, d_model
        )

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: BlockCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        if self.stream_mix is not None:
            x = self.stream_mix(x, context.embedded)
        if self.parallel:
            same = self.norm(x)
            return x + self.attention.branch(same, context, cache) + self.feed_forward.branch(same)
        x = self.attention(x, context, cache)
        if self.cross_attention is not None:
            x = self.cross_attention(x, context, cache)
        return self.feed_forward(x)

    def make_cache(self, batch_size: int, length: int) -> BlockCache:
        """Empty caches for this block."""
        return BlockCache(self.attention.layer.make_cache(batch_size, length))
