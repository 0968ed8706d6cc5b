"""What every shape of model is made of: an embedding, blocks and a final norm.

A shape (`models.py`, `encoders.py`, `seq2seq.py`) puts its head on a `Stack` and says which way it sees.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.block import Block
from hornbook.model.cache import KVCache
from hornbook.model.config import StackConfig
from hornbook.model.context import BlockContext, Memory
from hornbook.model.embedding import Embedding
from hornbook.model.mask import Mask
from hornbook.model.norm import build_norm
from hornbook.model.part_config import BiasConfig, RotaryConfig
from hornbook.model.position import Rotary, build_bias
from hornbook.model.tiling import in_tiles


class Stack(nn.Module):
    """A transformer without a head."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.max_seq_len = config.max_seq_len
        self.embedding = Embedding(config.embedding, config.vocab_size, config.d_model, config.max_seq_len)
        kinds = [config.pattern[i % len(config.pattern)] for i in range(config.n_layers)]
        biased = config.biased
        self.position_bias = None
        if biased is not None and isinstance(biased.position, BiasConfig):
            self.position_bias = build_bias(biased.position, biased.n_heads)
        turns = [(kind.attention.position, config.width_of_heads(kind.attention)) for kind in kinds]
        distinct = list(dict.fromkeys(turns))
        self.rotaries = [
            Rotary(position, width) if isinstance(position, RotaryConfig) else None
            for position, width in distinct
        ]
        self.turned_by = [distinct.index(turn) for turn in turns]
        self.compares_segments = config.compares_segments
        self.blocks = nn.ModuleList(Block(kind, config) for kind in kinds)
        self.final_norm = build_norm(config.final_norm, config.d_model)

    def run(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """The normalised output of the last block.

        With a cache, `tokens` follow what the cache holds, and the cache grows by them. `positions` None
        counts them from the first token on; rows that are padded at the left, or hold several documents,
        count their own. `segments` None: all tokens are of segment 0, where the model has segments.
        `memory` is what blocks with cross attention read.
        """
        start = 0 if cache is None else cache.length
        stop = start + tokens.size(1)
        self._check_length(stop, cache)
        if positions is None:
            positions = torch.arange(start, stop, device=tokens.device)
        bias = None if self.position_bias is None else self.position_bias(tokens.size(1), stop, tokens.device)
        x = self.embedding(tokens, positions, None if self.compares_segments else segments)
        context = BlockContext(
            mask=mask,
            positions=positions,
            bias=bias,
            tokens=tokens,
            embedded=x,
            segments=segments,
            memory=memory,
        )
        return self.through(x, context, cache)

    def through(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: KVCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """The blocks and the norm after them."""
        turns = [None if rotary is None else rotary(context.positions) for rotary in self.rotaries]
        contexts = [replace(context, turn=turns[which]) for which in self.turned_by]
        if cache is None and torch.compiler.is_dynamo_compiling():
            contexts = in_tiles(contexts, self.layers, x)
        for i, block in enumerate(self.layers):
            x = block(x, contexts[i], None if cache is None else cache.blocks[i])
        return self.final_norm(x)

    def make_cache(self, batch_size: int, length: int | None = None) -> KVCache:
        """An empty cache for `length` positions (None: as many as the model takes)."""
        length = length or self.max_seq_len
        return KVCache([block.make_cache(batch_size, length) for block in self.layers], length)

    @property
    def layers(self) -> list[Block]:
        """The blocks in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def _check_length(self, stop: int, cache: KVCache | None) -> None:
        if stop > self.max_seq_len:
            raise ConfigError(f"{stop} tokens, but the model takes at most {self.max_seq_len}; cut the input")
        if cache is not None and stop > cache.capacity:
            raise ConfigError(f"{stop} tokens, but the cache holds {cache.capacity}; make it longer")
