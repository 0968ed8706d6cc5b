"""Forward and backward of published shapes, against `transformers` with the same weights.

    python benchmarks/model.py [--shapes gpt2-10M llama-10M] [--precision float32 bfloat16] [--compiled]

The peer is the model of `transformers` with its `sdpa` attention; ours is read from the folder that it saves,
so both hold the same weights, and their losses are compared first. One pass is the logits of a batch, the
cross-entropy of the next token, and all gradients. Contenders take turns in one process, after
`keep_freed_memory`, which our training calls and the peer may call too. The table gives the median tokens/s
of both, and how many times faster ours is in the median round and at best. With --compiled both go through
`torch.compile` first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
import transformers
from pairs import at_best, in_turn, seconds, times_faster
from torch import Tensor, nn
from torch.nn import functional

from hornbook.checkpoint.hugging_face import read_model
from hornbook.train.device import keep_freed_memory

GPT2: dict[str, Any] = {"vocab_size": 4096, "n_positions": 256, "n_embd": 320, "n_layer": 6, "n_head": 5}
LLAMA: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 320,
    "intermediate_size": 864,
    "num_hidden_layers": 6,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": 256,
}
NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SHAPES: dict[str, Callable[[], Any]] = {
    "gpt2-10M": lambda: transformers.GPT2Config(**GPT2, **NO_DROPOUT),
    "llama-10M": lambda: transformers.LlamaConfig(**LLAMA),
    "gpt2-124M": lambda: transformers.GPT2Config(**NO_DROPOUT),
    "llama-124M": lambda: transformers.LlamaConfig(
        vocab_size=32_000,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    ),
}
WARM_UPS = 2
CLOSE = {"float32": 1e-4, "bfloat16": 2e-2}
"""How far the losses of both may differ."""


def main() -> None:
    """Let both take turns at every shape and precision, and print a line for each."""
    parser = argparse.ArgumentParser(description="Time forward and backward against transformers.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["gpt2-10M", "llama-10M"])
    parser.add_argument(
        "--precision", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"]
    )
    parser.add_argument("--batch", type=int, default=16, help="sequences in a batch")
    parser.add_argument("--seq-len", type=int, default=256, help="tokens in a sequence")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compiled", action="store_true", help="torch.compile both")
    options = parser.parse_args()
    keep_freed_memory()
    columns = f"{'ours tok/s':>10} {'peer tok/s':>10} {'times':>6} {'at best':>7}"
    print(f"{'shape':12} {'precision':10} {'parameters':>11} {columns}")
    for shape in options.shapes:
        ours, theirs, n_parameters = both(shape)
        for precision in options.precision:
            found = compete(ours, theirs, precision, options)
            print(f"{shape:12} {precision:10} {n_parameters:11,} {found}", flush=True)


def both(shape: str) -> tuple[nn.Module, nn.Module, int]:
    """Our model and the peer's, with the same weights."""
    torch.manual_seed(0)
    family: Any = transformers.AutoModelForCausalLM
    theirs = family.from_config(SHAPES[shape](), attn_implementation="sdpa")
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        _, ours = read_model(folder)
    return ours.train(), theirs.train(), sum(parameter.numel() for parameter in theirs.parameters())


def compete(ours: nn.Module, theirs: nn.Module, precision: str, options: argparse.Namespace) -> str:
    """Compare the losses, then the speeds; return the numbers of a line."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(4096, (options.batch, options.seq_len + 1), generator=generator)
    mine: Callable[[Tensor], Tensor] = ours
    peer: Callable[[Tensor], Tensor] = lambda tokens: theirs(tokens, use_cache=False).logits  # noqa: E731
    if options.compiled:
        mine, peer = torch.compile(mine), torch.compile(peer)
    works = [partial(learn, each, tokens, precision) for each in (mine, peer)]
    losses = [float(work()) for work in works]
    assert abs(losses[0] - losses[1]) < CLOSE[precision] * losses[1], losses
    timed = [partial(seconds, work) for work in works]
    in_turn(timed, WARM_UPS)
    our_times, peer_times = in_turn(timed, options.rounds)
    n_tokens = options.batch * options.seq_len
    speeds = [median(n_tokens / time for time in times) for times in (our_times, peer_times)]
    return (
        f"{speeds[0]:10,.0f} {speeds[1]:10,.0f} {times_faster(our_times, peer_times):6.2f} "
        f"{at_best(our_times, peer_times):7.2f}"
    )


def learn(model: Callable[[Tensor], Tensor], tokens: Tensor, precision: str) -> Tensor:
    """One pass: the loss of the next token, and its gradients."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(tokens[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
    loss.backward()  # Gradients add up, in both alike.
    return loss.detach()


if __name__ == "__main__":
    main()
