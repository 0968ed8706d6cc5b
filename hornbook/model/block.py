"""A block: attention and feed-forward, each wrapped in a residual branch with norm slots.

Pre-norm, post-norm and sandwich-norm are the same code with other slots filled; an empty slot is the
identity. The branches stand one after the other, or side by side.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.attention import Attention
from hornbook.model.cache import LayerCache
from hornbook.model.config import BlockConfig, NormSlotsConfig, ParallelWiring
from hornbook.model.mask import Mask
from hornbook.model.mixture import build_positionwise
from hornbook.model.norm import build_norm

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

    def __init__(self, config: BlockConfig, d_model: int, head_dim: int) -> None:
        super().__init__()
        self.window = config.attention.window
        self.sparse = config.attention.sparse
        attention = Attention(config.attention, d_model, head_dim)
        feed_forward = build_positionwise(config.feed_forward, d_model)
        self.attention = Residual(attention, config.norms, d_model, config.dropout)
        self.feed_forward = Residual(feed_forward, config.norms, d_model, config.dropout)
        self.parallel = isinstance(config.wiring, ParallelWiring)
        self.norm = build_norm(
            config.wiring.norm if isinstance(config.wiring, ParallelWiring) else None, d_model
        )

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Mask,
        positions: Int[Tensor, "*batch seq"],
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        own = mask if self.window is None else mask.narrowed(self.window)
        own = own if self.sparse is None else own.thinned(self.sparse)
        if not self.parallel:
            return self.feed_forward(self.attention(x, own, positions, cache))
        same = self.norm(x)
        return x + self.attention.branch(same, own, positions, cache) + self.feed_forward.branch(same)
