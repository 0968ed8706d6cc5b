"""The mixture of experts to read: one token after the other, one expert after the other.

The tests prove it equal to `mixture.py`: same weights, same numbers. It is a file of its own beside
`reference.py`, which is the transformer without it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from hornbook.model.reference import silu, softmax


def mixture(
    weights: Mapping[str, Tensor], x: Float[Tensor, "seq d_model"], n_chosen: int, normalise: bool
) -> Float[Tensor, "seq d_model"]:
    """Each token asks the experts it is likeliest to belong to, and mixes their answers.

    An answer counts as much as its expert is likely (Shazeer et al. 2017, equations 1 and 2, with the choice
    made after the softmax). `weights` are those of a `Mixture` of silu-gated experts without biases.
    """
    mixed = torch.zeros_like(x)
    for t, token in enumerate(x):
        likely = softmax(weights["router.weight"] @ token)
        best = most_likely(likely, n_chosen)
        whole = likely[best].sum() if normalise else 1.0
        for e in best:
            mixed[t] += likely[e] / whole * expert(weights, f"experts.{e}", token)
        if "shared.up.weight" in weights:
            answer = expert(weights, "shared", token)
            if "shared_gate.weight" in weights:
                answer = answer / (1 + torch.exp(-weights["shared_gate.weight"] @ token))
            mixed[t] += answer
    return mixed


def most_likely(likely: Float[Tensor, " experts"], n_chosen: int) -> list[int]:
    """The experts of the greatest probability; of equal ones the first."""
    return sorted(range(len(likely)), key=lambda e: -likely[e].item())[:n_chosen]


def expert(
    weights: Mapping[str, Tensor], name: str, token: Float[Tensor, " d_model"]
) -> Float[Tensor, " d_model"]:
    """One expert's answer to one token: down(silu(gate(x)) * up(x)) (Shazeer 2020)."""
    up, gate, down = (weights[f"{name}.{matrix}.weight"] for matrix in ("up", "gate", "down"))
    answer: Tensor = down @ (silu(gate @ token) * (up @ token))
    return answer


def balance_loss(logits: Float[Tensor, "seq experts"], n_chosen: int) -> float:
    """How unevenly experts are used: n_chosen where it is even, more where few of them do all the work.

    For each expert, the share of the tokens that choose it times its mean probability (Fedus et al. 2021,
    equations 4 to 6).
    """
    n_tokens, n_experts = logits.shape
    likely = [softmax(row) for row in logits]
    total = 0.0
    for e in range(n_experts):
        chosen = sum(e in most_likely(row, n_chosen) for row in likely) / n_tokens
        probability = sum(row[e].item() for row in likely) / n_tokens
        total += chosen * probability
    return n_experts * total
