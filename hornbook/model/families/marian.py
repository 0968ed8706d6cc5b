"""Marian (Junczys-Dowmunt et al. 2018), as in OPUS-MT: the encoder-decoder of Vaswani et al. 2017.

Positions are sines, each side may have a table of its own, and the rest is as in BART.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hornbook.base.errors import ConfigError
from hornbook.model.config import DecoderConfig, EmbeddingConfig, HeadConfig, StackConfig
from hornbook.model.families import bart
from hornbook.model.families.family import Family
from hornbook.model.families.reading import Reading
from hornbook.model.families.rules import Tensors
from hornbook.model.part_config import SinusoidalPositionConfig
from hornbook.model.position import sinusoids
from hornbook.model.seq2seq_config import Seq2SeqConfig

POSITIONS = tuple(f"{side}.embed_positions.weight" for side in bart.SIDES)
CLOSE = 0.01
"""How far a number of a table of positions may be from the sine: as far as types of 16 bits round."""


def _read(theirs: Reading) -> Seq2SeqConfig:
    theirs.expect("normalize_embedding", False)
    theirs.expect("static_position_embeddings", True)
    theirs.take("extra_pos_embeddings", None)  # Of learned positions.
    vocab_size = theirs.take("vocab_size")
    tied = theirs.take("tie_word_embeddings", True)
    embedding = EmbeddingConfig(position=SinusoidalPositionConfig())
    target_size = theirs.take("decoder_vocab_size", vocab_size)
    return Seq2SeqConfig(
        encoder=StackConfig(**bart.read_stack(theirs, "encoder", vocab_size, embedding)),
        decoder=DecoderConfig(
            **bart.read_stack(theirs, "decoder", target_size, embedding),
            head=HeadConfig(tied=tied, bias=True),
        ),
        # Version 5 of transformers ties all that it is told to, or nothing.
        shared_embedding=theirs.take("share_encoder_decoder_embeddings", True) and tied,
        start_token=theirs.take("decoder_start_token_id", 58100),
    )


def _write(config: Seq2SeqConfig) -> dict[str, Any]:
    return {
        **bart.written_stacks(config),
        "decoder_vocab_size": config.decoder.vocab_size,
        "share_encoder_decoder_embeddings": config.shared_embedding,
    }


def _renewed(tensors: Tensors) -> dict[str, Tensor]:
    """Old files hold the sines, too."""
    made = bart.renewed(tensors)
    for name in [name for name in made if name.removeprefix("model.") in POSITIONS]:
        table = made.pop(name).float()
        if not torch.allclose(
            table, sinusoids(torch.arange(table.size(0)), table.size(1)), atol=CLOSE, rtol=0
        ):
            raise ConfigError(f"{name} holds other numbers than the sines that this family's positions are")
    return made


FAMILIES = (
    Family(
        "marian",
        "MarianMTModel",
        _read,
        _write,
        bart.common_rules,
        ignored=bart.IGNORED,
        shape=Seq2SeqConfig,
        renewed=_renewed,
        also=("MarianModel",),
    ),
)
