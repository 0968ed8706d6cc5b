"""One training step of the quickstart's model, against `transformers` with a model of the same shape.

    python benchmarks/training_step.py [--precision bfloat16] [--rounds 9] [--size 4]

The peer is Qwen3ForCausalLM, the same architecture with the same numbers, with torch's fused AdamW under
torch.autocast; ours is `train_step` with AdamW, and with Muon, which does more arithmetic. Each contender
lives in a process of its own, and all make one step in turn, on the same batch. Each stands there twice: with
memory managed as the C library does by itself, and after `keep_freed_memory`, which our training calls and
the peer may call too. The table gives the median tokens/s, how many times faster than the peer as it comes
in the median round and at best, page faults a step, and the largest memory of the process. Before that,
both models are given the same weights and must find the same loss.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pairs import at_best, in_turn, peak_mib, seconds, times_faster

# torch is imported in the processes of the contenders only: a process counts the memory of the one it was
# started from into its own peak.
if TYPE_CHECKING:
    from hornbook.data.batch import Batch
    from hornbook.train.config import RunConfig

WARM_UPS = 2
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Contender:
    """One way to make a step."""

    library: str
    optimizer: str
    keeps_memory: bool
    precision: str
    size: int

    @property
    def label(self) -> str:
        """How the table calls it."""
        return f"{self.library}, {self.optimizer}" + (", keeps memory" if self.keeps_memory else "")


class Measured(NamedTuple):
    """What is known after a step."""

    seconds: float
    page_faults: int
    peak_mib: float


def main() -> None:
    """Compare the models, run the contest and print a line for each contender."""
    parser = argparse.ArgumentParser(description="Time a training step against transformers.")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=9, help="how many steps of each contender count")
    parser.add_argument("--size", type=int, default=4, help="of the quickstart's model")
    options = parser.parse_args()
    mine, theirs, tokens = in_process(compare, options.size)
    print(f"the same weights, the same loss: {mine:.5f} and {theirs:.5f}")
    contenders = [
        Contender(library, optimizer, keeps_memory, options.precision, options.size)
        for library, optimizer in (("transformers", "adamw"), ("hornbook", "adamw"), ("hornbook", "muon"))
        for keeps_memory in (False, True)
    ]
    measured = contest(contenders, options.rounds)
    columns = f"{'tokens/s':>9} {'times':>6} {'at best':>7} {'faults/step':>11} {'peak MiB':>8}"
    print(f"{options.precision:36} {columns}")
    peer = [step.seconds for step in measured[0]]
    for contender, steps in zip(contenders, measured, strict=True):
        times = [step.seconds for step in steps]
        print(
            f"{contender.label:36} {median(tokens / time for time in times):9,.0f} "
            f"{times_faster(times, peer):6.2f} {at_best(times, peer):7.2f} "
            f"{median(step.page_faults for step in steps):11,.0f} "
            f"{max(step.peak_mib for step in steps):8,.0f}"
        )


def contest(contenders: Sequence[Contender], rounds: int) -> list[list[Measured]]:
    """Let each contender make a step in turn; return what was measured, without the warm-ups."""
    with running(contenders, serve) as steps:
        in_turn(steps, WARM_UPS)
        return in_turn(steps, rounds)


@contextmanager
def running(
    contenders: Sequence[Any], serve: Callable[[Any, Connection], None]
) -> Iterator[list[Callable[[], Measured]]]:
    """Start a process for each contender, living by `serve`; yields one function each that orders a step."""
    context = multiprocessing.get_context("spawn")
    ends: list[Connection] = []
    processes = []
    for contender in contenders:
        end, other = context.Pipe()
        process = context.Process(target=serve, args=(contender, other), daemon=True)
        process.start()
        other.close()  # so that a process that dies is noticed
        ends.append(end)
        processes.append(process)
    try:
        yield [partial(order, end) for end in ends]
    finally:
        for end, process in zip(ends, processes, strict=True):
            end.close()
            process.join()


def order(end: Connection) -> Measured:
    """Have one step made in the process at the other end."""
    end.send("step")
    found: Measured = end.recv()
    return found


def serve(contender: Contender, orders: Connection) -> None:
    """The life of a contender's process: a step at each order, until nobody gives orders any more."""
    from hornbook.train.device import keep_freed_memory

    if contender.keeps_memory:
        keep_freed_memory()
    step = hornbook_step(contender) if contender.library == "hornbook" else transformers_step(contender)
    while True:
        try:
            orders.recv()
        except EOFError:
            return
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        took = seconds(step)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        orders.send(Measured(took, faults, peak_mib(resource.RUSAGE_SELF)))


