"""What recomputation saves in memory and takes in time, beside activation checkpointing in `transformers`.

    python benchmarks/recompute.py                                       # all: about ten minutes
    python benchmarks/recompute.py --shapes gpt2-10M --precision float32

One pass is the loss of the next token over a batch, and all its gradients; both packages have equal weights,
and the losses are compared first. Contenders are ours with "none", "selective" and "block", and the peer as
it comes and after `activation_checkpointing_enable()`.

**Memory** is counted, not measured: the bytes of all tensors that a pass has made and that live. `held` is
what waits for the backward pass when the loss is known, `peak` the most at any moment, gradients included;
weights and what kernels take for themselves are in neither. A second table counts ours for larger batches,
on tensors without numbers. **Time** is that of the processor, on one thread, so that what else the machine
does adds little to it; the contenders take turns in one process, after `keep_freed_memory`. `times` is how
many times as long as "none" a pass takes, in the median round; `at best` is the same of the fastest round of
each.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import torch
import transformers
from pairs import at_best, in_turn, times_faster
from torch import Tensor, nn
from torch.nn import functional

from hornbook.checkpoint.hugging_face import read_model
from hornbook.model.shapes import AnyConfig, build_model
from hornbook.parallel.recompute import Recomputation, recompute
from hornbook.plan.memory import Held, HeldBytes, held_by_pass, imagined
from hornbook.train.device import keep_freed_memory

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Shape:
    """A model of `transformers`, the batch that it learns from, and how often it does so."""

    config: Callable[[], Any]
    batch_size: int
    seq_len: int
    rounds: int
    large: tuple[int, int]
    """Rows and tokens in each, of the batch that is only counted."""


NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SHAPES = {
    "gpt2-10M": Shape(
        lambda: transformers.GPT2Config(
            vocab_size=4096,
            n_positions=256,
            n_embd=320,
            n_layer=6,
            n_head=5,
            bos_token_id=0,
            eos_token_id=0,
            **NO_DROPOUT,
        ),
        batch_size=8,
        seq_len=256,
        rounds=7,
        large=(64, 256),
    ),
    "llama-10M": Shape(
        lambda: transformers.LlamaConfig(
            vocab_size=4096,
            hidden_size=320,
            intermediate_size=864,
            num_hidden_layers=6,
            num_attention_heads=5,
            max_position_embeddings=256,
        ),
        batch_size=8,
        seq_len=256,
        rounds=7,
        large=(64, 256),
    ),
    "gpt2-124M": Shape(
        lambda: transformers.GPT2Config(**NO_DROPOUT),
        batch_size=1,
        seq_len=512,
        rounds=3,
        large=(8, 1024),
    ),
    "llama-124M": Shape(
        lambda: transformers.LlamaConfig(
            vocab_size=32_000,
            hidden_size=768,
            intermediate_size=2048,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        ),
        batch_size=1,
        seq_len=512,
        rounds=3,
        large=(8, 1024),
    ),
}
PRECISIONS, TABLES = ("float32", "bfloat16"), ("contenders", "large")
OURS: tuple[Recomputation, ...] = ("none", "selective", "block")
CLOSE = {"float32": 1e-4, "bfloat16": 2e-2}
"""How far the losses of both packages may differ, as a share."""
MIB = 2**20


@dataclass(frozen=True)
class Found:
    """What was found out about one contender."""

    name: str
    loss: float
    held: int
    """Bytes that wait for the backward pass."""
    peak: int
    """Most bytes at any moment of a pass."""
    times: list[float]
    """Seconds of each round."""


def main() -> None:
    """Print a table of all contenders, and one of large batches."""
    parser = argparse.ArgumentParser(description="Weigh and time recomputation.")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    options = parser.parse_args()
    cases = list(itertools.product(options.shapes, options.precision))
    if "contenders" in options.tables:
        print_contenders(cases)
    if "large" in options.tables:
        print_large(cases)


def print_contenders(cases: list[tuple[str, str]]) -> None:
    """A line for each contender at each shape and precision."""
    columns = f"{'held MiB':>9} {'peak MiB':>9} {'tok/s':>7} {'times':>6} {'at best':>7}"
    print(f"{'shape':11} {'precision':9} {'contender':28} {columns}")
    for shape, precision in cases:
        found = in_process(contest, shape, precision)
        n_tokens = SHAPES[shape].batch_size * SHAPES[shape].seq_len
        for each in found:
            memory = f"{each.held / MIB:9,.0f} {each.peak / MIB:9,.0f}"
            speed = median(n_tokens / taken for taken in each.times)
            slower = [ratio(found[0].times, each.times) for ratio in (times_faster, at_best)]
            speeds = f"{speed:7,.0f} {slower[0]:6.2f} {slower[1]:7.2f}"
            print(f"{shape:11} {precision:9} {each.name:28} {memory} {speeds}", flush=True)


def print_large(cases: list[tuple[str, str]]) -> None:
    """What ours holds in each way where there are many tokens."""
    columns = f"{'contender':20} {'held MiB':>9} {'peak MiB':>9}"
    print(f"{'shape':11} {'precision':9} {'rows x tokens':13} {columns}")
    for shape, precision in cases:
        rows, seq_len = SHAPES[shape].large
        for how, held in in_process(count_large, shape, precision).items():
            memory = f"{held.kept / MIB:9,.0f} {held.peak / MIB:9,.0f}"
            print(f"{shape:11} {precision:9} {rows:4} x {seq_len:<6} hornbook, {how:10} {memory}", flush=True)


def in_process(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def contest(shape: str, precision: str) -> list[Found]:
    """Weigh every contender in a pass of its own, then let all take turns."""
    keep_freed_memory()
    torch.set_num_threads(1)
    size = SHAPES[shape].batch_size, SHAPES[shape].seq_len + 1
    tokens = torch.randint(4096, size, generator=torch.Generator().manual_seed(1))
    names, passes, weights = [], [], []
    for name, model, switch in contenders(shape):
        names.append(name)
        passes.append(partial(learn, model, switch, tokens, precision))
        weights.append(weigh(model, passes[-1]))
    losses = [loss for loss, *_ in weights]
    assert max(losses) - min(losses) < CLOSE[precision] * min(losses), losses
    times = in_turn([partial(processor_seconds, each) for each in passes], SHAPES[shape].rounds)
    return [Found(name, *weight, each) for name, weight, each in zip(names, weights, times, strict=True)]


def contenders(shape: str) -> Iterator[tuple[str, nn.Module, Callable[[], None]]]:
    """Name, model, and what makes it the contender of this name before a pass."""
    theirs, _, ours = both(shape)
    for how in OURS:
        yield f"hornbook, {how}", ours, partial(recompute, ours, how)
    yield "transformers", theirs, theirs.activation_checkpointing_disable
    yield "transformers, checkpointing", theirs, theirs.activation_checkpointing_enable


def both(shape: str) -> tuple[Any, AnyConfig, nn.Module]:
    """The peer's model, our configuration of it, and ours with the same weights."""
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    family: Any = transformers.AutoModelForCausalLM
    theirs = family.from_config(SHAPES[shape].config(), attn_implementation="sdpa").train()
    theirs.config.use_cache = False
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        config, ours = read_model(folder)
    return theirs, config, ours.train()


