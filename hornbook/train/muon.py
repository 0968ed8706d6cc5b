"""Muon: momentum whose update is made orthogonal, for the matrices inside blocks (Jordan et al. 2024).

A gradient matrix has a few strong directions and many weak ones; Muon keeps the directions and makes them
equally strong. Matrices of one shape are handled together, as one batched product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration; five rounds bring what lies in 0.01 to 1 between 0.68 and 1.14."""


class Muon(torch.optim.Optimizer):
    """The optimizer for two-dimensional weights; `dtype` is the type of its matrix products."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        steps: int,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "steps": steps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for same in shapes.values():
                self._update(same, group)

    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        means = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, means, group["momentum"])  # Nesterov's look ahead
        updates = orthogonalise(torch.stack(ahead), group["steps"], self.dtype).to(means[0].dtype)
        weights: list[Tensor] = list(parameters)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        rows, columns = parameters[0].shape
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        torch._foreach_add_(weights, updates.unbind(), alpha=-rate)


def orthogonalise(
    matrices: Float[Tensor, "batch rows columns"], steps: int, dtype: torch.dtype
) -> Float[Tensor, "batch rows columns"]:
    """Bring all singular values of each matrix near one, by Newton-Schulz iteration: products in `dtype`."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    # Before the cast: small gradients would be nothing in float16.
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(steps):
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
