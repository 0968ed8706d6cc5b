"""Optimizers: the papers' equations, every weight in exactly one hand, and a memory that can be put away."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from model.small_models import CONFIGS, model_config, scrambled
from torch import Tensor, nn
from train.small_runs import OPTIMIZERS, optimizer_for, random_batch

from hornbook.model.config import HeadConfig, ModelConfig
from hornbook.model.models import CausalLM
from hornbook.train import muon, reference
from hornbook.train.config import AdamWConfig, MuonConfig
from hornbook.train.objectives import predict_tokens
from hornbook.train.optimizer import Optimizer, parameters_by_role
from hornbook.train.step import train_step

OBJECTIVE = predict_tokens(torch.ones(31, dtype=torch.int64))

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


def gradients(shape: tuple[int, ...], n: int) -> Iterable[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(shape, generator=generator) * 10.0 ** (i - 2) for i in range(n)]


def test_the_coefficients_do_what_their_docstring_says() -> None:
    a, b, c = muon.NEWTON_SCHULZ
    values = torch.linspace(0.01, 1, 2000, dtype=torch.float64)
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    assert values.min() > 0.68 and values.max() < 1.14


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)], ids=["square", "tall", "wide"])
@pytest.mark.parametrize("n_together", [1, 3])
def test_muon_is_the_reference(shape: tuple[int, int], n_together: int) -> None:
    """For one matrix and for several of a shape, which the fast one handles as one product."""
    generator = torch.Generator().manual_seed(0)
    fast = [nn.Parameter(torch.randn(shape, generator=generator)) for _ in range(n_together)]
    slow = [weight.detach().clone() for weight in fast]
    rule = reference.Muon(0.02, 0.95, 5)
    own = muon.Muon(fast, lr=0.02, momentum=0.95, steps=5, weight_decay=0.0, dtype=torch.float32)
    for gradient in gradients((n_together, *shape), 5):
        for i in range(n_together):
            fast[i].grad = gradient[i].clone()
            slow[i] = rule(str(i), slow[i], gradient[i])
        own.step()
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, atol=1e-6, rtol=1e-6)


def test_muon_decays_before_it_moves() -> None:
    """Decoupled decay: the weight shrinks by rate times decay, whatever its gradient."""
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    own = nn.Parameter(weight.clone())
    own.grad = gradient.clone()
    muon.Muon([own], lr=0.1, momentum=0.9, steps=5, weight_decay=0.5, dtype=torch.float32).step()
    wanted = reference.Muon(0.1, 0.9, 5)("w", weight, gradient) - 0.1 * 0.5 * weight
    torch.testing.assert_close(own.detach(), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5), (12, 3), (3, 12)], ids=["square", "tall", "wide"])
def test_orthogonalise_is_the_reference(shape: tuple[int, int]) -> None:
    matrices = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([reference.orthogonalise(matrix, 5) for matrix in matrices])
    torch.testing.assert_close(muon.orthogonalise(matrices, 5, torch.float32), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)], ids=["square", "tall", "wide"])
def test_orthogonalise_makes_directions_equally_strong(shape: tuple[int, int]) -> None:
    """Singular values come into the band the docstring names, and their vectors stay."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = muon.orthogonalise(matrix[None], 5, torch.float32)[0]
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.65 and values.max() < 1.25
    before, after = torch.linalg.svd(matrix, full_matrices=False), found
    between = before.U.T @ after @ before.Vh.T
    torch.testing.assert_close(between, torch.diag(between.diag()), atol=1e-5, rtol=0)


def test_orthogonalise_of_nothing_is_nothing() -> None:
    """A gradient of zeros, as the first step of zero-initialised branches has it, gives no NaN."""
    assert not muon.orthogonalise(torch.zeros(1, 4, 4), 5, torch.float32).any()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_the_reference(decay: float) -> None:
    config = AdamWConfig(learning_rate=0.01, weight_decay=decay)
    model = scrambled(CONFIGS["rotary"])
    own = Optimizer(model, config, torch.float32)
    rule = reference.AdamW(
        config.learning_rate, config.betas, config.eps, lambda name: decay * (name.count("norm") == 0)
    )
    slow = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        for name, weight in model.named_parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
            slow[name] = rule(name, slow[name], weight.grad)
        own.step(1.0)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.detach(), slow[name], atol=1e-6, rtol=1e-6)


TIED = model_config(head=HeadConfig(tied=True))
SHAPES = {**CONFIGS, "tied": TIED}


@pytest.mark.parametrize("config", list(SHAPES.values()), ids=list(SHAPES))
def test_every_weight_has_one_role(config: ModelConfig) -> None:
    model = CausalLM(config)
    roles = parameters_by_role(model)
    sorted_ids = [id(p) for group in roles.values() for p in group]
    assert len(sorted_ids) == len(set(sorted_ids)), "a weight has two roles"
    assert set(sorted_ids) == {id(p) for p in model.parameters()}, "a weight has no role"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("config", list(SHAPES.values()), ids=list(SHAPES))
