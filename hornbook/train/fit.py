"""From a configuration and token shards to a trained model in a run folder.

`fit` builds the model and puts the standard hooks around the loop: log, validate, sample, save. Every
measurement is a line of metrics.jsonl, and the same line goes to `listen`, so that what a person sees while
training and what the report draws later can never differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hornbook.base.errors import ConfigError, TextError
from hornbook.base.progress import Progress, silent
from hornbook.base.randomness import stream
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.batch import Batch
from hornbook.data.loader import Prefetched
from hornbook.data.shards import TokenShards
from hornbook.data.sources import Texts, make_loader
from hornbook.data.windows import read_rows
from hornbook.generate.text import generate_text
from hornbook.model.count import training_flops_per_token
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shapes import build_model
from hornbook.parallel.recompute import recompute
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.compile import compile_stacks
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, keep_freed_memory, matmul_peak, resolve_device
from hornbook.train.guard import Guard
from hornbook.train.keeper import Keeper
from hornbook.train.loop import Hook, StepInfo, run_hooks, stop_after_step, training_steps
from hornbook.train.note import Note
from hornbook.train.optimizer import Optimizer
from hornbook.train.profiler import Profiling
from hornbook.train.sanity import Checks, Judge, cost_of_frequencies
from hornbook.train.state import TrainState
from hornbook.train.tasks import build_task, goes_on
from hornbook.train.trackers import Trackers
from hornbook.train.validate import measure

SAMPLE_TOKENS = 48

Listener = Callable[[dict[str, Any]], None]


def ignore(line: dict[str, Any]) -> None:
    """The listener that does not listen."""


class Fit:
    """One sitting of a run: its model, data and hooks."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        tokenizer: Tokenizer,
        train: Texts,
        held_out: TokenShards,
        listen: Listener = ignore,
    ) -> None:
        assert config.train.precision != "auto", "resolve the precision before training"
        self.config, self.folder, self.tokenizer, self.listen = config, folder, tokenizer, listen
        self.precision = PRECISIONS[config.train.precision]
        self.judges: list[Judge] = []
        self.trackers = Trackers(config, folder)
        keep_freed_memory()
        self.device = device = resolve_device(config.train.device)
        task = build_task(config, tokenizer)
        model = build_model(config.model, config.seed).to(device)
        recompute(model, config.train.recompute)
        optimizer = Optimizer(model, config.train.optimizer, self.precision, config.train.average)
        self.state = TrainState(model, optimizer, config.seed, guard=Guard(config.train.guard))
        if config.train.compile == "always":
            compile_stacks(model, self._tell)
        self.objective, self.collate = task.objective, task.collate
        loader = make_loader(config.data, train, seed=config.seed, collate=self.collate)
        self.loader = Prefetched(loader, pinned=device.type == "cuda")
        self.about_data = loader.source.describe()
        self.validation = self._validation_batches(held_out)
        self.checks = Checks(
            vocab_size=config.model.vocab_size,
            by_frequency=cost_of_frequencies(self.validation, loader, config.model.vocab_size),
            steps=config.train.steps,
            steps_per_epoch=self.loader.steps_per_epoch,
        )
        self.judges.append(self.checks.hear)
        self.logged = (0, 0.0)
        flops = training_flops_per_token(model, config.data.seq_len)
        self.peak_tokens_per_second = matmul_peak(device, self.precision) / flops
        self.keeper = Keeper(self.state, folder.saves, config.train, self.record)

    def resume(self) -> int:
        """Go back to the last save, if there is one; return the step it was made at."""
        damaged = self.keeper.resume()
        state = self.state
        if state.step > self.config.train.steps:
            raise ConfigError(
                f"the run stands at step {state.step}, past train.steps {self.config.train.steps}; raise it"
            )
        self.folder.forget_metrics_after(state.step)
        self.logged = (state.tokens, state.seconds)
        for sentence in damaged:
            self.record("event", state.step, text=f"{sentence}; an older save is used")
        return state.step

    def run(self, progress: Progress = silent) -> bool:
        """Train to the end and save. False: a signal asked to stop earlier; the state is saved then too."""
        profiling = Profiling(self.config.train.profile, self.folder.path, self.device, self._tell)
        hooks = [
            Hook(1, profiling.after_step),
            Hook(1, self._look_at_the_first),
            Hook(self.config.train.log_every, self._log),
            Hook(self.config.train.validate_every, self._validate),
            Hook(self.config.train.sample_every, self._sample),
            Hook(1, self.keeper.after_step),
            Hook(1, profiling.before_step),
        ]
        self.trackers.start(self.state.step)
        for line in self.folder.read_metrics() if self.state.step else ():
            self._judge(line)  # What a judge remembers follows from what it has heard.
        if self.state.step == 0 and self.about_data:
            self.record("event", 0, text=self.about_data)
        note = Note(self.config.train.steps, self.peak_tokens_per_second, self.device)
        with self.trackers, stop_after_step() as stop_wished, self.keeper.at_work(), profiling:
            steps = training_steps(self.state, self.loader, self.objective, self.config.train, self.precision)
            for info in steps:
                run_hooks(info, hooks)
                progress(info.step, info.steps, note(info))
                if stop_wished() and not info.is_last:
                    self.keeper.save()
                    self.keeper.writer.wait()
                    self.record("event", info.step, text="interrupted; everything is saved")
                    return False
        with self.state.optimizer.averaged():
            self.folder.save_model(self.state.model, self.state.step)
        return True

    def record(self, kind: str, step: int, **facts: Any) -> None:
        """Write one line of metrics, tell the listener, and write what the judges say of it."""
        line = {"kind": kind, "step": step, **facts}
        self.folder.append_metrics(**line)
        self.listen(line)
        self.trackers.hear(line)
        for verdict in self._judge(line):
            self.record("event", step, **verdict)

    def _judge(self, line: dict[str, Any]) -> list[dict[str, Any]]:
        return [verdict for judge in self.judges for verdict in judge(line)]

    def _tell(self, text: str) -> None:
        """Write down something that happened."""
        self.record("event", self.state.step, text=text)

    def _look_at_the_first(self, info: StepInfo) -> None:
        for verdict in self.checks.first(info.loss) if info.step == 1 else ():
            self.record("event", 1, **verdict)

    def _log(self, info: StepInfo) -> None:
        tokens, seconds = self.logged
        self.logged = (info.tokens, info.seconds)
        speed = (info.tokens - tokens) / (info.seconds - seconds)
        self.record(
            "train",
            info.step,
            tokens=info.tokens,
            seconds=round(info.seconds, 3),
            loss=info.loss,
            bits_per_byte=info.bits_per_byte,
            **info.result.metrics,
            learning_rate=info.learning_rate,
            grad_norm=info.result.grad_norm,
            tokens_per_second=round(speed, 1),
            mfu=round(speed / self.peak_tokens_per_second, 4),
            **({} if info.result.skipped is None else {"skipped": info.result.skipped}),
        )

    def _validate(self, info: StepInfo) -> None:
        with self.state.optimizer.averaged():
            found = measure(self.state.model, self.validation, self.objective, self.precision)
        self.record("validation", info.step, **found.line())
        self.keeper.measured(info.step, found.loss)

    def _sample(self, info: StepInfo) -> None:
        model = self.state.model
        if not (isinstance(model, CausalLM | Seq2SeqLM) and goes_on(self.config)):
            return
        with self.state.optimizer.averaged():
            for prompt in self.config.train.sample_prompts:
                text = generate_text(
                    model,
                    self.tokenizer,
                    prompt,
                    max_new_tokens=SAMPLE_TOKENS,
                    seed=self.config.seed,
                )
                self.record("sample", info.step, prompt=prompt, text=text)

    def _validation_batches(self, held_out: TokenShards) -> list[Batch]:
        """A few batches spread evenly over the held-out text, the same at every validation."""
        data = self.config.data
        last = len(held_out) - data.seq_len - 1
        if last < 0:
            raise TextError(
                f"the held-out text has {len(held_out):,} tokens, but one sequence needs "
                f"{data.seq_len + 1:,}; give more text, a smaller data.seq_len, or a larger "
                "data.held_out_share"
            )
        n_windows = max(
            1, min(self.config.train.validation_batches * data.batch_size, len(held_out) // data.seq_len)
        )
        starts = np.linspace(0, last, n_windows).astype(int).tolist()
        cuts = [starts[i : i + data.batch_size] for i in range(0, n_windows, data.batch_size)]
        rows = [read_rows(held_out, cut, data.seq_len, data.document_mask) for cut in cuts]
        return [self.collate(each, stream(self.config.seed, "validation", i)) for i, each in enumerate(rows)]
