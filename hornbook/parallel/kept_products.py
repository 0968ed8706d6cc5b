"""Keeping the results of products: what "selective" recomputation does not compute a second time.

`kept_products` makes the pair of contexts that `torch.utils.checkpoint` takes: in the first pass the results
of matrix products and of attention kernels are kept in order, and the second pass is given them instead of
computing them again.

PyTorch has `create_selective_checkpoint_contexts` for this, which is taken where a model is compiled. Done
eagerly it demands that both passes consist of the same operations, and casts of weights break that: of two
forward passes under one `autocast` the second one finds the casts of the first. It also keeps what nobody
asks for, the last product of a block whose result is only added to the stream. Here products alone are
counted, and such a last one is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import create_selective_checkpoint_contexts

aten = torch.ops.aten

PRODUCTS = {aten.mm.default, aten.addmm.default, aten.linear.default}
ATTENTION = {
    aten._scaled_dot_product_flash_attention.default: 3,
    aten._scaled_dot_product_flash_attention_for_cpu.default: 3,
    aten._scaled_dot_product_efficient_attention.default: 5,
    aten._scaled_dot_product_cudnn_attention.default: 5,
    aten._scaled_dot_product_fused_attention_overrideable.default: 4,
    aten._scaled_dot_product_attention_math_for_mps.default: 4,
}
"""The kernels of attention, and the place of the dropout among their arguments."""
SAVE_NOTHING = {
    *(aten.add.Tensor, aten.view.default, aten._unsafe_view.default, aten.detach.default),
    torch.ops.prim.device.default,
}
"""What may follow a product without needing any number again for the gradient. Fake tensors, by which memory
is counted, are asked for their device as if that were an operation."""


def kept_products() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The contexts of the first pass and of all others: gradients may be asked for more than once."""
    if torch.compiler.is_compiling():
        first, second = create_selective_checkpoint_contexts(_keeps)
        return first, second
    both = KeptProducts()
    return both, both


def is_kept(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the result of an operation is worth its memory: much work in each number.

    That leaves out the table of attention scores, where it is written out: it has the most numbers of all,
    and each costs no more than the width of a head.
    """
    if operation in ATTENTION:
        # A kernel that drops weights draws random numbers. It must draw them again, or everything that is
        # drawn after it would come out differently.
        place = ATTENTION[operation]
        dropout: float = args[place] if place < len(args) else kwargs.get("dropout_p", 0.0)
        return dropout == 0.0
    if operation is aten.bmm.default:
        _, n_summed, n_columns = args[1].shape
        return bool(n_summed >= n_columns)
    return operation in PRODUCTS


class KeptProducts(TorchDispatchMode):
    """Keeps the results of products when it is entered first, and gives them back in order ever after."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.results: list[Any] = []
        """None: not kept after all."""
        self.is_first_pass = True
        self.n_given = 0
        self.ends_in_product = False

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if self.is_first_pass and self.ends_in_product:
            self.results[-1] = None
        self.is_first_pass, self.n_given = False, 0

    def __torch_dispatch__(
        self, operation: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_product = is_kept(operation, args, kwargs)
        if is_product and not self.is_first_pass:
            self.n_given += 1
            kept = self.results[self.n_given - 1]
            return operation(*args, **kwargs) if kept is None else _alias(kept)
        result = operation(*args, **kwargs)
        if is_product:
            self.results.append(_alias(result))
            self.ends_in_product = True
        elif self.is_first_pass:
            self.ends_in_product &= operation in SAVE_NOTHING
            if operation._schema.is_mutable:
                self._forget_changed(args)
        return result

    def _forget_changed(self, args: Sequence[Any]) -> None:
        """Forget the results that an operation in place may have written over; they are computed again."""
        changed = {_memory(each) for each in tree_leaves(args) if isinstance(each, Tensor)}
        for i, kept in enumerate(self.results):
            if changed & {_memory(each) for each in tree_leaves(kept) if isinstance(each, Tensor)}:
                self.results[i] = None


def _keeps(context: object, operation: Any, *args: Any, **kwargs: Any) -> bool:
    """`is_kept` as PyTorch asks it."""
    return is_kept(operation, args, kwargs)


def _alias(result: Any) -> Any:
    """The same numbers in the same memory, unknown to the graph that the given tensors belong to."""
    return tree_map(lambda each: each.detach() if isinstance(each, Tensor) else each, result)


def _memory(tensor: Tensor) -> int:
    """What tells one piece of memory from another, for fake tensors too, which have no place in it."""
    piece: int = tensor.untyped_storage()._cdata
    return piece
