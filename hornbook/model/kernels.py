"""Which kernel each kind of attention takes, on a machine that need not be this one.

    for use in kernels_of(config, torch.device("cpu"), torch.bfloat16, seq_len=512):
        print(use.name, use.learning, use.prompt, use.next_token)

`choose_kernel` is asked with the facts of a model on the meta device, as `attend` asks with those of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from hornbook.model.attend import Case, Kernel, choose_kernel
from hornbook.model.attention import Attention
from hornbook.model.cache import SlidingCache
from hornbook.model.config import StackConfig
from hornbook.model.count import on_meta
from hornbook.model.encoders import Encoder
from hornbook.model.mask import Mask
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.model.stack import Stack


@dataclass(frozen=True)
class KernelUse:
    """What attention of one kind is computed by."""

    name: str
    """The part of the model, by its name in the drawing."""
    learning: Kernel
    """In training, where rows hold several documents."""
    prompt: Kernel
    """Where a text is read that is alone in its row."""
    next_token: Kernel | None
    """Where one more token is read after those in a cache; None: there is no cache."""
    repeat: int
    """How many layers it stands in."""
    side: str = ""
    """Which half of an encoder-decoder it is of; empty in a model of one stack."""


def kernels_of(
    config: AnyConfig, device: torch.device, dtype: torch.dtype, seq_len: int, compiled: bool = False
) -> list[KernelUse]:
    """The kernels of a model, for rows of `seq_len` tokens; `compiled`: training compiles it."""
    asked = Case(device=device.type, dtype=dtype, mask=Mask(), n_query=seq_len, n_key=seq_len)
    model = on_meta(config)
    if isinstance(config, Seq2SeqConfig):
        assert isinstance(model, Seq2SeqLM)
        encoder = _uses(model.encoder, config.encoder, asked, compiled, "encoder")
        return [*encoder, *_uses(model.decoder, config.decoder, asked, compiled, "decoder")]
    assert isinstance(model, Stack)
    return list(_uses(model, config, asked, compiled))


def _uses(
    stack: Stack, config: StackConfig, asked: Case, compiled: bool, side: str = ""
) -> Iterator[KernelUse]:
    """The kernels of a stack, kind by kind in the order in which they come first."""
    blocks = [config.pattern[i % len(config.pattern)] for i in range(config.n_layers)]
    kinds = list(dict.fromkeys(blocks))
    cached = not isinstance(stack, Encoder)
    own = replace(asked, mask=stack.sees) if isinstance(stack, Encoder) else asked
    across = replace(asked, mask=Mask(causal=False))
    for number, kind in enumerate(kinds, 1):
        which = "" if len(kinds) == 1 else f" {number} of {len(kinds)}"
        block, repeat = stack.layers[blocks.index(kind)], blocks.count(kind)
        kernels = _kernels(block.attention.layer, own, compiled, cached)
        yield KernelUse(f"attention{which}", *kernels, repeat, side)
        if block.cross_attention is not None:
            kernels = _kernels(block.cross_attention.layer, across, compiled, cached)
            yield KernelUse(f"cross attention{which}", *kernels, repeat, side)


def _kernels(
    layer: Attention, asked: Case, compiled: bool, cached: bool
) -> tuple[Kernel, Kernel, Kernel | None]:
    """Of one layer: in training, for a prompt, for the next token."""
    n = n_held = asked.n_key
    documents = torch.empty(1, n, dtype=torch.long, device="meta")
    packed = replace(asked, mask=replace(asked.mask, documents=documents), learning=True, compiled=compiled)
    learning = choose_kernel(layer.train().case(packed))
    prompt = choose_kernel(layer.eval().case(asked))
    if not cached:
        return learning, prompt, None
    if isinstance(layer.make_cache(1, n), SlidingCache):
        n_held = min(n, layer.window or n)
    return learning, prompt, choose_kernel(layer.case(replace(asked, n_query=1, n_key=n_held)))
