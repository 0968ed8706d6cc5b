"""Memory, counted: what a computation holds and the most that it holds at any moment, without doing it.

    with imagined():                                  # tensors with a shape, a type, a device, and no numbers
        model = build_model(config)
        with HeldBytes(model.parameters()) as held:
            model(tokens).sum().backward()
    held.peak

The code that is counted is the code that is run: the same kernels are chosen for the same device, the same
tensors are kept for the gradient and freed when it is there. No formula can drift from it. PyTorch calls such
tensors fake; they lie on the meta device and only say that they are on another.

What is not seen is what a kernel takes for itself while it works, and what an allocator holds without need.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from hornbook.model.config import StackConfig
from hornbook.model.mixture import Mixture
from hornbook.model.shape_config import AnyConfig

aten = torch.ops.aten


class HeldBytes(TorchDispatchMode):
    """Follows every piece of memory that operations make, from its making to its end; it keeps none alive.

    Memory that several tensors look at counts once. `known` was there before and does not count.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        """Bytes that live at this moment."""
        self.peak = 0
        """The most that lived at any moment."""
        self._pieces: dict[int, object] = {_piece(tensor)._cdata: None for tensor in known}

    def __torch_dispatch__(
        self, operation: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self._follow(_piece(tensor))
        return result

    def _follow(self, piece: torch.UntypedStorage) -> None:
        """Count a piece of memory until it is gone."""
        key, n_bytes = piece._cdata, piece.nbytes()
        if key in self._pieces:
            return

        def end(reference: object) -> None:
            self.now -= n_bytes
            del self._pieces[key]

        self._pieces[key] = weakref.ref(piece, end)
        self.now += n_bytes
        self.peak = max(self.peak, self.now)


@dataclass(frozen=True)
class Held:
    """What is held beside the weights, in bytes."""

    kept: int
    """What a forward pass leaves for the backward pass."""
    lasting: int
    """What is there in the end: gradients, or a cache."""
    peak: int
    """The most at any moment."""


def held_by_pass(
    model: nn.Module, forward: Callable[[], Tensor], inputs: Iterable[Tensor] = (), *, accumulates: bool
) -> Held:
    """Count a forward pass, which returns a loss, and its backward pass; maybe there are gradients already.

    `inputs` are there before and do not count.
    """
    with HeldBytes([*model.parameters(), *inputs]) as held:
        for weight in model.parameters():
            weight.grad = torch.empty_like(weight) if accumulates else None
        before = held.now
        loss = forward()
        kept = held.now - before
        loss.backward()
        gradients = n_bytes(weight.grad for weight in model.parameters() if weight.grad is not None)
    return Held(kept, gradients, held.peak)


def at_full_depth(count: Callable[[AnyConfig], Held], config: AnyConfig, *, accumulates: bool) -> Held:
    """What `count` finds for a model, which is counted with few layers where that tells the same.

    Every round of the pattern adds the same to what is kept and to what lasts. What lives at a moment grows
    with the depth in a straight line: at the end of the forward pass along with what is kept, at the end of
    the backward pass along with what lasts. The peak is the highest of these lines, so when one more round
    raises it by as much as the steepest of them rises, every further round does.
    """
    if not isinstance(config, StackConfig):
        return count(config)
    period = len(config.pattern)
    depth = config.n_layers % period + 2 * period
    if config.n_layers <= depth + period:
        return count(config)
    less, more = (count(config.model_copy(update={"n_layers": n})) for n in (depth - period, depth))
    kept, lasting, peak = more.kept - less.kept, more.lasting - less.lasting, more.peak - less.peak
    if peak != (kept + lasting if accumulates else max(kept, lasting)):
        return count(config)
    rounds = (config.n_layers - depth) // period
    return Held(more.kept + rounds * kept, more.lasting + rounds * lasting, more.peak + rounds * peak)


def n_bytes(tensors: Iterable[Tensor]) -> int:
    """The memory of some tensors; what several of them look at counts once."""
    return sum({_piece(tensor)._cdata: _piece(tensor).nbytes() for tensor in tensors}.values())


@contextmanager
def imagined() -> Iterator[None]:
    """Inside, tensors have no numbers: what is made takes no memory and what is computed takes no time.

    Where code asks for a number all the same, it is 1, and every condition on a tensor's numbers is true; a
    mixture's experts are all chosen equally often.
    """
    answers = _Answers()
    handle = register_module_forward_pre_hook(answers.before)
    try:
        with FakeTensorMode(), answers:
            yield
    finally:
        handle.remove()


class _Answers(TorchDispatchMode):
    """Answers what tensors without numbers are asked for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.loads = deque[int]()

    def before(self, module: nn.Module, args: Any) -> None:
        """Have the loads of a mixture's experts ready, which it will ask for one after the other."""
        if isinstance(module, Mixture):
            n_experts, n_lines = len(module.experts), args[0].shape[:2].numel() * module.n_chosen
            self.loads = deque(n_lines // n_experts + (i < n_lines % n_experts) for i in range(n_experts))

    def __torch_dispatch__(
        self, operation: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if operation is torch.ops.prim.device.default:
            return args[0].fake_device  # Asked before every operation; the way through the mode is long.
        if operation is aten._local_scalar_dense.default:
            (number,) = args
            if number.dtype == torch.int64 and self.loads:
                return self.loads.popleft()
            return {torch.bool: True, torch.int64: 1}.get(number.dtype, 1.0)
        if operation is aten.index.Tensor:
            x, places = args
            return operation(x, [part for place in places for part in _all_true(place)])
        return operation(*args, **(kwargs or {}))


def _all_true(place: Tensor | None) -> list[Tensor | None]:
    """A condition as the places where it holds, which are all."""
    if place is None or place.dtype != torch.bool:
        return [place]
    return [place.new_empty(place.numel(), dtype=torch.int64) for _ in range(place.dim())]


def _piece(tensor: Tensor) -> torch.UntypedStorage:
    """The memory that a tensor looks at."""
    return tensor.untyped_storage()


def _tensors(result: Any) -> Iterator[Tensor]:
    """The tensors among what an operation returns."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, list | tuple):
        for each in result:
            yield from _tensors(each)
