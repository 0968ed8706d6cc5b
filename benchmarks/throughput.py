"""Whole training steps a second: ours, code written by hand, and the Trainer of `transformers`.

    python benchmarks/throughput.py --shapes gpt2-4M --rounds 9
    python benchmarks/throughput.py --shapes gpt2-124M --rounds 5 --contenders "by hand" hornbook
    python benchmarks/throughput.py --overhead

All train the same decoder from the same weights on the same random tokens: a batch forward and backward under
autocast, the gradient's length clipped at 1, fused AdamW. By hand it is the loop that nanoGPT made known,
around the model of `hand_written.py`. A contender lives in a process of its own, and all make one step in
turn. Freed memory is kept in ours alone: our training does so, and the others, as they come, do not.
Compiled, the first step is the compilation; its seconds are in a column of their own. The Trainer wants the
package accelerate, which the development packages do not bring.

**Overhead** is what a step takes beside `train_step`: making the batch, judging, logging every step. It is a
share of the time of a run of the quickstart's model over made-up text.
"""

from __future__ import annotations

import argparse
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from model import SHAPES, build, in_process, save
from pairs import at_best, in_turn, peak_mib, seconds, times_faster
from training_step import Measured, running

CONTENDERS = ("by hand", "by hand, compiled", "Trainer", "hornbook", "hornbook, compiled")
WARM_UPS = 2
LEARNING_RATE, BETAS, DECAY, LONGEST = 6e-4, (0.9, 0.95), 0.1, 1.0
ENDLESS = 1_000_000
"""Steps that the Trainer is told to make; it makes as many as are ordered."""


@dataclass(frozen=True)
class Contender:
    """One way to make a step."""

    name: str
    shape: str
    folder: str
    precision: str


def main() -> None:
    """Run the contest, or measure the overhead, and print a table."""
    parser = argparse.ArgumentParser(description="Time training steps against hand code and the Trainer.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["gpt2-4M", "gpt2-124M"])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each contender that count")
    parser.add_argument("--overhead", action="store_true", help="measure what lies outside the step instead")
    options = parser.parse_args()
    if options.overhead:
        print(f"outside the step: {in_process(overhead, 40):.2%} of the time of a run")
        return
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shapes:
            in_process(save, shape, f"{folder}/{shape}")
            contest(shape, f"{folder}/{shape}", options.contenders, options.precision, options.rounds)


def contest(shape: str, folder: str, names: list[str], precision: str, rounds: int) -> None:
    """Let all contenders make a step in turn, and print a line for each."""
    contenders = [Contender(name, shape, folder, precision) for name in names]
    with running(contenders, serve) as steps:
        first = [warm[0].seconds for warm in in_turn(steps, WARM_UPS)]
        measured = in_turn(steps, rounds)
    peer = [step.seconds for step in measured[0]]
    tokens = SHAPES[shape].batch_size * SHAPES[shape].seq_len
    print(
        f"{shape + ', ' + precision:26} {'tokens/s':>9} {'times':>6} {'at best':>7} "
        f"{'first s':>8} {'peak MiB':>8}"
    )
    for contender, began, own in zip(contenders, first, measured, strict=True):
        times = [step.seconds for step in own]
        print(
            f"{contender.name:26} {median(tokens / each for each in times):9,.0f} "
            f"{times_faster(times, peer):6.2f} {at_best(times, peer):7.2f} {began:8,.1f} "
            f"{max(step.peak_mib for step in own):8,.0f}",
            flush=True,
        )


def serve(contender: Contender, orders: Any) -> None:
    """The life of a contender's process: a step at each order, until nobody gives orders any more."""
    import resource

    from hornbook.train.device import keep_freed_memory

    if contender.name.startswith("hornbook"):
        keep_freed_memory()
    makers = {"Trainer": trainer_step, "hornbook": our_step, "by hand": hand_step}
    step = makers[contender.name.removesuffix(", compiled")](contender)
    while True:
        try:
            orders.recv()
        except EOFError:
            return
        took = seconds(step)
        orders.send(Measured(took, 0, peak_mib(resource.RUSAGE_SELF)))


def windows(shape: str) -> Any:
    """Random tokens, the same for all [batch, seq + 1]."""
    import torch

    size = SHAPES[shape]
    generator = torch.Generator().manual_seed(0)
    vocab_size = size.numbers.get("vocab_size", 50_257)
    return torch.randint(vocab_size, (size.batch_size, size.seq_len + 1), generator=generator)


