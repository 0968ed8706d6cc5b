"""What a run needs: the memory of a training step and of writing, counted on the code that will run.

    needs = Needs(config)
    needs.at_rest, needs.learning(rows=16, how="none"), needs.writing(torch.float32)

`plan.memory` says how it is counted. Here the parts of a step are put together as `train.step` does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hornbook.data.batch import Batch, Rows
from hornbook.model.cache import KVCache
from hornbook.model.encoders import Classifier
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel, build_model
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.plan.memory import Held, HeldBytes, at_full_depth, held_by_pass, imagined, n_bytes
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, resolve_device, resolve_precision
from hornbook.train.objectives import classify, predict_tokens
from hornbook.train.optimizer import Group, Optimizer
from hornbook.train.step import autocast
from hornbook.train.tasks import default_objective, fits, imagined_collate

COUNTED_DEVICES = ("cpu", "cuda")
"""Kinds of device whose tensors can be imagined."""


@dataclass(frozen=True)
class AtRest:
    """What a run holds between the passes of a step, in bytes."""

    weights: int
    gradients: int
    optimizer: int
    """What the optimizer remembers from step to step."""
    update: int
    """The most at any moment while the weights are updated, all of these included."""


class Needs:
    """The memory that a run needs on its device and in its precision."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        device = resolve_device(config.train.device)
        self.device = device if device.type in COUNTED_DEVICES else torch.device("cpu")
        """The run's device, or the CPU in place of one whose tensors cannot be imagined."""
        self.precision = resolve_precision(config.train.precision, self.device)

    @cached_property
    def at_rest(self) -> AtRest:
        """What does not depend on the batch."""
        with imagined(), self.device:
            model = build_model(self.config.model)
            optimizer = self._optimizer(model)
            weights = n_bytes(model.parameters())
            _fill_gradients(model)
            optimizer.step(1.0)  # It makes what it remembers; from the next step on that is there.
            remembered = list(optimizer.state().values())
            with HeldBytes([*model.parameters(), *remembered]) as held:
                _fill_gradients(model)
                optimizer.step(1.0)
        return AtRest(weights, weights, n_bytes(remembered), weights + n_bytes(remembered) + held.peak)

    def groups(self) -> list[Group]:
        """Which weights are updated how."""
        with imagined(), self.device:
            return self._optimizer(build_model(self.config.model)).groups()

    def learning(self, rows: int, how: Recomputation) -> Held:
        """What learning from so many rows at a time holds, beside weights and optimizer."""
        accumulates = rows < self.config.data.batch_size
        given = example_batch(self.config, rows)

        def count(config: AnyConfig) -> Held:
            with imagined(), self.device:
                model = build_model(config).train()
                recompute(model, how)
                batch = given.changed(lambda each: torch.zeros(each.shape, dtype=each.dtype))
                lengths = torch.ones(self.config.model.vocab_size, dtype=torch.int64)
                objective = classify if isinstance(model, Classifier) else predict_tokens(lengths)

                def forward() -> Tensor:
                    with autocast(self.device, PRECISIONS[self.precision]):
                        return objective(model, batch).learned

                return held_by_pass(model, forward, batch.tensors(), accumulates=accumulates)

        return at_full_depth(count, self.config.model, accumulates=accumulates)

    def step_peak(self, learning: Held) -> int:
        """The most that lives at any moment of a step which learns so."""
        rest = self.at_rest
        return max(rest.update, rest.weights + rest.optimizer + learning.peak)

    def _optimizer(self, model: AnyModel) -> Optimizer:
        train = self.config.train
        return Optimizer(model, train.optimizer, PRECISIONS[self.precision], train.average)

    def writing(self, dtype: torch.dtype) -> Held:
        """What reading `max_seq_len` tokens at once holds beside the weights, and keeps to go on."""

        def count(config: AnyConfig) -> Held:
            with imagined(), self.device, torch.no_grad():
                with _weights_of(dtype):
                    model = build_model(config).eval()
                with HeldBytes(model.parameters()) as held:
                    cache = _read(model)
                    kept_on = held.now
                    del cache
            return Held(0, kept_on, held.peak)

        return at_full_depth(count, self.config.model, accumulates=False)


@contextmanager
def _weights_of(dtype: torch.dtype) -> Iterator[None]:
    """Make weights in another type."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def _fill_gradients(model: AnyModel) -> None:
    for weight in model.parameters():
        weight.grad = torch.empty_like(weight)


def example_batch(config: RunConfig, rows: int) -> Batch:
    """So many rows as they come in training, of two documents each.

    They are what the run's objective makes of text, or, where that is for another shape of model, the one
    that is usual for this shape. A classifier has none, and gets rows that have a class.
    """
    data, objective = config.data, config.train.objective
    if not fits(objective, config.model):
        usual = default_objective(config.model)
        if usual is None:
            tokens = torch.zeros(rows, data.seq_len, dtype=torch.int64)
            return Batch(tokens, tokens, tokens, labels=tokens[:, 0])
        config = config.model_copy(update={"train": config.train.model_copy(update={"objective": usual})})
    shape = max(rows, data.batch_size), data.seq_len + 1
    numbers = np.tile(np.arange(shape[1]) > data.seq_len // 2, (shape[0], 1)).astype(np.int64)
    text = Rows(np.zeros(shape, dtype=np.int64), numbers if data.document_mask else None)
    whole = imagined_collate(config)(text, np.random.default_rng(0))
    return max(whole.split(rows), key=lambda batch: batch.n_tokens)


def _read(model: AnyModel) -> KVCache | None:
    """Read a text of full length, as `generate.decode` does, and return what is kept for the next token.

    Not in inference mode, where operations show themselves as a whole and not what they are made of.
    """
    text = torch.zeros(1, model.max_seq_len, dtype=torch.int64)
    if not isinstance(model, CausalLM | Seq2SeqLM):
        model(text)
        return None
    decoder = model if isinstance(model, CausalLM) else model.decoder
    memory = None if isinstance(model, CausalLM) else model.encode(text)
    cache = decoder.make_cache(1)
    features = decoder.features(text[:, : decoder.max_seq_len], cache=cache, memory=memory)
    decoder.logits(features[:, -1])
    return cache
