"""The run folder: the unit of exchange, the only thing that later stages read.

    config.json            the whole configuration, resolved; can be given back as a recipe
    tokenizer.json         the tokenizer, in Hugging Face's format
    tokenizer_config.json  the roles of its special tokens, and its chat template
    model.safetensors      the weights
    training/              saves to resume from: weights, optimizer memory and step in one file each
    metrics.jsonl          one line for each measurement: the source of every plot
    results.json           the final evaluation and samples
    run.json               versions, machine, seed, status
    ledger.json            where the text came from (absent where the corpus was given)
    report.html            all of the above, to look at
    data/                  the run's own corpus and token shards
    profile/ tensorboard/ wandb/    what other programs show of it, where that is wished for

Everything is written whole or not at all. A save is one file, so weights and optimizer can never be of
different steps.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_json, sha256, write_json, write_text
from hornbook.base.lock import alone_in
from hornbook.checkpoint.saves import Save, Saves
from hornbook.checkpoint.tensors import load_tensors, load_weights, save_tensors
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel, build_model
from hornbook.tokenizer.tokenizer import Tokenizer

FORMAT = 1


class RunFolder:
    """One run's folder. The methods read or write one thing each and name the file when it fails."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.weights_path = self.path / "model.safetensors"
        self.saves = Saves(self.path / "training")
        self.metrics_path = self.path / "metrics.jsonl"
        self._run_path = self.path / "run.json"

    @property
    def exists(self) -> bool:
        """Whether there is anything at this path, besides half a file from a start that was killed."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(not entry.name.endswith(".tmp") for entry in self.path.iterdir())

    @property
    def is_finished(self) -> bool:
        """Whether the run went through to its end and its weights are whole; if not, `--resume` mends it."""
        if not self._is_run or read_json(self._run_path).get("status") != "finished":
            return False
        try:
            load_tensors(self.weights_path, "")
        except RunFolderError:
            return False
        return True

    @property
    def imported_from(self) -> str | None:
        """The name of the folder that a model came from; None where it was trained in this one."""
        return read_json(self._run_path).get("imported_from") if self._is_run else None

    def create(self, overwrite: bool = False, resume: bool = False) -> Path | None:
        """Make the folder; a run that is in the way is an error, unless `overwrite` moves it aside.

        With `resume` a run that got no further than its data is begun again in place. Returns where the
        former run went. Nothing is ever deleted, and a folder that is not a run is never touched.
        """
        moved = None
        if self.exists and not self._is_run:
            raise RunFolderError(
                f"{self.path} exists already and is not a run folder; it stays as it is, choose another --out"
            )
        if self.exists and overwrite:
            with self.held():
                moved = self._move_aside()
        elif self.exists and not resume:
            raise RunFolderError(
                f"{self.path} exists already: continue it with --resume, start over with --overwrite "
                "(the old run is kept under another name), or choose another --out"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"{self.path} cannot be made ({error.strerror}); choose another --out"
            ) from None
        return moved

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in this folder meanwhile; one that does already is an error."""
        with alone_in(self.path) as alone:
            if not alone:
                raise RunFolderError(
                    f"another process is training in {self.path}; wait until it has ended, or choose another "
                    "--out"
                )
            yield

    @property
    def _is_run(self) -> bool:
        return self._run_path.is_file()

    def _move_aside(self) -> Path:
        number = 1
        while (target := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        self.path.rename(target)
        return target

    def read_config(self) -> dict[str, Any]:
        """The configuration as plain data, checked for its format version."""
        if not self.config_path.exists():
            hint = "it is empty or not a run folder" if self.path.is_dir() else "there is no such folder"
            raise RunFolderError(f"{self.config_path} is missing: {hint}; `hornbook quickstart` makes one")
        data = read_json(self.config_path)
        if isinstance(data, dict) and "model_type" in data:
            raise RunFolderError(
                f"{self.path} is a folder of Hugging Face and no run; `hornbook import` makes one"
            )
        found = data.get("format") if isinstance(data, dict) else None
        if found != FORMAT:
            raise RunFolderError(
                f"{self.config_path} is of format {found}, and this Hornbook reads format {FORMAT}; "
                "use the version that wrote it (see run.json), or train again"
            )
        return dict(data)

    def read_tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return Tokenizer.load(self.path)

    def tokenizer_fingerprint(self) -> str:
        """SHA-256 of the tokenizer's file; token shards are tied to it."""
        return sha256((self.path / "tokenizer.json").read_bytes())

    def read_model(self, config: AnyConfig, step: int | None = None) -> AnyModel:
        """A model of that configuration, on the CPU in float32: the finished one, or that of a save."""
        model = build_model(config)
        if step is None:
            trained = self.imported_from is None
            advice = "continue the run with --resume to write it again" if trained else "import it again"
            load_weights(model, load_tensors(self.weights_path, advice)[0], self.weights_path)
        else:
            save = self._save_of(step)
            load_weights(model, save.weights(), save.path)
        return model

    def _save_of(self, step: int) -> Save:
        """The save of a step, which must be there."""
        steps = self.saves.steps()
        if step not in steps:
            there = f"saves of step {', '.join(map(str, steps))}" if steps else "no saves"
            raise RunFolderError(f"{self.path} has no save of step {step}; there are {there}")
        return self.saves.read(step)

    def save_model(self, model: nn.Module, step: int) -> None:
        """Write the weights."""
        facts = {"format": str(FORMAT), "step": str(step)}
        save_tensors(self.weights_path, dict(model.named_parameters()), facts)

    def append_metrics(self, **line: Any) -> None:
        """Add one line to metrics.jsonl. JSON knows no number that is not finite: null stands for it."""
        line = {key: None if _not_finite(value) else value for key, value in line.items()}
        with open(self.metrics_path, "a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line cut short by a crash is left out."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8", errors="replace").split("\n")
        whole = []
        for number, line in enumerate(lines, 1):
            try:
                whole.append(json.loads(line)) if line else None
            except json.JSONDecodeError:
                if number < len(lines):
                    raise RunFolderError(
                        f"{self.metrics_path} is damaged: line {number} is not JSON; take that line out"
                    ) from None
        return whole

    def forget_metrics_after(self, step: int) -> None:
        """Drop the lines of steps that a resumed run will take again.

        What happened to the run from outside stays: events that do not say `what` the run did by itself.
        """
        kept = [line for line in self.read_metrics() if _from_outside(line) or line["step"] <= step]
        write_text(self.metrics_path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def update_run(self, **facts: Any) -> None:
        """Write facts into run.json, keeping what is there."""
        known = read_json(self._run_path) if self._run_path.exists() else {"format": FORMAT}
        write_json(self._run_path, {**known, **facts})


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _from_outside(line: dict[str, Any]) -> bool:
    return line["kind"] == "event" and "what" not in line
