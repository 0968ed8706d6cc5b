"""Every objective over bytes, each with a tiny model that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from data.shard_folders import END
from model.small_shapes import shaped_configs
from train.small_runs import BYTE_MODEL, byte_shards

from hornbook.data.batch import Batch, Collate, next_tokens
from hornbook.data.corruption import Masked, Permuted
from hornbook.data.corruption_pairs import MaskedPairs
from hornbook.data.corruption_spans import Continued, Spans, Unprompted, prefixed
from hornbook.data.loader import SourceLoader
from hornbook.data.shared_rows import SharedRows
from hornbook.data.windows import Windows
from hornbook.model.encoder_config import PoolerConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.train.objectives import Objective, predict_tokens

VOCAB_SIZE = 270
MASK, FIRST, BETWEEN = 257, 258, 259
SENTINELS = tuple(range(269, 259, -1))
SPECIAL = np.arange(VOCAB_SIZE) >= END
LENGTHS = torch.tensor([1] * END + [0] * (VOCAB_SIZE - END))
LONGEST = 32
SHAPES = shaped_configs(VOCAB_SIZE, max_seq_len=LONGEST)

MASKED = Masked(SPECIAL, MASK)
SPANS = Spans(SENTINELS, start=END, end=END, longest=LONGEST)
CONTINUED = Continued(start=END, end=END, longest=LONGEST)


class Case(NamedTuple):
    """An objective and a model for it."""

    collate: Collate
    model: AnyConfig
    parts: tuple[str, ...] = ()
    seq_len: int = 24

    @property
    def objective(self) -> Objective:
        """The loss."""
        return predict_tokens(LENGTHS, self.parts)

    def loader(self, folder: Path, seed: int = 0, batch_size: int = 8) -> SourceLoader:
        """Sequences of bytes of the sums."""
        windows = Windows(byte_shards(folder), seq_len=self.seq_len, seed=seed, document_mask=True)
        return SourceLoader(windows, batch_size=batch_size, seed=seed, collate=self.collate)

    def batch(self, folder: Path, step: int = 0) -> Batch:
        """The batch of a step."""
        return self.loader(folder).batch(step)


CASES: dict[str, Case] = {
    "next_token": Case(next_tokens, BYTE_MODEL, seq_len=16),
    "next_token_seq2seq": Case(Unprompted(END), SHAPES["seq2seq"]),
    "masked": Case(MASKED, SHAPES["masked_lm"]),
    "masked_pairs": Case(
        MaskedPairs(MASKED, FIRST, BETWEEN), SHAPES["masked_lm"].model_copy(update={"pairs": PoolerConfig()})
    ),
    "span_denoising": Case(SPANS, SHAPES["seq2seq"]),
    "prefix": Case(prefixed, BYTE_MODEL),
    "prefix_seq2seq": Case(CONTINUED, SHAPES["seq2seq"]),
    "permutation": Case(Permuted(SPECIAL), SHAPES["permutation_lm"]),
    "weighted": Case(
        SharedRows((SPANS, CONTINUED), (3.0, 1.0)), SHAPES["seq2seq"], ("span_denoising", "prefix")
    ),
}