def test_every_weight_is_updated_by_one_optimizer(config: ModelConfig, optimizer: str) -> None:
    model = CausalLM(config)
    parts = optimizer_for(model, optimizer).parts
    held = [id(p) for part in parts for group in part.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_groups_tell_what_is_updated_how(optimizer: str) -> None:
    model = CausalLM(CONFIGS["all norm slots"])
    roles = parameters_by_role(model)
    groups = {group.role: group for group in optimizer_for(model, optimizer).groups()}
    assert groups.keys() == roles.keys()
    for role, group in groups.items():
        assert (group.tensors, group.parameters) == (len(roles[role]), sum(p.numel() for p in roles[role]))
        assert group.rule == ("muon" if (optimizer, role) == ("muon", "matrices") else "adamw")
        assert group.weight_decay == (0.1 if optimizer == "adamw" and role != "vectors" else 0.0)
    rates = {role: group.learning_rate for role, group in groups.items()}
    if optimizer == "muon":
        assert rates == {"matrices": 0.02, "embeddings": 0.03, "head": 0.006, "vectors": 0.006}
    else:
        assert set(rates.values()) == {1e-3}


def test_the_groups_keep_their_peak_rates() -> None:
    model = scrambled(TIED)
    optimizer = optimizer_for(model)
    before = optimizer.groups()
    optimizer.step(0.25)
    assert optimizer.groups() == before


def roles_by_name(model: CausalLM) -> dict[str, set[str]]:
    names = {id(p): name for name, p in model.named_parameters()}
    return {role: {names[id(p)] for p in group} for role, group in parameters_by_role(model).items()}


def test_roles_are_what_their_names_say() -> None:
    roles = roles_by_name(CausalLM(CONFIGS["all norm slots"]))
    assert roles["embeddings"] == {"embedding.tokens.weight"}
    assert roles["head"] == {"head.weight"}
    assert {name.split(".")[-2] for name in roles["matrices"]} == {"q", "k", "v", "out", "gate", "up", "down"}
    assert {"embedding.norm.weight", "head.bias", "final_norm.weight"} < roles["vectors"]


def test_learned_positions_are_embeddings_and_a_tied_head_is_one_too() -> None:
    roles = roles_by_name(CausalLM(CONFIGS["learned positions"]))
    assert roles["embeddings"] == {"embedding.tokens.weight", "embedding.positions.weight"}
    assert roles["head"] == set()


def test_gains_and_biases_do_not_decay() -> None:
    model = CausalLM(CONFIGS["learned positions"])
    optimizer = Optimizer(model, AdamWConfig(weight_decay=0.1), torch.float32)
    for group in optimizer.parts[0].param_groups:
        dimensions = {p.ndim for p in group["params"]}
        assert dimensions == ({2} if group["weight_decay"] else {1})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_memory_can_be_put_away_and_taken_back(kind: str, device: str) -> None:
    """Three steps, or two, then new objects with the saved numbers and the third: the same bits."""
    straight = scrambled(CONFIGS["learned positions"]).to(device)
    optimizer = optimizer_for(straight, kind)
    for seed in range(3):
        if seed == 2:
            weights = {name: w.detach().cpu().clone() for name, w in straight.named_parameters()}
            saved = {key: value.cpu().clone() for key, value in optimizer.state().items()}
        step(straight, optimizer, seed)
    again = scrambled(CONFIGS["learned positions"], seed=9).to(device)
    with torch.no_grad():
        for name, weight in again.named_parameters():
            weight.copy_(weights[name])
    taken = optimizer_for(again, kind)
    taken.load(saved)
    step(again, taken, 2)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), straight.parameters(), strict=True))
    ours, theirs = taken.state(), optimizer.state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def step(model: CausalLM, optimizer: Optimizer, seed: int) -> None:
    batch = random_batch(seed=seed).to(next(model.parameters()).device)
    train_step(model, batch, OBJECTIVE, optimizer, learning_rate_share=1.0)


def test_the_memory_is_named_by_weight_and_quantity() -> None:
    model = scrambled(TIED)
    optimizer = Optimizer(model, MuonConfig(), torch.float32)
    assert optimizer.state() == {}
    step(model, optimizer, 0)
    names = {name for name, _ in model.named_parameters()}
    assert {key.rsplit("/", 1)[0] for key in optimizer.state()} == names
    assert {key.rsplit("/", 1)[1] for key in optimizer.state()} == {
        "momentum",
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


def test_taking_back_copies() -> None:
    """The numbers that were handed in are not changed by later steps."""
    model = scrambled(TIED)
    optimizer = optimizer_for(model)
    step(model, optimizer, 0)
    saved = {key: value.clone() for key, value in optimizer.state().items()}
    kept = {key: value.clone() for key, value in saved.items()}
    other = scrambled(TIED)
    taken = optimizer_for(other)
    taken.load(saved)
    step(other, taken, 1)
    assert all(torch.equal(saved[key], kept[key]) for key in kept)


def test_tables_inside_blocks_are_embeddings() -> None:
    """Muon would turn a table of rows as if it were a matrix that multiplies."""
    roles = roles_by_name(CausalLM(CONFIGS["shortcuts"]))
    table = "blocks.0.attention.layer.value_embedding.table.weight"
    assert table in roles["embeddings"]
    assert table.replace("table", "gate") in roles["matrices"]
