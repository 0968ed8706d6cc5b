"""What a model is asked: an objective is a function from a model and a batch to a `Loss`.

The total is a sum and the weight its count, so that any number of micro-batches and processes adds up to
the same gradient: the step divides once, by the weight of them all.

What is asked lies in the batch: which tokens are targets, where, and what the model may see. So one
function, `predict_tokens`, serves every objective over text and every shape of model. The head is computed
for the places that are asked for and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from hornbook.data.batch import IGNORED, PADDING, Batch
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.mask import Mask
from hornbook.model.mixture import watched_balance
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shapes import AnyModel
from hornbook.train.cross_entropy import summed_cross_entropy


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

    classes: Float[Tensor, ""] | None = None
    """The loss of the rows' classes, each times its weight: learned from, and not in the total."""
    metrics: Mapping[str, tuple[Tensor, Tensor]] = MappingProxyType({})
    """Other means worth knowing, each as a sum and a count."""

    @property
    def learned(self) -> Float[Tensor, ""]:
        """What the gradient is taken of."""
        total = self.total if self.balance is None else self.total + self.balance
        return total if self.classes is None else total + self.classes


Objective = Callable[[AnyModel, Batch], Loss]


def predict_tokens(
    byte_lengths: Int[Tensor, " vocab"], parts: Sequence[str] = (), z_weight: float = 0.0
) -> Objective:
    """Predict the targets of a batch from what the model may see; each counts once.

    `byte_lengths` is the length of each token's text in bytes, 0 for special tokens. `parts` are the names of
    the objectives that a mixture is made of; loss and bits per byte of each become metrics. `z_weight` is
    that of `summed_cross_entropy`: in what is learned, and not in what is measured. A model with mixtures of
    experts learns to keep them in balance too: the mean of its layers' balance losses over the batch's
    tokens counts once for each prediction.
    """

    def objective(model: AnyModel, batch: Batch) -> Loss:
        assert batch.others is None, "one objective at a time: split the batch"
        with watched_balance(model) as balance:
            features = _features(model, batch)
        asked = features
        if batch.places is not None:
            asked = features.gather(1, batch.places.unsqueeze(-1).expand(-1, -1, features.size(-1)))
        targets = batch.targets.flatten()
        total = summed_cross_entropy(_head(model), asked.flatten(0, 1), targets, z_weight=z_weight)
        kept = targets[targets != IGNORED]
        weight = torch.tensor(float(len(kept)), device=total.device)
        n_bytes = byte_lengths.to(kept.device)[kept].sum().float()
        loss = Loss(total, weight, n_bytes, weight * torch.stack(balance).mean() if balance else None)
        if parts:
            name, sum_of_losses = parts[batch.part], total.detach()
            metrics = {f"{name}_loss": (sum_of_losses, weight)}
            metrics[f"{name}_bits_per_byte"] = sum_of_losses / log(2), n_bytes
            loss = loss._replace(metrics=metrics)
        return loss if batch.labels is None else _with_pairs(loss, model, features, batch)

    return objective


def classify(model: AnyModel, batch: Batch) -> Loss:
    """Put every row into its class; the loss counts rows, which stand for no bytes."""
    assert isinstance(model, Classifier) and batch.labels is not None
    real = None if batch.documents is None else batch.documents != PADDING
    with watched_balance(model) as balance:
        logits = model(batch.tokens, Mask(causal=model.sees.causal, padding=real), segments=batch.segments)
    total = functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
    count = torch.tensor(float(len(batch.labels)), device=total.device)
    beside = count * torch.stack(balance).mean() if balance else None
    return Loss(total, count, torch.zeros_like(count), beside)


def _features(model: AnyModel, batch: Batch) -> Float[Tensor, "batch seq d_model"]:
    """The vectors of all places, made of what the batch lets each place see."""
    tokens, documents = batch.tokens, batch.documents
    match model:
        case CausalLM():
            # An order says all: a place sees those before it, and the beginning sees itself both ways.
            return model.features(
                tokens, Mask(causal=batch.order is None, documents=documents, order=batch.order)
            )
        case MaskedLM():
            return model.features(tokens, Mask(causal=False, documents=documents), segments=batch.segments)
        case PermutationLM():
            return model.features(tokens, Mask(causal=False, documents=documents), order=batch.order)
        case Seq2SeqLM():
            assert batch.source is not None
            memory = model.encode(batch.source, Mask(causal=False, documents=batch.source_documents))
            return model.decoder.features(tokens, Mask(causal=True, documents=documents), memory=memory)
    raise AssertionError("a classifier predicts no tokens")


def _head(model: AnyModel) -> Callable[[Tensor], Tensor]:
    """What makes logits of vectors."""
    return model.decoder.logits if isinstance(model, Seq2SeqLM) else model.logits


def _with_pairs(loss: Loss, model: AnyModel, features: Tensor, batch: Batch) -> Loss:
    """A loss with that of the second question: does the second text of a row follow the first?"""
    assert isinstance(model, MaskedLM) and model.pairs is not None
    assert batch.labels is not None and batch.label_weights is not None
    logits = model.pairs(features).float()
    losses = functional.cross_entropy(logits, batch.labels, reduction="none")
    n_rows = torch.tensor(float(len(losses)), device=losses.device)
    n_right = (logits.argmax(-1) == batch.labels).sum().float()
    metrics = {"pairs_loss": (losses.sum().detach(), n_rows), "pairs_right": (n_right, n_rows)}
    return loss._replace(classes=(losses * batch.label_weights).sum(), metrics={**loss.metrics, **metrics})
