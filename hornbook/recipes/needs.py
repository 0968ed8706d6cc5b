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
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from hornbook.data.batch import Batch
from hornbook.model.cache import KVCache
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel, build_model
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.plan.memory import Held, HeldBytes, at_full_depth, held_by_pass, imagined, n_bytes
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, resolve_device, resolve_precision
from hornbook.train.objectives import Loss, Objective, next_token
from hornbook.train.optimizer import Optimizer
from hornbook.train.step import autocast

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
            optimizer = Optimizer(model, self.config.train.optimizer, PRECISIONS[self.precision])
            weights = n_bytes(model.parameters())
            _fill_gradients(model)
            optimizer.step(1.0)  # It makes what it remembers; from the next step on that is there.
            remembered = list(optimizer.state().values())
            with HeldBytes([*model.parameters(), *remembered]) as held:
                _fill_gradients(model)
                optimizer.step(1.0)
        return AtRest(weights, weights, n_bytes(remembered), weights + n_bytes(remembered) + held.peak)

    def learning(self, rows: int, how: Recomputation) -> Held:
        """What learning from so many rows at a time holds, beside weights and optimizer."""
        data = self.config.data
        accumulates = rows < data.batch_size

        def count(config: AnyConfig) -> Held:
            with imagined(), self.device:
                model = build_model(config).train()
                recompute(model, how)
                tokens = torch.zeros(rows, data.seq_len, dtype=torch.int64)
                batch = Batch(tokens, tokens, tokens if data.document_mask else None)
                objective = _objective(model)

                def forward() -> Tensor:
                    with autocast(self.device, PRECISIONS[self.precision]):
                        return objective(cast(CausalLM, model), batch).learned

                return held_by_pass(model, forward, [tokens], accumulates=accumulates)

        return at_full_depth(count, self.config.model, accumulates=accumulates)

    def step_peak(self, learning: Held) -> int:
        """The most that lives at any moment of a step which learns so."""
        rest = self.at_rest
        return max(rest.update, rest.weights + rest.optimizer + learning.peak)

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


def _objective(model: AnyModel) -> Objective:
    """What the model learns: a decoder as in any run, another shape to name every token it has read."""
    if isinstance(model, CausalLM):
        return next_token(torch.ones(model.head.out_features, dtype=torch.int64))
    return cast(Objective, _stand_in)


def _stand_in(model: AnyModel, batch: Batch) -> Loss:
    """An objective for shapes that have none yet: padded rows, and a prediction wherever there are scores."""
    tokens, real = batch.tokens, batch.tokens == 0
    if isinstance(model, Seq2SeqLM):
        logits = model(tokens, tokens, Mask(causal=False, padding=real))
    elif isinstance(model, PermutationLM):
        logits = model(tokens, Mask(causal=False, padding=real), order=tokens)
    else:
        assert isinstance(model, MaskedLM | Classifier)
        logits = model(tokens, Mask(causal=model.sees.causal, padding=real))
    wanted = tokens[:, 0] if isinstance(model, Classifier) else tokens.flatten()
    total = functional.cross_entropy(logits.flatten(0, -2).float(), wanted, reduction="sum")
    count = torch.tensor(float(wanted.numel()), device=total.device)
    return Loss(total, count, count)


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