def hornbook_step(contender: Contender) -> Callable[[], object]:
    """Our step, with an objective and optimizer of our own."""
    import torch

    from hornbook.model.models import CausalLM
    from hornbook.train.config import AdamWConfig, MuonConfig
    from hornbook.train.device import PRECISIONS
    from hornbook.train.objectives import predict_tokens
    from hornbook.train.optimizer import Optimizer
    from hornbook.train.step import train_step

    config, batch = recipe(contender.size)
    precision = PRECISIONS[contender.precision]
    rule = MuonConfig() if contender.optimizer == "muon" else AdamWConfig(learning_rate=LEARNING_RATE)
    model = CausalLM(config.model, seed=0).train()
    optimizer = Optimizer(model, rule, precision)
    objective = predict_tokens(torch.ones(config.model.vocab_size, dtype=torch.long))
    return partial(
        train_step, model, batch, objective, optimizer, learning_rate_share=1.0, precision=precision
    )


def transformers_step(contender: Contender) -> Callable[[], object]:
    """The peer's step: what its users write by hand."""
    import torch

    from hornbook.train.device import PRECISIONS

    config, batch = recipe(contender.size)
    precision = PRECISIONS[contender.precision]
    model = qwen3(config).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )

    def step() -> None:
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            loss = model(input_ids=batch.tokens, labels=batch.tokens, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def recipe(size: int) -> tuple[RunConfig, Batch]:
    """The quickstart's configuration and a batch of its size, of random tokens."""
    import torch

    from hornbook.data.batch import Batch
    from hornbook.recipes.shapes import quickstart

    config = quickstart(size)
    generator = torch.Generator().manual_seed(0)
    shape = (config.data.batch_size, config.data.seq_len + 1)
    windows = torch.randint(config.model.vocab_size, shape, generator=generator)
    return config, Batch(windows[:, :-1].contiguous(), windows[:, 1:].contiguous())


def qwen3(config: RunConfig) -> Any:
    """The same architecture in transformers, with random weights, the same ones each time."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model, block = config.model, config.model.pattern[0]
    assert block.attention.position is not None
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=model.vocab_size,
            hidden_size=model.d_model,
            intermediate_size=block.feed_forward.d_ff,
            num_hidden_layers=model.n_layers,
            num_attention_heads=block.attention.n_heads,
            num_key_value_heads=block.attention.n_heads,
            head_dim=model.head_dim(block),
            max_position_embeddings=model.max_seq_len,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": block.attention.position.theta},
            tie_word_embeddings=False,
        )
    )


def compare(size: int, answers: Connection) -> None:
    """Send the losses of both models on one batch, with the peer's weights in both, and its tokens."""
    import torch

    from hornbook.model.models import CausalLM
    from hornbook.train.objectives import predict_tokens

    config, batch = recipe(size)
    theirs, ours = qwen3(config), CausalLM(config.model)
    ours.load_state_dict(as_ours(theirs.state_dict()))
    objective = predict_tokens(torch.ones(config.model.vocab_size, dtype=torch.long))
    with torch.no_grad():
        total, weight, _ = objective(ours, batch)
        wanted = theirs(input_ids=batch.tokens, labels=batch.targets, shift_labels=batch.targets).loss
    torch.testing.assert_close(total / weight, wanted, atol=1e-5, rtol=1e-5)
    answers.send(((total / weight).item(), wanted.item(), batch.tokens.numel()))


def as_ours(weights: dict[str, Any]) -> dict[str, Any]:
    """Their weights under our names."""
    words = {
        "model.embed_tokens": "embedding.tokens",
        "lm_head": "head",
        "model.norm": "final_norm",
        "model.layers": "blocks",
        "input_layernorm": "attention.input_norm",
        "post_attention_layernorm": "feed_forward.input_norm",
        "self_attn": "attention.layer",
        "mlp": "feed_forward.layer",
        "_proj": "",
        ".o.": ".out.",
    }
    renamed = {}
    for name, weight in weights.items():
        for theirs, ours in words.items():
            name = name.replace(theirs, ours)
        renamed[name] = weight
    return renamed


def in_process(function: Callable[[int, Connection], None], size: int) -> Any:
    """Run a function in a process of its own and return what it sends."""
    context = multiprocessing.get_context("spawn")
    end, other = context.Pipe()
    process = context.Process(target=function, args=(size, other))
    process.start()
    other.close()
    answer = end.recv()
    process.join()
    return answer


if __name__ == "__main__":
    main()
