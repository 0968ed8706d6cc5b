"""Token ids to vectors: a table look-up, positions where they are added here, segments, norm and dropout."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.config import EmbeddingConfig
from hornbook.model.norm import build_norm
from hornbook.model.part_config import LearnedPositionConfig, SinusoidalPositionConfig
from hornbook.model.position import sinusoids


class Embedding(nn.Module):
    """The input side of a model. Under autocast the residual stream takes the autocast type here."""

    def __init__(self, config: EmbeddingConfig, vocab_size: int, d_model: int, max_seq_len: int) -> None:
        super().__init__()
        self.scale = config.scale
        self.tokens = nn.Embedding(vocab_size, d_model)
        learned = isinstance(config.position, LearnedPositionConfig)
        self.positions = nn.Embedding(max_seq_len, d_model) if learned else None
        self.sinusoidal = isinstance(config.position, SinusoidalPositionConfig)
        self.segments = None if config.n_segments is None else nn.Embedding(config.n_segments, d_model)
        self.norm = build_norm(config.norm, d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        positions: Int[Tensor, "*batch seq"],
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        x = self.tokens(tokens)
        if self.scale is not None:
            x = x * torch.tensor(self.scale, dtype=x.dtype)
        if self.sinusoidal:
            x = x + sinusoids(positions, x.size(-1)).to(x.dtype)
        if self.positions is not None:
            x = x + self.positions(positions)
        if self.segments is not None:
            x = x + (self.segments.weight[0] if segments is None else self.segments(segments))
        elif segments is not None:
            raise ConfigError("segments were given, but the model has none; leave them out or set n_segments")
        x = self.dropout(self.norm(x))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x
