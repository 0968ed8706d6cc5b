"""Whole models. Today one shape: `CausalLM`, a decoder that predicts each token from those before it.

    model = CausalLM(config, seed=0)
    logits = model(tokens)                      # training, evaluation
    cache = model.make_cache(1, 256)
    logits = model(prompt, cache=cache)         # generation: the prompt, then one token at a time

A model knows ids and shapes; text, files and devices are other rooms' business.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.block import Block
from hornbook.model.cache import KVCache
from hornbook.model.config import ModelConfig
from hornbook.model.embedding import Embedding
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.norm import build_norm

CAUSAL = Mask(causal=True)


class CausalLM(nn.Module):
    """A decoder-only transformer with a language-model head.

    With a `seed` the weights are drawn from that seed alone; without one they are left for a caller who
    loads them.
    """

    def __init__(self, config: ModelConfig, seed: int | None = None) -> None:
        super().__init__()
        self.max_seq_len = config.max_seq_len
        self.embedding = Embedding(config.embedding, config.vocab_size, config.d_model, config.max_seq_len)
        kinds = [config.pattern[i % len(config.pattern)] for i in range(config.n_layers)]
        self.blocks = nn.ModuleList(Block(kind, config.d_model, config.head_dim(kind)) for kind in kinds)
        self.final_norm = build_norm(config.final_norm, config.d_model)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=config.head.bias)
        if config.head.tied:
            self.head.weight = self.embedding.tokens.weight
        self.logit_scale, self.logit_cap = config.head.scale, config.head.softcap
        if seed is not None:
            initialise(self, config, seed)

    def features(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Everything but the head: the normalised output of the last block.

        With a cache, `tokens` follow what the cache holds, and the cache grows by them. `positions` None
        counts them from the first token on; rows that are padded at the left, or hold several documents,
        count their own.
        """
        start = 0 if cache is None else cache.length
        stop = start + tokens.size(1)
        self._check_length(stop, cache)
        if positions is None:
            positions = torch.arange(start, stop, device=tokens.device)
        x = self.embedding(tokens, positions)
        for i, block in enumerate(self.layers):
            x = block(x, mask, positions, None if cache is None else cache.layers[i])
        return self.final_norm(x)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the next token at every position; the arguments are those of `features`."""
        return self.logits(self.features(tokens, mask, cache, positions))

    def logits(self, features: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest vocab"]:
        """The head alone."""
        logits: Tensor = self.head(features)
        if self.logit_scale is not None:
            logits = logits * self.logit_scale
        if self.logit_cap is not None:
            logits = self.logit_cap * torch.tanh(logits / self.logit_cap)
        return logits

    def make_cache(self, batch_size: int, length: int | None = None) -> KVCache:
        """An empty cache for `length` positions (None: as many as the model takes)."""
        length = length or self.max_seq_len
        return KVCache([block.attention.layer.make_cache(batch_size, length) for block in self.layers])

    @property
    def layers(self) -> list[Block]:
        """The blocks in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def _check_length(self, stop: int, cache: KVCache | None) -> None:
        if stop > self.max_seq_len:
            raise ConfigError(f"{stop} tokens, but the model takes at most {self.max_seq_len}; cut the input")
        if cache is not None and stop > cache.capacity:
            raise ConfigError(f"{stop} tokens, but the cache holds {cache.capacity}; make it longer")
