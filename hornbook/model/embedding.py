"""Token ids to vectors: a table look-up, positions where they are added here, norm and dropout."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.config import EmbeddingConfig
from hornbook.model.norm import build_norm


class Embedding(nn.Module):
    """The input side of a model. Under autocast the residual stream takes the autocast type here."""

    def __init__(self, config: EmbeddingConfig, vocab_size: int, d_model: int, max_seq_len: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, d_model)
        self.positions = None if config.position is None else nn.Embedding(max_seq_len, d_model)
        self.norm = build_norm(config.norm, d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, tokens: Int[Tensor, "batch seq"], positions: Int[Tensor, " seq"]
    ) -> Float[Tensor, "batch seq d_model"]:
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(positions)
        x = self.dropout(self.norm(x))
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x
