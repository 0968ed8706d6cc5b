"""What a model is asked: an objective is a function from a model and a batch to a `Loss`.

The total is a sum and the weight its count, so that any number of micro-batches and processes adds up to
the same gradient: the step divides once, by the weight of them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from hornbook.data.loader import IGNORED, Batch
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM


class Loss(NamedTuple):
    """A summed loss, what to divide it by, and other sums worth knowing."""

    total: Float[Tensor, ""]
    """Summed loss in nats."""
    weight: Float[Tensor, ""]
    """How many predictions were summed."""
    n_bytes: Float[Tensor, ""]
    """How many bytes of text the predicted tokens stand for."""


Objective = Callable[[CausalLM, Batch], Loss]


def next_token(byte_lengths: Int[Tensor, " vocab"]) -> Objective:
    """The language-model objective: at every place, predict the token that follows.

    `byte_lengths` is the length of each token's text in bytes, 0 for special tokens.
    """

    def objective(model: CausalLM, batch: Batch) -> Loss:
        logits = model(batch.tokens, Mask(causal=True, documents=batch.documents))
        flat = logits.flatten(0, 1).float()
        targets = batch.targets.flatten()
        total = functional.cross_entropy(flat, targets, ignore_index=IGNORED, reduction="sum")
        kept = targets[targets != IGNORED]
        weight = torch.tensor(float(len(kept)), device=total.device)
        return Loss(total, weight, byte_lengths.to(kept.device)[kept].sum().float())

    return objective
