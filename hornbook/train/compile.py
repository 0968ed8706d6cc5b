"""Compiling a model for training, where that takes less time than it saves.

    pays = compiling_pays(steps * seconds_per_step, n_layers=4, device=device)
    compile_stacks(model, tell)

torch.compile turns the blocks of a model into one program of its own, in which what lies between matrix
products is done in one go. To make it takes minutes on a CPU, so a short run is better off without. The
stacks of blocks are compiled, each whole (`fullgraph`, which mixtures of experts need), and only for
learning: to measure and to write, which come in many lengths, the model computes as ever. Head and loss are
left to `cross_entropy`, which does them in chunks.

A compiled model rounds otherwise than one that is not, and drops other numbers out. Whether a run is compiled
is therefore settled before it starts and written down: resumed in the same way on the same machine, it goes
on bit for bit. Where there is no compiler the model is left as it is, and `tell` is told so.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hornbook.model.cache import KVCache
from hornbook.model.context import BlockContext
from hornbook.model.mixture import Mixture
from hornbook.model.stack import Stack

SECONDS = {"cpu": (20.0, 20.0), "cuda": (20.0, 3.0)}
"""What compiling takes, by kind of device: once, and for each layer more. On a CPU as measured once, on a
core of a busy machine (docs/benchmarks.md); for a GPU set by hand."""
SAVED = 0.25
"""Share of a step that it is expected to save. Set by hand, below what was measured."""
MARGIN = 2.0
"""How many times its cost it must be expected to save, since both are estimates."""
COMPILERS = ("c++", "g++", "clang++", "cl")

log = logging.getLogger(__name__)
Through = Callable[..., Tensor]


def compiling_pays(seconds: float, n_layers: int, device: torch.device) -> tuple[bool, str]:
    """Whether to compile for a run that takes so many seconds without, and a sentence that tells why."""
    if device.type not in SECONDS:
        return False, f"not compiled: nothing is known of what that takes on {device.type}"
    once, for_each = SECONDS[device.type]
    cost, saving = once + for_each * n_layers, SAVED * seconds
    estimate = f"it takes about {cost:,.0f} s and would save about {saving:,.0f} of {seconds:,.0f} s"
    if missing := missing_compiler(device):
        return False, f"not compiled: {missing}"
    return saving > MARGIN * cost, ("compiled: " if saving > MARGIN * cost else "not compiled: ") + estimate


def missing_compiler(device: torch.device) -> str | None:
    """What a compilation for this device lacks on this machine; None: nothing that can be seen from here."""
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "c++"), *COMPILERS))):
        return "there is no C++ compiler on this machine"
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "there is no triton for this GPU"
    return None


def compile_stacks(model: nn.Module, tell: Callable[[str], None], backend: str = "inductor") -> None:
    """Let every stack of blocks in a model learn compiled; what cannot be is told and left as it is."""
    for stack in [module for module in model.modules() if isinstance(module, Stack)]:
        if any(mixture.balance for mixture in stack.modules() if isinstance(mixture, Mixture)):
            # What watches the routers is no part of the program, and would see nothing.
            tell("not compiled: a mixture that is kept in balance is watched from outside")
        else:
            vars(stack)["through"] = CompiledThrough(stack, tell, backend)


class CompiledThrough:
    """What stands before a stack's own `through`: the compiled one where it learns, else the plain one."""

    def __init__(self, stack: Stack, tell: Callable[[str], None], backend: str) -> None:
        self.stack, self.tell = stack, tell
        self.plain: Through = stack.through
        self.fast: Through | None = torch.compile(self.plain, fullgraph=True, dynamic=False, backend=backend)

    def __call__(
        self, x: Float[Tensor, "batch seq d_model"], context: BlockContext, cache: KVCache | None = None
    ) -> Tensor:
        from torch._dynamo.exc import TorchDynamoException

        if cache is not None or self.fast is None or not (self.stack.training and torch.is_grad_enabled()):
            return self.plain(x, context, cache)
        try:
            return self.fast(x, context)
        except TorchDynamoException as error:
            self.fast = None
            log.info("compiling failed", exc_info=error)
            self.tell(f"not compiled: torch.compile failed ({str(error).strip().partition(os.linesep)[0]})")
            return self.plain(x, context)
