"""Shortcuts: what a token is, brought back to layers that have long read something else.

A value embedding adds to the values of a layer, a stream mix to what a block reads.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.config import StreamMixConfig
from hornbook.model.part_config import ValueEmbeddingConfig


class ValueEmbedding(nn.Module):
    """2 sigmoid(gate(x)) * table(token), for each head."""

    def __init__(self, config: ValueEmbeddingConfig, vocab_size: int, n_heads: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim, self.gate_width = head_dim, config.gate_width
        self.table = nn.Embedding(vocab_size, n_heads * head_dim)
        self.gate = nn.Linear(config.gate_width, n_heads, bias=False)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], tokens: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch heads seq head_dim"]:
        rows = self.table(tokens).unflatten(-1, (-1, self.head_dim))
        weights = 2 * torch.sigmoid(self.gate(x[..., : self.gate_width]))
        return (weights.unsqueeze(-1) * rows).transpose(1, 2)


class StreamMix(nn.Module):
    """a * stream + b * embeddings."""

    def __init__(self, config: StreamMixConfig) -> None:
        super().__init__()
        self.start = (config.stream, config.embeddings)
        self.weights = nn.Parameter(torch.tensor(self.start))

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], embedded: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        a, b = self.weights.to(x.dtype)
        return a * x + b * embedded
