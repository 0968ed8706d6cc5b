"""Forward and backward of published shapes, against `transformers` and hand-written code, same weights.

    python benchmarks/model.py                                           # all: about an hour
    python benchmarks/model.py --shapes gpt2-10M --modes eager --measure speed
    python benchmarks/model.py --precision bfloat16 --measure memory

The peers are the model of `transformers` with its `sdpa` attention, and the short modules of
`hand_written.py`; ours is read from the folder that `transformers` saves. All hold the same weights, and
their losses are compared first. A mode is eager, or compiled: `torch.compile` of the model with its loss.

**Speed**: one pass is the loss of the next token over a batch and all its gradients. The contenders take
turns in one process, after `keep_freed_memory`, which our training calls and the peers may call too. A line
gives the median tokens/s of each, and how many times faster than each peer ours is, in the median round and
at best.

**Memory**: forward, backward and a step of AdamW, each contender in fresh processes of its own, with memory
managed as the C library does by itself. `peak` is the largest memory of the process, libraries and weights
and all; `step` is that less what the process holds between two steps, weights and optimizer state: what the
activations, the gradients and all that is fleeting take. Linux alone tells what a process holds.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

from pairs import at_best, in_turn, peak_mib, seconds, times_faster

# torch is imported in child processes only: a process counts the memory of the one it was started from into
# its own peak.
if TYPE_CHECKING:
    from torch import Tensor, nn

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Shape:
    """A model of `transformers`, and the batch that it learns from."""

    model_type: str
    numbers: dict[str, Any]
    batch_size: int
    seq_len: int


NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SMALL_GPT2: dict[str, Any] = {
    "vocab_size": 4096,
    "n_positions": 256,
    "n_embd": 320,
    "n_layer": 6,
    "n_head": 5,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SMALL_LLAMA: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 6,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": 256,
}
LLAMA: dict[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}
TINY_GPT2 = SMALL_GPT2 | {"n_embd": 256, "n_layer": 4, "n_head": 4}
SHAPES = {
    "gpt2-4M": Shape("gpt2", TINY_GPT2 | NO_DROPOUT, 16, 256),
    "gpt2-10M": Shape("gpt2", SMALL_GPT2 | NO_DROPOUT, 8, 256),
    "llama-10M": Shape("llama", SMALL_LLAMA, 8, 256),
    "gpt2-124M": Shape("gpt2", NO_DROPOUT, 2, 512),
    "llama-124M": Shape("llama", LLAMA, 2, 512),
}
CONTENDERS = ("hornbook", "transformers", "by hand")
MODES, PRECISIONS, MEASURES = ("eager", "compiled"), ("float32", "bfloat16"), ("speed", "memory")
WARM_UPS = 2
CLOSE = {"float32": 1e-4, "bfloat16": 2e-2}
"""How far the losses may differ, as a share."""


def main() -> None:
    """Print a table of speeds and one of memory, a line for each shape, precision and mode."""
    parser = argparse.ArgumentParser(
        description="Time forward and backward against transformers and hand code."
    )
    parser.add_argument("--measure", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rounds", type=int, default=9, help="passes of each contender that count")
    parser.add_argument("--processes", type=int, default=3, help="for the memory of each contender")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shapes:
            in_process(save, shape, f"{folder}/{shape}")
        cases = list(itertools.product(options.shapes, options.precision, options.modes))
        if "speed" in options.measure:
            print_speeds(cases, folder, options.rounds)
        if "memory" in options.measure:
            print_memory(cases, folder, options.processes)


def print_speeds(cases: list[tuple[str, str, str]], folder: str, rounds: int) -> None:
    """Let all contenders take turns, and print tokens/s and ratios."""
    speeds = "".join(f"{name:>13}" for name in CONTENDERS)
    ratios = "".join(f"{'/ ' + name:>15} at best" for name in CONTENDERS[1:])
    print(f"{'tokens/s':12} {'precision':10} {'mode':9}{speeds}{ratios}")
    for shape, precision, mode in cases:
        ours, *peers = in_process(race, shape, f"{folder}/{shape}", precision, mode, rounds)
        n_tokens = SHAPES[shape].batch_size * SHAPES[shape].seq_len
        medians = "".join(f"{median(n_tokens / time for time in times):13,.0f}" for times in (ours, *peers))
        found = "".join(f"{times_faster(ours, peer):15.2f} {at_best(ours, peer):7.2f}" for peer in peers)
        print(f"{shape:12} {precision:10} {mode:9}{medians}{found}", flush=True)


def print_memory(cases: list[tuple[str, str, str]], folder: str, processes: int) -> None:
    """Run a few steps of each contender in processes of its own, and print medians in MiB."""
    columns = "".join(f"{name + ' peak':>18} {'step':>6}" for name in CONTENDERS)
    print(f"{'MiB':12} {'precision':10} {'mode':9}{columns}")
    for shape, precision, mode in cases:
        line = f"{shape:12} {precision:10} {mode:9}"
        for contender in CONTENDERS:
            place = f"{folder}/{shape}"
            runs = [in_process(weigh, contender, shape, place, precision, mode) for _ in range(processes)]
            peak, step = (median(measured) for measured in zip(*runs, strict=True))
            line += f"{peak:18,.0f} {step:6,.0f}"
        print(line, flush=True)


def in_process(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def save(shape: str, folder: str) -> None:
    """Draw a model of `transformers` and save it."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    config = transformers.AutoConfig.for_model(SHAPES[shape].model_type, **SHAPES[shape].numbers)
    family: Any = transformers.AutoModelForCausalLM
    family.from_config(config).save_pretrained(folder)