def hand_step(contender: Contender) -> Callable[[], object]:
    """The loop that people copy."""
    import torch
    from torch.nn import functional

    from hornbook.train.device import PRECISIONS

    model = build("by hand", contender.folder)
    tokens, precision = windows(contender.shape), PRECISIONS[contender.precision]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=DECAY, fused=True
    )

    def loss_of(inputs: Any, targets: Any) -> Any:
        return functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())

    learn = torch.compile(loss_of) if contender.name.endswith("compiled") else loss_of
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def step() -> None:
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            loss = learn(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def our_step(contender: Contender) -> Callable[[], object]:
    """The step of our training, compiled as our training does it."""
    import torch

    from hornbook.data.batch import Batch
    from hornbook.train.compile import compile_stacks
    from hornbook.train.config import AdamWConfig
    from hornbook.train.device import PRECISIONS
    from hornbook.train.objectives import predict_tokens
    from hornbook.train.optimizer import Optimizer
    from hornbook.train.step import train_step

    model: Any = build("hornbook", contender.folder)
    tokens, precision = windows(contender.shape), PRECISIONS[contender.precision]
    if contender.name.endswith("compiled"):
        compile_stacks(model, print)
    rule = AdamWConfig(learning_rate=LEARNING_RATE, betas=BETAS, weight_decay=DECAY)
    return partial(
        train_step,
        model,
        Batch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()),
        predict_tokens(torch.ones(model.head.out_features, dtype=torch.int64)),
        Optimizer(model, rule, precision),
        learning_rate_share=1.0,
        max_grad_norm=LONGEST,
        precision=precision,
    )


def trainer_step(contender: Contender) -> Callable[[], object]:
    """A step of the Trainer, which runs in a thread of its own and waits for an order before each."""
    import torch
    import transformers

    tokens = windows(contender.shape)[:, :-1]
    began, ended = queue.Queue[bool](), queue.Queue[bool]()

    class Turns(transformers.TrainerCallback):
        def on_step_begin(self, *given: Any, **named: Any) -> None:
            began.get()

        def on_step_end(self, *given: Any, **named: Any) -> None:
            ended.put(True)

    arguments = transformers.TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=ENDLESS,
        per_device_train_batch_size=len(tokens),
        learning_rate=LEARNING_RATE,
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        weight_decay=DECAY,
        max_grad_norm=LONGEST,
        optim="adamw_torch_fused",
        bf16=contender.precision == "bfloat16",
        use_cpu=True,
        save_strategy="no",
        logging_steps=10,
        report_to=[],
        disable_tqdm=True,
    )
    rows = [{"input_ids": row, "labels": row} for row in torch.cat([tokens] * 8)]
    trainer = transformers.Trainer(
        build("transformers", contender.folder), arguments, train_dataset=rows, callbacks=[Turns()]
    )
    threading.Thread(target=trainer.train, daemon=True).start()

    def step() -> None:
        began.put(True)
        ended.get()

    return step


def overhead(n_steps: int) -> float:
    """The share of a run that is spent outside `train_step`, with a line of metrics for every step."""
    import numpy as np

    from hornbook.base.config import to_dict
    from hornbook.base.files import write_json
    from hornbook.checkpoint.folder import RunFolder
    from hornbook.data.shards import TokenShards, write_shards
    from hornbook.recipes.shapes import resolve
    from hornbook.tokenizer.tokenizer import Tokenizer
    from hornbook.train import loop
    from hornbook.train.fit import Fit

    words = np.random.default_rng(0).choice(
        np.array(["one", "two", "three", "four", "five", "six", "seven", "eight"]), (400, 60)
    )
    texts = [" ".join(row) for row in words]
    given = ["vocab_size=280", f"train.steps={n_steps}", "train.log_every=1", "train.precision=bfloat16"]
    never = ["train.validate_every=1000", "train.sample_every=1000", "train.save_every=1000"]
    config = resolve("quickstart", [*given, *never, "train.compile=never", "train.device=cpu"])
    tokenizer = Tokenizer.train(texts, vocab_size=280)
    with tempfile.TemporaryDirectory() as parent:
        folder = RunFolder(Path(parent) / "run")
        folder.create()
        tokenizer.save(folder.path)
        write_json(folder.config_path, to_dict(config))
        write_shards(texts, tokenizer, Path(parent) / "shards", fingerprint="")
        shards = TokenShards(Path(parent) / "shards")
        fit = Fit(config, folder, tokenizer, shards, shards)
        inside = 0.0
        own = loop.train_step

        def timed(*arguments: Any, **named: Any) -> Any:
            nonlocal inside
            start = time.perf_counter()
            result = own(*arguments, **named)
            inside += time.perf_counter() - start
            return result

        loop.train_step = timed
        began = time.perf_counter()
        shares = [1 - inside / (time.perf_counter() - began) for _ in steps_of(fit, n_steps)]
        return shares[-1]


def steps_of(fit: Any, n_steps: int) -> Iterator[None]:
    """The steps of a run but for the last, after which everything is measured and saved; each is logged."""
    from hornbook.train.loop import training_steps

    for info in training_steps(fit.state, fit.loader, fit.objective, fit.config.train, fit.precision):
        if info.step == n_steps:
            return
        fit._log(info)
        fit.keeper.after_step(info)
        yield


if __name__ == "__main__":
    main()
