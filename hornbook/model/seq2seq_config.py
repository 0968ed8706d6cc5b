"""What an encoder-decoder is, as data: two stacks, of the parts in `config.py`, and what they share."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import NonNegativeInt

from hornbook.base.config import Config
from hornbook.model.config import DecoderConfig, StackConfig


class Seq2SeqConfig(Config):
    """An encoder-decoder, whole."""

    kind: Literal["seq2seq"] = "seq2seq"
    encoder: StackConfig
    """What reads the source."""
    decoder: DecoderConfig
    """What writes the target; its blocks have cross attention."""
    shared_embedding: bool = True
    """Whether both have one table of tokens."""
    start_token: NonNegativeInt = 0
    """Id that every row of the target begins with."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids of the source."""
        return self.encoder.vocab_size

    @property
    def max_seq_len(self) -> int:
        """Most tokens of a row, of the source and of the target."""
        return min(self.encoder.max_seq_len, self.decoder.max_seq_len)

    @pydantic.model_validator(mode="after")
    def _stacks_fit(self) -> Seq2SeqConfig:
        encoder, decoder = self.encoder, self.decoder
        if encoder.d_model != decoder.d_model:
            raise ValueError(
                f"the decoder reads vectors as wide as its own: encoder.d_model {encoder.d_model} must be "
                f"decoder.d_model {decoder.d_model}"
            )
        if self.shared_embedding and encoder.vocab_size != decoder.vocab_size:
            raise ValueError(
                f"one table of tokens has one size: encoder.vocab_size {encoder.vocab_size} must be "
                f"decoder.vocab_size {decoder.vocab_size}, or shared_embedding false"
            )
        if self.start_token >= decoder.vocab_size:
            raise ValueError(
                f"start_token {self.start_token} is none of the decoder's {decoder.vocab_size} tokens"
            )
        if any(block.cross_attention is not None for block in encoder.pattern):
            raise ValueError("an encoder has no memory to read: its cross_attention must be null")
        if all(block.cross_attention is None for block in decoder.pattern):
            raise ValueError("no block of the decoder reads the encoder: give one a cross_attention")
        return self