def learn(
    model: nn.Module,
    switch: Callable[[], None],
    tokens: Tensor,
    precision: str,
    look: Callable[[], object] = lambda: None,
) -> float:
    """One pass: the loss of the next token, and its gradients; `look` is called between the two."""
    switch()
    model.zero_grad(set_to_none=True)
    loss = loss_of(model, tokens, precision)
    look()
    loss.backward()
    return loss.item()


def loss_of(model: nn.Module, tokens: Tensor, precision: str) -> Tensor:
    """The mean loss of the next token."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        out = model(tokens[:, :-1])
        logits = out if isinstance(out, Tensor) else out.logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


def processor_seconds(work: Callable[[], object]) -> float:
    """How long some work keeps this process's threads busy."""
    start = time.process_time()
    work()
    return time.process_time() - start


def weigh(model: nn.Module, one_pass: Callable[..., float]) -> tuple[float, int, int]:
    """The loss of a pass, the bytes it holds for the backward pass, and the most bytes it ever holds."""
    held: list[int] = []
    with HeldBytes([*model.parameters(), *model.buffers()]) as count:
        loss = one_pass(look=lambda: held.append(count.now))
    return loss, held[0], count.peak


def count_large(shape: str, precision: str) -> dict[Recomputation, Held]:
    """What ours holds in a pass over the large batch, in each way; nothing is computed."""
    _, config, _ = both(shape)
    rows, seq_len = SHAPES[shape].large
    found: dict[Recomputation, Held] = {}
    for how in OURS:
        with imagined():
            model = build_model(config).train()
            recompute(model, how)
            tokens = torch.zeros(rows, seq_len + 1, dtype=torch.int64)
            found[how] = held_by_pass(model, partial(loss_of, model, tokens, precision), accumulates=False)
    return found


if __name__ == "__main__":
    main()
