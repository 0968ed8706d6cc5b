"""The final measurement: a model asked about held-out text, all of it or an excerpt.

    found = measure_held_out(model, config, tokenizer, shards)

A decoder is asked for every token of every document, whatever objective it learned by: its bits per byte are
those of an ideal compressor built on it, and can be compared with any compressor's and any other decoder's.
Another model is asked as it was in training. What it predicts, it predicts from more than the text before,
and it predicts only some of the tokens: these numbers are for comparing models of the same objective and the
same numbers in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from hornbook.base.progress import Progress, silent
from hornbook.base.randomness import stream
from hornbook.data.batch import Batch, Collate
from hornbook.data.excerpt import Excerpt
from hornbook.data.loader import held_out_batches
from hornbook.data.shards import TokenShards
from hornbook.data.sweep import sweep
from hornbook.model.models import CausalLM
from hornbook.model.shapes import AnyModel
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.objectives import predict_tokens
from hornbook.train.tasks import build_task
from hornbook.train.validate import Measurement, measure

BATCH_SIZE = 32


def compresses(model: AnyModel) -> bool:
    """Whether the bits per byte that are measured are those of a compressor."""
    return isinstance(model, CausalLM)


def measure_held_out(
    model: AnyModel,
    config: RunConfig,
    tokenizer: Tokenizer,
    shards: TokenShards | Excerpt,
    precision: torch.dtype = torch.float32,
    progress: Progress = silent,
) -> Measurement:
    """Measure on all of the text; the same model gives the same numbers every time."""
    seq_len = config.data.seq_len
    if compresses(model):
        batches = held_out_batches(shards, seq_len=seq_len, batch_size=BATCH_SIZE, overlap=seq_len // 2)
        return measure(
            model, batches, predict_tokens(torch.tensor(tokenizer.byte_lengths)), precision, progress
        )
    task = build_task(config, tokenizer)
    return measure(model, _asked(task.collate, config, shards), task.objective, precision, progress)


def _asked(collate: Collate, config: RunConfig, shards: TokenShards | Excerpt) -> Iterator[Batch]:
    """The whole text as the objective asks about it, drawn from a stream of its own."""
    data = config.data
    every = sweep(shards, seq_len=data.seq_len, batch_size=BATCH_SIZE, document_mask=data.document_mask)
    for i, rows in enumerate(every):
        yield collate(rows, stream(config.seed, "evaluation", i))
