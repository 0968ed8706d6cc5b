"""Cross-entropy without the table of all logits: the head and its loss, a few rows of features at a time.

    features = model.features(tokens, mask)
    total = summed_cross_entropy(model.logits, features.flatten(0, 1), targets.flatten())
    total.backward()

A vocabulary is wide: the logits of a batch, their probabilities and the gradient of both are the largest
tensors of a small model's step. Here the forward pass takes ROWS rows through the head, computes their loss
and at once their gradients, and forgets the logits; what is left for the backward pass has the size of the
features and of the head's weights. Nothing is computed twice. The head is any function of features and of
weights of its own: with a bias, a scale, a cap, tied to the embedding or with more layers. Its weights are
found in the graph that it makes.

Models, batches and what a target stands for are unknown here; `reference.cross_entropy` is the twin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.graph import Node

from hornbook.data.batch import IGNORED

ROWS = 1024
"""Rows of logits that live at a time. Fewer make products inefficient: each time round, the gradient of the
head's weights is added up once more."""

Head: TypeAlias = Callable[[Tensor], Tensor]
"""From features [row, d_model] to logits [row, vocab]."""


def summed_cross_entropy(
    head: Head,
    features: Float[Tensor, "row d_model"],
    targets: Int[Tensor, " row"],
    *,
    z_weight: float = 0.0,
    rows: int = ROWS,
) -> Float[Tensor, ""]:
    """The cross-entropy in nats, summed over all rows whose target is not IGNORED.

    `z_weight` times the square of the log of the softmax's denominator is learned as well (Chowdhery et al.
    2022, section 5), which keeps logits from drifting away; it is in the gradient and not in the number
    returned. The gradient can be asked for once.
    """
    kept = targets != IGNORED
    if not bool(kept.all()):
        features, targets = features[kept], targets[kept]  # Nothing is computed for what counts for nothing.
    weights = _weights_of(head, features) if torch.is_grad_enabled() else []
    if not weights and not (torch.is_grad_enabled() and features.requires_grad):
        pieces = zip(features.split(rows), targets.split(rows), strict=True)
        return torch.stack([_losses(_logs(head(x)), y).sum() for x, y in pieces]).sum()
    total: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        head, targets, z_weight, rows, features, *weights
    )
    return total


class _ChunkedLoss(torch.autograd.Function):
    """The loss of all chunks, and the gradients of features and weights, which wait for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, head: Head, targets: Tensor, z_weight: float, rows: int, features: Tensor, *weights: Tensor
    ) -> Tensor:
        gradients = [torch.zeros_like(each) for each in (features, *weights)]
        totals = []
        for x, y, own in zip(*(each.split(rows) for each in (features, targets, gradients[0])), strict=True):
            totals.append(_learn(head, x, y, z_weight, weights, [own, *gradients[1:]]))
        ctx.gradients = gradients
        return torch.stack(totals).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        assert gradients is not None, "the gradient of a summed_cross_entropy can be asked for once"
        torch._foreach_mul_(gradients, upstream[0])
        return None, None, None, None, *gradients


def _learn(
    head: Head,
    x: Tensor,
    targets: Tensor,
    z_weight: float,
    weights: Sequence[Tensor],
    gradients: list[Tensor],
) -> Tensor:
    """The loss of one chunk; the gradients of its features and of the weights are added to those given."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = head(x)
    logs = _logs(logits.detach())
    losses = _losses(logs, targets)
    z = logits.detach().gather(-1, targets.unsqueeze(-1)) + losses if z_weight else None
    slope = _slope(logs, targets, None if z is None else 2 * z_weight * z)
    torch._foreach_add_(gradients, torch.autograd.grad(logits, [x, *weights], slope.to(logits.dtype)))
    return losses.sum()


def _logs(logits: Tensor) -> Tensor:
    """The log of the softmax, in float32."""
    return torch.log_softmax(logits, -1, dtype=torch.float32)


def _losses(logs: Tensor, targets: Tensor) -> Tensor:
    """The loss of each row [row, 1]."""
    return -logs.gather(-1, targets.unsqueeze(-1))


def _slope(logs: Tensor, targets: Tensor, also: Tensor | None) -> Tensor:
    """The gradient of the losses at the logits, written over `logs`: softmax, less one at the target.

    The gradient of z^2, for z the log of the softmax's denominator, is 2 z softmax: so many times the softmax
    is `also` added.
    """
    slope = logs.exp_()
    if also is not None:
        slope.mul_(1 + also)
    at = targets.unsqueeze(-1)
    return slope.scatter_add_(-1, at, torch.full_like(at, -1.0, dtype=slope.dtype))


def _weights_of(head: Head, features: Tensor) -> list[Tensor]:
    """The weights that a head computes with and that learn: the leaves of the graph it makes of no rows."""
    found: dict[Node, Tensor] = {}
    seen: set[Node] = set()
    front = [head(features[:0].detach()).grad_fn]
    while front:
        node = front.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # AccumulateGrad, which ends every path, and knows where to.
            found[node] = node.variable
        front += [before for before, _ in node.next_functions]
    return list(found.values())
