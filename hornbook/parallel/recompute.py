"""Recomputation: what a block computed is forgotten, and computed again when its gradient is due.

    recompute(model, "none")         # keep everything, as a model does by itself
    recompute(model, "selective")    # keep the input of each block and the results of its products
    recompute(model, "block")        # keep the input of each block and nothing else

A backward pass needs what the forward pass computed, and that takes most of the memory of a training step. It
can be bought back with time (Chen et al. 2016): "block" repeats the forward pass of each block, "selective"
only what is cheap in it, norms, activations, rotations, and the table of attention scores where it is written
out (as in Korthikanti et al. 2022, section 5). Losses and gradients stay the same to the bit: the second pass
draws the same dropout, in the same precision.

It is applied from outside, to any model that is made of blocks, and can be changed at any time. The names of
weights stay as they are. Only learning is concerned: a block in evaluation, without gradients or with a cache
runs as ever. docs/benchmarks.md says what it costs. Devices, processes and what is learned are unknown here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hornbook.base.errors import ConfigError, did_you_mean
from hornbook.model.block import Block
from hornbook.model.cache import BlockCache
from hornbook.model.context import BlockContext
from hornbook.model.mixture import Mixture
from hornbook.parallel.kept_products import kept_products

Recomputation: TypeAlias = Literal["none", "selective", "block"]
Call: TypeAlias = tuple[nn.Module, Any, Tensor]
"""What a forward hook is called with: the module, its inputs and its output."""


def recompute(model: nn.Module, how: Recomputation) -> None:
    """Let all blocks of a model compute again what their gradients need, in place of what was said before.

    Raises `ConfigError` for another word than these three, and for a model without blocks.
    """
    forwards = {"none": None, "selective": _keep_products, "block": _keep_input}
    if how not in forwards:
        raise ConfigError(f"there is no recomputation {how!r}; {did_you_mean(how, forwards)}")
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    if not blocks:
        raise ConfigError(f"{type(model).__name__} has no blocks, so there is nothing to compute again in it")
    for block in blocks:
        vars(block).pop("forward", None)
        forward = forwards[how]
        if forward is not None:
            # Beside the class's method and no module around the block, so that names stay; bound to the
            # block, so that a copy of the model computes with its own weights.
            vars(block)["forward"] = MethodType(forward, block)


def _keep_input(block: Block, x: Tensor, context: BlockContext, cache: BlockCache | None = None) -> Tensor:
    return _forward(partial(checkpoint, use_reentrant=False), block, x, context, cache)


def _keep_products(block: Block, x: Tensor, context: BlockContext, cache: BlockCache | None = None) -> Tensor:
    return _forward(
        partial(checkpoint, use_reentrant=False, context_fn=kept_products), block, x, context, cache
    )


def _forward(
    twice: Callable[..., Tensor], block: Block, x: Tensor, context: BlockContext, cache: BlockCache | None
) -> Tensor:
    """What a block makes of x. Where it learns, `twice` runs it, so that it can be run again."""
    forward = type(block).forward
    if cache is not None or not block.training or not torch.is_grad_enabled():
        return forward(block, x, context, cache)
    routers = [module.router for module in block.modules() if isinstance(module, Mixture)]
    watched = [router for router in routers if router._forward_hooks]
    if not watched:
        return twice(forward, block, x, context)
    calls: list[Call] | None = []

    def unwatched(block: Block, x: Tensor, context: BlockContext) -> Tensor:
        with _hooks_aside(watched, calls):
            return forward(block, x, context)

    y = twice(unwatched, block, x, context)
    # What watches a router, as `watched_balance` does, is shown the first pass alone, and only now: what it
    # saves for a gradient of its own would be looked for in the second pass too.
    missed, calls = calls, None
    for router, inputs, logits in missed or ():
        for watch in router._forward_hooks.values():
            watch(router, inputs, logits)
    return y


@contextmanager
def _hooks_aside(routers: list[nn.Linear], calls: list[Call] | None) -> Iterator[None]:
    """Let nothing watch the routers for a while, and list what there was to see; None: nobody asks."""
    held = [router._forward_hooks for router in routers]
    for router in routers:
        router._forward_hooks = OrderedDict()
        if calls is not None:
            router.register_forward_hook(lambda *call: calls.append(call))
    try:
        yield
    finally:
        for router, hooks in zip(routers, held, strict=True):
            router._forward_hooks = hooks
