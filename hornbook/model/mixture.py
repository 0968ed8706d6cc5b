"""A mixture of experts: many feed-forward parts, of which each token goes through a few.

A router gives each token a probability for every expert; those of the greatest probability work on it, and
their outputs are added, weighed by it. No token is dropped and no expert has a capacity (as in Gale et al.
2022): the tokens are sorted by expert, and each expert takes its own, however many there are.

Experts are modules of their own, not slices of one large tensor: so a weight has the name, the shape, the
start and the optimizer that it would have in a dense model.

A router that is left alone sends more and more tokens to the experts that happen to be good already.
`balance_loss` works against it. It is no part of a forward pass: an objective opens `watched_balance` around
it, which reads the routers' outputs as they go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from hornbook.model.feed_forward import FeedForward
from hornbook.model.part_config import MixtureConfig, PositionwiseConfig


class Mixture(nn.Module):
    """sum over the chosen experts e of share_e(x) * expert_e(x) (Jiang et al. 2024, section 2.1).

    A shared expert is added for every token, times sigmoid(shared_gate x) where it has a gate.
    """

    def __init__(self, config: MixtureConfig, d_model: int) -> None:
        super().__init__()
        self.n_chosen, self.normalise, self.balance = config.n_chosen, config.normalise, config.balance
        self.router = nn.Linear(d_model, config.n_experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config.expert, d_model) for _ in range(config.n_experts))
        shared = config.shared
        self.shared = None if shared is None else FeedForward(shared.expert, d_model)
        gated = shared is not None and shared.gate == "sigmoid"
        self.shared_gate = nn.Linear(d_model, 1, bias=False) if gated else None

    def forward(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq d_model"]:
        tokens = x.flatten(0, 1)
        mixed = self._mixed(tokens)
        if self.shared is not None:
            also = self.shared(tokens)
            if self.shared_gate is not None:
                also = torch.sigmoid(self.shared_gate(tokens)) * also
            mixed = mixed + also
        return mixed.unflatten(0, x.shape[:2])

    def _mixed(self, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token d_model"]:
        """What the chosen experts make of each token. All experts are called, so that all have gradients."""
        shares, chosen = choose(self.router(x), self.n_chosen, self.normalise)
        # One line for each choice of each token, then sorted: all lines of expert 0, all of expert 1, ...
        expert_of_line = chosen.flatten()
        order = expert_of_line.argsort(stable=True)
        n_lines = functional.one_hot(expert_of_line, len(self.experts)).sum(0).tolist()
        own = x[order // self.n_chosen].split(n_lines)
        done = torch.cat([expert(lines) for expert, lines in zip(self.experts, own, strict=True)])
        by_token = done[order.argsort()].unflatten(0, (-1, self.n_chosen))
        return (by_token * shares.to(done.dtype).unsqueeze(-1)).sum(1)


def choose(
    logits: Float[Tensor, "token expert"], n_chosen: int, normalise: bool
) -> tuple[Float[Tensor, "token n_chosen"], Int[Tensor, "token n_chosen"]]:
    """The experts of the greatest probability, and these probabilities, in float32.

    Of equally probable experts the first is taken, so that a run can be repeated: in bfloat16 such ties are
    common, and `topk` promises nothing about them.
    """
    ranked = torch.softmax(logits.float(), dim=-1).sort(dim=-1, descending=True, stable=True)
    shares, chosen = ranked.values[:, :n_chosen], ranked.indices[:, :n_chosen]
    return (shares / shares.sum(-1, keepdim=True) if normalise else shares), chosen


def balance_loss(logits: Float[Tensor, "token expert"], n_chosen: int) -> Float[Tensor, ""]:
    """n_experts * sum over experts of (share of tokens it is chosen for) * (its mean probability).

    Least, and equal to `n_chosen`, where both are even. Only the probabilities have a gradient: it draws them
    away from the experts in demand (Fedus et al. 2021, equation 4, with more than one choice).
    """
    _, chosen = choose(logits, n_chosen, normalise=False)
    n_experts = logits.size(-1)
    demand = functional.one_hot(chosen, n_experts).sum(1).float().mean(0)
    return n_experts * (demand * torch.softmax(logits.float(), dim=-1).mean(0)).sum()


@contextmanager
def watched_balance(model: nn.Module) -> Iterator[list[Float[Tensor, ""]]]:
    """Collect the balance loss of every mixture that a forward pass goes through, times its weight.

    Mixtures of weight 0 are passed over, and a model without others leaves the list empty. The model must not
    have been compiled before: the watching would be left out of the compiled program.
    """
    losses: list[Float[Tensor, ""]] = []

    def watch(mixture: Mixture) -> torch.utils.hooks.RemovableHandle:
        def collect(router: nn.Module, inputs: object, logits: Tensor) -> None:
            losses.append(mixture.balance * balance_loss(logits, mixture.n_chosen))

        return mixture.router.register_forward_hook(collect)

    handles = [watch(m) for m in model.modules() if isinstance(m, Mixture) and m.balance]
    try:
        yield losses
    finally:
        for handle in handles:
            handle.remove()
    assert losses or not handles, "no router was seen at work"


def build_positionwise(config: PositionwiseConfig, d_model: int) -> FeedForward | Mixture:
    """Return the configured feed-forward part, or the mixture of them."""
    return Mixture(config, d_model) if isinstance(config, MixtureConfig) else FeedForward(config, d_model)