def build(contender: str, folder: str) -> nn.Module:
    """A contender with the saved weights, that maps tokens to logits."""
    if contender == "hornbook":
        from hornbook.checkpoint.hugging_face import read_model

        return read_model(folder)[1].train()
    if contender == "transformers":
        import transformers

        transformers.utils.logging.disable_progress_bar()
        family: Any = transformers.AutoModelForCausalLM
        return family.from_pretrained(folder, attn_implementation="sdpa").train()
    import hand_written
    import safetensors.torch

    model = hand_written.build(json.loads(Path(folder, "config.json").read_bytes()))
    hand_written.load(model, safetensors.torch.load_file(Path(folder, "model.safetensors")))
    return model.train()


def learner(
    contender: str, folder: str, precision: str, mode: str
) -> tuple[nn.Module, Callable[[Tensor], float]]:
    """A contender, and what finds the loss of a batch and all gradients."""
    import torch
    from torch.nn import functional

    model = build(contender, folder)

    def loss_of(tokens: Tensor) -> Tensor:
        inputs = tokens[:, :-1]
        logits = model(inputs, use_cache=False).logits if contender == "transformers" else model(inputs)
        return functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())

    chosen = torch.compile(loss_of, dynamic=False) if mode == "compiled" else loss_of

    def learn(tokens: Tensor) -> float:
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = chosen(tokens)
        loss.backward()
        return loss.item()

    return model, learn


def some_tokens(shape: str) -> Tensor:
    """A batch of random tokens, one more in each row than is predicted."""
    import torch

    size = (SHAPES[shape].batch_size, SHAPES[shape].seq_len + 1)
    return torch.randint(4096, size, generator=torch.Generator().manual_seed(1))


def race(shape: str, folder: str, precision: str, mode: str, rounds: int) -> list[list[float]]:
    """Compare the losses, then let all contenders learn in turn; return the seconds of each."""
    from hornbook.train.device import keep_freed_memory

    keep_freed_memory()
    tokens = some_tokens(shape)
    works = [partial(learner(each, folder, precision, mode)[1], tokens) for each in CONTENDERS]
    losses = [work() for work in works]
    assert max(losses) - min(losses) < CLOSE[precision] * min(losses), losses
    timed = [partial(seconds, work) for work in works]
    in_turn(timed, WARM_UPS)
    return in_turn(timed, rounds)


def weigh(contender: str, shape: str, folder: str, precision: str, mode: str) -> tuple[float, float]:
    """Run three steps; return the peak of the process, and how far above its rest that is, in MiB."""
    import torch

    model, learn = learner(contender, folder, precision, mode)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = some_tokens(shape)

    def step() -> None:
        learn(tokens)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()  # After it the optimizer has its state, and what is compiled is compiled.
    rest = held_mib()
    step()
    step()
    peak = peak_mib(resource.RUSAGE_SELF)
    return peak, peak - rest


def held_mib() -> float:
    """What this process holds now, after freed memory was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
