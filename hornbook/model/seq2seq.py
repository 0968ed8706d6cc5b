"""Encoder-decoders: an encoder reads one text, a decoder writes another and looks at what was read.

    model = Seq2SeqLM(config, seed=0)
    logits = model(source, target)                     # training: of the token after each one of the target

    memory = model.encode(source, Mask(causal=False, padding=real))
    cache = model.make_cache(1, 64)
    logits = model.decode(start, memory, cache=cache)  # generation: then one token at a time

A row of the target begins with `start_token`, which stands before its first token.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.cache import KVCache
from hornbook.model.context import Memory
from hornbook.model.encoders import Encoder
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.models import CAUSAL, CausalLM
from hornbook.model.seq2seq_config import Seq2SeqConfig


class Seq2SeqLM(nn.Module):
    """An encoder and a decoder that reads it (Vaswani et al. 2017); `seed` as in `CausalLM`."""

    def __init__(self, config: Seq2SeqConfig, seed: int | None = None) -> None:
        super().__init__()
        self.start_token = config.start_token
        self.encoder = Encoder(config.encoder, Mask(causal=False))
        self.decoder = CausalLM(config.decoder)
        if config.shared_embedding:
            self.decoder.embedding.tokens = self.encoder.embedding.tokens
            if config.decoder.head.tied:
                self.decoder.head.weight = self.encoder.embedding.tokens.weight
        if seed is not None:
            initialise(self.encoder, config.encoder, seed, 0)
            initialise(self.decoder, config.decoder, seed, 1)  # What is shared starts as the decoder has it.

    @property
    def max_seq_len(self) -> int:
        """The most tokens of a row, of the source and of the target."""
        return min(self.encoder.max_seq_len, self.decoder.max_seq_len)

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch source"] | None = None,
    ) -> Memory:
        """What the encoder makes of the source; `mask` None: all of it is real and one document."""
        mask = mask or self.encoder.sees
        return Memory(self.encoder.features(source, mask, positions), mask)

    def decode(
        self,
        tokens: Int[Tensor, "batch seq"],
        memory: Memory,
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the next token at every position of the target.

        Where rows hold several documents, `mask` numbers those of the target as the source's mask numbers
        its own, so that each is read beside its own source.
        """
        if (mask.documents is None) != (memory.mask.documents is None):
            raise ConfigError(
                "source and target hold the same documents: number those of both, or of neither"
            )
        return self.decoder(tokens, mask, cache, positions, memory=memory)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        tokens: Int[Tensor, "batch seq"],
        source_mask: Mask | None = None,
        mask: Mask = CAUSAL,
        source_positions: Int[Tensor, "*batch source"] | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Read the source and return the logits of `decode`."""
        memory = self.encode(source, source_mask, source_positions)
        return self.decode(tokens, memory, mask, positions=positions)

    def make_cache(self, batch_size: int, length: int | None = None) -> KVCache:
        """An empty cache for `length` positions of the target (None: as many as the model takes)."""
        return self.decoder.make_cache(batch_size, length)
