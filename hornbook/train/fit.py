"""From a configuration and token shards to a trained model in a run folder.

`fit` builds the model and puts the standard hooks around the loop: log, validate, sample, save. Every
measurement is a line of metrics.jsonl, and the same line goes to `listen`, so that what a person sees while
training and what the report draws later can never differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from hornbook.base.errors import ConfigError, TextError
from hornbook.base.progress import Progress, silent
from hornbook.base.randomness import stream
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.batch import Batch, next_tokens
from hornbook.data.loader import WindowLoader, read_rows
from hornbook.data.shards import TokenShards
from hornbook.generate.text import generate_text
from hornbook.model.models import CausalLM
from hornbook.parallel.recompute import recompute
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig, trained_model
from hornbook.train.device import PRECISIONS, keep_freed_memory, resolve_device
from hornbook.train.loop import Hook, StepInfo, TrainState, run_hooks, stop_after_step, training_steps
from hornbook.train.objectives import next_token
from hornbook.train.optimizer import Optimizer
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
        train: TokenShards,
        held_out: TokenShards,
        listen: Listener = ignore,
    ) -> None:
        assert config.train.precision != "auto", "resolve the precision before training"
        self.config, self.folder, self.tokenizer, self.listen = config, folder, tokenizer, listen
        self.precision = PRECISIONS[config.train.precision]
        keep_freed_memory()
        device = resolve_device(config.train.device)
        model = CausalLM(trained_model(config), config.seed).to(device)
        recompute(model, config.train.recompute)
        self.state = TrainState(model, Optimizer(model, config.train.optimizer, self.precision), config.seed)
        self.objective = next_token(torch.tensor(tokenizer.byte_lengths))
        self.loader = WindowLoader(
            train,
            seq_len=config.data.seq_len,
            batch_size=config.data.batch_size,
            seed=config.seed,
            document_mask=config.data.document_mask,
        )
        self.validation = self._validation_batches(held_out)
        self.logged = (0, 0.0)

    def resume(self) -> int:
        """Go back to the last save, if there is one; return the step it was made at."""
        state = self.state
        if self.folder.training_path.exists():
            optimizer, facts = self.folder.load_training(state.model)
            state.optimizer.load(optimizer)
            state.step, state.tokens, state.seconds = (
                int(facts["step"]),
                int(facts["tokens"]),
                facts["seconds"],
            )
        if state.step > self.config.train.steps:
            raise ConfigError(
                f"the run stands at step {state.step}, past train.steps {self.config.train.steps}; raise it"
            )
        self.folder.forget_metrics_after(state.step)
        self.logged = (state.tokens, state.seconds)
        return state.step

    def run(self, progress: Progress = silent) -> bool:
        """Train to the end and save. False: a signal asked to stop earlier; the state is saved then too."""
        hooks = [
            Hook(self.config.train.log_every, self._log),
            Hook(self.config.train.validate_every, self._validate),
            Hook(self.config.train.sample_every, self._sample),
            Hook(self.config.train.save_every, self._save),
        ]
        with stop_after_step() as stop_wished:
            steps = training_steps(self.state, self.loader, self.objective, self.config.train, self.precision)
            for info in steps:
                run_hooks(info, hooks)
                progress(info.step, info.steps, _note(info))
                if stop_wished() and not info.is_last:
                    self._save(info)
                    self.record("event", info.step, text="interrupted; everything is saved")
                    return False
        self.folder.save_model(self.state.model, self.state.step)
        return True

    def record(self, kind: str, step: int, **facts: Any) -> None:
        """Write one line of metrics and tell the listener."""
        self.folder.append_metrics(kind=kind, step=step, **facts)
        self.listen({"kind": kind, "step": step, **facts})

    def _log(self, info: StepInfo) -> None:
        tokens, seconds = self.logged
        self.logged = (info.tokens, info.seconds)
        self.record(
            "train",
            info.step,
            tokens=info.tokens,
            seconds=round(info.seconds, 3),
            loss=info.loss,
            bits_per_byte=info.bits_per_byte,
            learning_rate=info.learning_rate,
            grad_norm=info.result.grad_norm,
            tokens_per_second=round((info.tokens - tokens) / (info.seconds - seconds), 1),
        )

    def _validate(self, info: StepInfo) -> None:
        found = measure(self.state.model, self.validation, self.objective, self.precision)
        self.record("validation", info.step, **asdict(found))

    def _sample(self, info: StepInfo) -> None:
        for prompt in self.config.train.sample_prompts:
            text = generate_text(
                self.state.model, self.tokenizer, prompt, max_new_tokens=SAMPLE_TOKENS, seed=self.config.seed
            )
            self.record("sample", info.step, prompt=prompt, text=text)

    def _save(self, info: StepInfo) -> None:
        state = self.state
        facts = {"step": state.step, "tokens": state.tokens, "seconds": state.seconds}
        self.folder.save_training(state.model, state.optimizer.state(), facts)

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
        return [next_tokens(each, stream(self.config.seed, "validation", i)) for i, each in enumerate(rows)]


def _note(info: StepInfo) -> str:
    """What stands beside the bar."""
    speed = f"{info.tokens_per_second:,.0f} tokens/s"
    return f"loss {info.loss:.2f}, {info.bits_per_byte:.2f} bits per byte, {speed}"
