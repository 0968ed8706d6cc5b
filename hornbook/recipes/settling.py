"""What a configuration leaves to the machine, settled before a run starts: precision, micro-batch, compiling.

    config, sentences = settled(config)

Each `auto` becomes what it means on this machine and at this moment, and is saved so: resumed, the run is
computed in the same way whatever else the machine does then. The sentences tell what a person may want to
know of it.
"""

from __future__ import annotations

import math

from hornbook.data.config import DataConfig
from hornbook.data.ramps import Stages
from hornbook.model.config import StackConfig
from hornbook.model.count import on_meta, training_flops_per_token
from hornbook.recipes.needs import Needs
from hornbook.recipes.shapes import resolve
from hornbook.train.compile import compiling_pays
from hornbook.train.config import RunConfig
from hornbook.train.device import (
    PRECISIONS,
    free_memory,
    matmul_peak,
    resolve_device,
    resolve_precision,
)

SHARE_OF_MEMORY = 0.7
"""Share of the free memory that tensors may take. An allocator keeps freed pieces (docs/benchmarks.md shows
up to half as much again on a CPU, less on a GPU), and others want some too."""
SHARE_OF_PEAK = 0.4
"""How near to the speed of plain matrix products a step comes, for an estimate. Set by hand."""
COUNTED_AT_ONCE = 2**16
"""Tokens of a batch from which on its rows are first guessed from what one row keeps: to count a batch takes
longer the larger it is."""
WORTH_A_WORD = 60.0
"""Seconds of training from which on it is told that a run is not compiled."""


def settled(config: RunConfig) -> tuple[RunConfig, list[str]]:
    """The configuration with nothing left to the machine, and what there is to say about it."""
    train = config.train
    precision = resolve_precision(train.precision, resolve_device(train.device))
    config = resolve(config, [f"train.precision={precision}"])
    sentences = []
    if train.micro_batch_size == "auto":
        config, more = _fitting(config)
        sentences += more
    if train.compile == "auto":
        config, more = _compiled(config)
        sentences += more
    return config, sentences


def _fitting(config: RunConfig) -> tuple[RunConfig, list[str]]:
    """As many rows at once as fit: the whole batch, or the largest of its halves, quarters and so on."""
    free = free_memory(resolve_device(config.train.device))
    whole = config.data.batch_size
    rows, needed = rows_that_fit(Needs(config), free)
    chosen = resolve(config, [f"train.micro_batch_size={'null' if rows == whole else rows}"])
    if free is None or (rows == whole and needed <= SHARE_OF_MEMORY * free):
        return chosen, []
    why = f"of {free / 2**30:.1f} GiB free memory a step takes {needed / 2**30:.1f}"
    if needed > SHARE_OF_MEMORY * free:
        why += (
            ", which may be too much; train.recompute=block takes less, and a smaller data.seq_len or model"
        )
    return chosen, [f"{rows} of {whole} rows at once: {why}"]


def rows_that_fit(needs: Needs, free: int | None) -> tuple[int, int]:
    """How many rows of a batch may be learned from at once, and the bytes of such a step.

    `free` None: any number of bytes. One row may still be too much.
    """
    data, how = needs.config.data, needs.config.train.recompute
    rows = data.batch_size
    limit = math.inf if free is None else SHARE_OF_MEMORY * free
    if rows * data.seq_len > COUNTED_AT_ONCE:
        one, two = (needs.learning(n, how).kept for n in (1, 2))
        rest = needs.at_rest.weights + needs.at_rest.optimizer
        while rows > 1 and rest + rows * (two - one) > limit:
            rows = -(-rows // 2)
    needed = needs.step_peak(needs.learning(rows, how))
    while needed > limit and rows > 1:
        rows = -(-rows // 2)
        needed = needs.step_peak(needs.learning(rows, how))
    return rows, needed


def _compiled(config: RunConfig) -> tuple[RunConfig, list[str]]:
    """Compiled or not, by the time that all steps are expected to take."""
    train, data = config.train, config.data
    device = resolve_device(train.device)
    flops = training_flops_per_token(on_meta(config.model), data.seq_len) * data.seq_len * data.batch_size
    peak = matmul_peak(device, PRECISIONS[train.precision])
    seconds = train.steps * flops / (SHARE_OF_PEAK * peak)
    # Every size of a ramp is compiled anew.
    n_sizes = 1 + sum(ramp.n_doublings for ramp in _ramps(data))
    pays, sentence = compiling_pays(seconds, n_sizes * _n_layers(config), device)
    chosen = resolve(config, [f"train.compile={'always' if pays else 'never'}"])
    return chosen, [sentence] if pays or seconds > WORTH_A_WORD else []


def _ramps(data: DataConfig) -> list[Stages]:
    """The ramps of batches and of sequences, where there are any."""
    both = ((data.batch_ramp, data.batch_size), (data.seq_len_ramp, data.seq_len))
    return [Stages(ramp.first, whole, ramp.steps) for ramp, whole in both if ramp is not None]


def _n_layers(config: RunConfig) -> int:
    """The layers of all stacks."""
    model = config.model
    return (
        model.n_layers if isinstance(model, StackConfig) else model.encoder.n_layers + model.decoder.n_layers
    )
