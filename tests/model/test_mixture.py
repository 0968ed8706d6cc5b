"""A mixture of experts equals the one to read, drops no token, and its balance loss is the papers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from model.small_models import CONFIGS, EXPERT, block, model_config, scrambled, some_tokens

from hornbook.model import mixture_reference
from hornbook.model.mixture import Mixture, balance_loss, choose, watched_balance
from hornbook.model.part_config import MixtureConfig, SharedExpertConfig

WIDTH = 16


def small(
    n_experts: int = 5,
    n_chosen: int = 2,
    normalise: bool = True,
    shared: Literal["open", "sigmoid"] | None = None,
) -> Mixture:
    """A mixture of width 16 whose router has opinions."""
    also = None if shared is None else SharedExpertConfig(expert=EXPERT, gate=shared)
    config = MixtureConfig(
        expert=EXPERT, n_experts=n_experts, n_chosen=n_chosen, normalise=normalise, shared=also
    )
    mixture = Mixture(config, WIDTH)
    generator = torch.Generator().manual_seed(n_experts)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return mixture


def vectors(seed: int = 0) -> torch.Tensor:
    """Two sequences of seven positions."""
    return torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(seed))


def readable(mixture: Mixture, x: torch.Tensor) -> torch.Tensor:
    """What the mixture to read makes of a batch."""
    rows = [
        mixture_reference.mixture(mixture.state_dict(), row, mixture.n_chosen, mixture.normalise) for row in x
    ]
    return torch.stack(rows)


@pytest.mark.parametrize("shared", [None, "open", "sigmoid"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("n_experts", "n_chosen"), [(1, 1), (5, 1), (5, 2), (3, 3), (40, 2)])
def test_a_mixture_is_the_reference(
    n_experts: int, n_chosen: int, normalise: bool, shared: Literal["open", "sigmoid"] | None
) -> None:
    """Forty experts for fourteen tokens leave some without a token."""
    mixture, x = small(n_experts, n_chosen, normalise, shared), vectors()
    torch.testing.assert_close(mixture(x), readable(mixture, x), atol=1e-5, rtol=1e-5)


def all_alike(router: torch.Tensor) -> None:
    router.zero_()


def in_pairs(router: torch.Tensor) -> None:
    router[2], router[3] = router[0], router[1]


@pytest.mark.parametrize("tie", [all_alike, in_pairs])
def test_of_equally_likely_experts_the_first_is_taken(tie: Callable[[torch.Tensor], None]) -> None:
    mixture, x = small(n_experts=40 if tie is all_alike else 4), vectors()
    with torch.no_grad():
        tie(mixture.router.weight)
        torch.testing.assert_close(mixture(x), readable(mixture, x), atol=1e-5, rtol=1e-5)
        _, chosen = choose(mixture.router(x).flatten(0, 1), 2, True)
    if tie is all_alike:
        assert chosen.tolist() == [[0, 1]] * 14
    assert (chosen[:, 0] < 2).all()


def test_an_expert_that_has_all_tokens_drops_none() -> None:
    """No capacity: the whole batch goes through expert 3, and each token gets its whole answer."""
    mixture, x = small(n_experts=4, n_chosen=1), vectors().abs()
    with torch.no_grad():
        mixture.router.weight.zero_()
        mixture.router.weight[3] = 5.0
        torch.testing.assert_close(mixture(x), mixture.experts[3](x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
def test_gradients_are_those_of_the_reference(normalise: bool) -> None:
    """An expert without a token has zeros, not nothing: all processes have gradients for the same weights."""
    mixture = small(n_experts=40, normalise=normalise, shared="sigmoid")
    x, direction = vectors(), vectors(seed=1)
    (mixture(x) * direction).sum().backward()
    weights = {name: p.detach().clone().requires_grad_() for name, p in mixture.named_parameters()}
    rows = [mixture_reference.mixture(weights, row, 2, normalise) for row in x]
    (torch.stack(rows) * direction).sum().backward()
    idle = 0
    for name, parameter in mixture.named_parameters():
        wanted = weights[name].grad
        idle += wanted is None
        torch.testing.assert_close(
            parameter.grad, torch.zeros_like(parameter) if wanted is None else wanted, atol=1e-5, rtol=1e-5
        )
    assert idle > 0, "some expert should have no token"


def test_the_balance_loss_is_the_reference() -> None:
    for n_experts, n_chosen in [(4, 1), (5, 2), (3, 3)]:
        logits = 2 * torch.randn(11, n_experts, generator=torch.Generator().manual_seed(n_experts))
        wanted = mixture_reference.balance_loss(logits, n_chosen)
        assert balance_loss(logits, n_chosen).item() == pytest.approx(wanted, rel=1e-5)


def test_balance_is_least_where_it_is_even() -> None:
    turns = 4.0 * torch.eye(4)
    assert balance_loss(turns, 1).item() == pytest.approx(1)
    assert balance_loss(turns + turns.roll(1, 0), 2).item() == pytest.approx(2)
    assert balance_loss(torch.tensor([[50.0, 0, 0, 0]] * 4), 1).item() == pytest.approx(4)


def test_the_balance_loss_draws_away_from_the_expert_in_demand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 0.0, 1.0]], requires_grad=True)
    balance_loss(logits, 1).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] > 0).all()
    assert (logits.grad[:, 1:] < 0).all()


def test_every_mixture_of_a_model_is_watched() -> None:
    """The losses are those of what went through each router, times the weight of each."""
    model, tokens = scrambled(CONFIGS["experts"]), some_tokens(2, 9)
    seen: list[torch.Tensor] = []
    for layer in model.layers:
        layer.feed_forward.layer.router.register_forward_hook(lambda _, __, logits: seen.append(logits))
    with watched_balance(model) as losses:
        model(tokens)
    wanted = [0.01 * balance_loss(logits, 2).item() for logits in seen]
    assert [loss.item() for loss in losses] == pytest.approx(wanted, rel=1e-6)
    model(tokens)
    assert (len(losses), len(seen)) == (2, 4), "the watch has ended, and other hooks have not"


def test_nothing_is_watched_where_nothing_is_to_be_balanced() -> None:
    free = MixtureConfig(expert=EXPERT, n_experts=4, n_chosen=2, balance=0.0)
    for config in (CONFIGS["rotary"], model_config(block(feed_forward=free))):
        model = scrambled(config)
        with watched_balance(model) as losses:
            model(some_tokens(1, 5))
        assert losses == []


def test_a_watch_without_a_forward_pass_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="no router"), watched_balance(scrambled(CONFIGS["experts"])):
        pass


def test_the_watch_ends_with_an_error_too() -> None:
    model = scrambled(CONFIGS["experts"])
    with pytest.raises(ZeroDivisionError), watched_balance(model):
        raise ZeroDivisionError
    assert all(not m.router._forward_hooks for m in model.modules() if isinstance(m, Mixture))


def theirs(shared: bool, normalise: bool) -> tuple[torch.nn.Module, Callable[..., Any]]:
    """A block of transformers, and the function there that judges its balance."""
    from transformers.models.mixtral import modeling_mixtral as mixtral
    from transformers.models.qwen2_moe import modeling_qwen2_moe as qwen

    sizes = {"hidden_size": WIDTH, "num_experts_per_tok": 2, "hidden_act": "silu"}
    if shared:
        config = qwen.Qwen2MoeConfig(
            **sizes,
            num_experts=5,
            moe_intermediate_size=EXPERT.d_ff,
            shared_expert_intermediate_size=EXPERT.d_ff,
            norm_topk_prob=normalise,
        )
        return qwen.Qwen2MoeSparseMoeBlock(config), qwen.load_balancing_loss_func
    small_config = mixtral.MixtralConfig(**sizes, num_local_experts=5, intermediate_size=EXPERT.d_ff)
    return mixtral.MixtralSparseMoeBlock(small_config), mixtral.load_balancing_loss_func


@pytest.mark.parametrize(("shared", "normalise"), [(False, True), (True, True), (True, False)])
def test_a_mixture_is_that_of_transformers(shared: bool, normalise: bool) -> None:
    """Values and gradients, and the balance loss of one layer.

    Of several layers transformers counts the tokens together, so that one layer's favourite can make up for
    another's; here each layer is balanced for itself, as in Fedus et al. 2021, and the mean is taken.
    """
    ours = small(normalise=normalise, shared="sigmoid" if shared else None)
    other, their_balance = theirs(shared, normalise)
    weights = {"gate.weight": ours.router.weight}
    experts = list(ours.experts)
    weights["experts.gate_up_proj"] = torch.stack([torch.cat((e.gate.weight, e.up.weight)) for e in experts])
    weights["experts.down_proj"] = torch.stack([e.down.weight for e in experts])
    if ours.shared is not None and ours.shared_gate is not None:
        assert ours.shared.gate is not None
        weights["shared_expert_gate.weight"] = ours.shared_gate.weight
        for name in ("gate", "up", "down"):
            weights[f"shared_expert.{name}_proj.weight"] = getattr(ours.shared, name).weight
    other.load_state_dict(weights)
    x, same = vectors().requires_grad_(), vectors().requires_grad_()
    mixed, wanted = ours(x), other(same)
    torch.testing.assert_close(mixed, wanted, atol=1e-5, rtol=1e-5)
    direction = vectors(seed=1)
    (mixed * direction).sum().backward()
    (wanted * direction).sum().backward()
    torch.testing.assert_close(x.grad, same.grad, atol=1e-5, rtol=1e-5)
    assert ours.router.weight.grad is not None
    torch.testing.assert_close(ours.router.weight.grad, other.gate.weight.grad, atol=1e-5, rtol=1e-5)
    logits = ours.router(vectors().flatten(0, 1))
    assert balance_loss(logits, 2).item() == pytest.approx(their_balance((logits,), 5, 2).item(), rel=1e-5)


def test_a_mixture_under_autocast_is_near_the_reference() -> None:
    """Vectors in bfloat16, as the residual stream is then; the router's probabilities stay in float32."""
    mixture, x = small(n_experts=40, shared="sigmoid"), vectors().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mixture(x)
        shares, _ = choose(mixture.router(x).flatten(0, 1), 2, True)
    assert (mixed.dtype, shares.dtype) == (torch.bfloat16, torch.float32)
    mixed.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in mixture.parameters())
    # eight bits of mantissa in each of some five steps, on outputs of up to ten
    torch.testing.assert_close(mixed.float(), readable(mixture, x.float()), atol=0.15, rtol=0.05)
