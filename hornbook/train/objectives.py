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

from hornbook.data.batch import IGNORED, Batch
from hornbook.model.mask import Mask
from hornbook.model.mixture import watched_balance
from hornbook.model.models import CausalLM


class Loss(NamedTuple):
    """A summed loss, what to divide it by, and other sums worth knowing."""

    total: Float[Tensor, ""]
    """Summed loss in nats."""
    weight: Float[Tensor, ""]
    """How many predictions were summed."""
    n_bytes: Float[Tensor, ""]
    """How many bytes of text the predicted tokens stand for."""
    balance: Float[Tensor, ""] | None = None
    """The loss that keeps experts evenly used, times the weight; None: nothing to balance.

    It is learned from and not reported. Being about the tokens of a micro-batch together, it is the one part
    of the gradient that depends on how a batch is cut.
    """

    @property
    def learned(self) -> Float[Tensor, ""]:
        """What the gradient is taken of."""
        return self.total if self.balance is None else self.total + self.balance


Objective = Callable[[CausalLM, Batch], Loss]


def next_token(byte_lengths: Int[Tensor, " vocab"]) -> Objective:
    """The language-model objective: at every place, predict the token that follows.

    `byte_lengths` is the length of each token's text in bytes, 0 for special tokens. A model with mixtures of
    experts learns to keep them in balance too: the mean of its layers' balance losses over the batch's
    tokens counts once for each prediction.
    """

    def objective(model: CausalLM, batch: Batch) -> Loss:
        with watched_balance(model) as balance:
            logits = model(batch.tokens, Mask(causal=True, documents=batch.documents))
        flat = logits.flatten(0, 1).float()
        targets = batch.targets.flatten()
        total = functional.cross_entropy(flat, targets, ignore_index=IGNORED, reduction="sum")
        kept = targets[targets != IGNORED]
        weight = torch.tensor(float(len(kept)), device=total.device)
        n_bytes = byte_lengths.to(kept.device)[kept].sum().float()
        return Loss(total, weight, n_bytes, weight * torch.stack(balance).mean() if balance else None)

    return objective
