"""Norms: the gradient of RMSNorm that is written by hand is the one that PyTorch finds piece by piece."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hornbook.model.reference import rms_norm
from hornbook.model.root_mean_square import scaled

EPS = 1e-6
SHAPES = {"rows": (7, 12), "heads": (2, 5, 3, 8), "one": (16,)}
HALVES = {torch.bfloat16: 2**-8, torch.float16: 2**-11}


def some(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors of very different lengths, gains, and a gradient of the result."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=draw, dtype=torch.float64)
    x = x * torch.logspace(-3, 3, x[..., :1].numel(), dtype=torch.float64).view(x[..., :1].shape)
    gain, dy = (torch.randn(size, generator=draw, dtype=torch.float64) for size in (shape[-1:], shape))
    return x.to(dtype).requires_grad_(), gain.to(dtype).requires_grad_(), dy.to(dtype)


def gradients(y: Tensor, x: Tensor, gain: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, (x, gain), dy)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALVES])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_are_pytorchs_to_the_bit(shape: str, dtype: torch.dtype) -> None:
    x, gain, _ = some(SHAPES[shape], dtype)
    found = scaled(x, gain, EPS)
    assert found.dtype == dtype and torch.equal(found, functional.rms_norm(x, gain.shape, gain, EPS))
    with torch.no_grad():
        assert torch.equal(scaled(x, gain, EPS), found)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_the_reference(shape: str) -> None:
    x, gain, dy = some(SHAPES[shape], torch.float64)
    expected = gradients(rms_norm(x, gain, EPS), x, gain, dy)
    torch.testing.assert_close(gradients(scaled(x, gain, EPS), x, gain, dy), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_numbers_may_lie_in_any_order(turned: bool) -> None:
    x, gain, dy = some(SHAPES["heads"], torch.float64)
    y = scaled(x.transpose(1, 2), gain, EPS)
    dy = dy.transpose(1, 2) if turned else dy.transpose(1, 2).contiguous()
    expected = gradients(rms_norm(x.transpose(1, 2), gain, EPS), x, gain, dy)
    torch.testing.assert_close(gradients(y, x, gain, dy), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_costs_a_rounding(dtype: torch.dtype) -> None:
    """Within one unit in the last place of the exact gradient, taken over all its numbers."""
    x, gain, dy = some((64, 96), dtype)
    exact = [each.detach().double().requires_grad_() for each in (x, gain, dy)]
    expected = gradients(rms_norm(exact[0], exact[1], EPS), *exact)
    for found, wanted in zip(gradients(scaled(x, gain, EPS), x, gain, dy), expected, strict=True):
        assert (found.double() - wanted).norm() <= HALVES[dtype] * wanted.norm()


def test_little_is_kept_for_the_gradient() -> None:
    """The vectors themselves, the gain, and a number for each vector: no wider copy of them."""
    x, gain, _ = some((64, 96), torch.bfloat16)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        scaled(x, gain, EPS)
    assert sorted(each.nbytes for each in kept) == sorted([x.nbytes, gain.nbytes, 64 * 4])


@pytest.mark.parametrize("frozen", ["", "gain", "x"])
def test_the_gradient_has_a_gradient(frozen: str) -> None:
    x, gain, dy = some(SHAPES["heads"], torch.float64)
    moving = [each for name, each in (("x", x), ("gain", gain)) if name != frozen]
    if frozen:
        (gain if frozen == "gain" else x).requires_grad_(False)
    dy.requires_grad_()

    def bent(y: Tensor) -> tuple[Tensor, ...]:
        first = torch.autograd.grad(y, moving, dy, create_graph=True)
        return torch.autograd.grad(
            sum(each.square().sum() for each in first), [*moving, dy], allow_unused=True
        )

    expected = bent(rms_norm(x, gain, EPS))
    torch.testing.assert_close(bent(scaled(x, gain, EPS)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("frozen", ["gain", "x"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    x, gain, dy = some(SHAPES["rows"], torch.float64)
    (gain if frozen == "gain" else x).requires_grad_(False)
    moving = x if frozen == "gain" else gain
    (expected,) = torch.autograd.grad(rms_norm(x, gain, EPS), moving, dy)
    scaled(x, gain, EPS).backward(dy)
    torch.testing.assert_close(moving.grad, expected, rtol=1e-10, atol=1e-12)
    assert gain.grad is None or x.grad is None
