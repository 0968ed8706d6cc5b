"""The saves of a run: its whole state at some steps, one file each, written while training goes on.

    training/step-100.safetensors

`Saves` knows the files, `Writer` puts them there from a thread of its own: a save holds up training for no
longer than the state takes to copy, unless the save before is still being written. A file is written whole
or not at all, and the files that it replaces go when it is there. What a save holds is its owner's business:
named tensors, and facts as JSON data.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from hornbook.base.errors import RunFolderError
from hornbook.checkpoint.tensors import load_tensors, save_tensors

FORMAT = 1
ADVICE = "start over with --overwrite"


class Save(NamedTuple):
    """One save, read back."""

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose name begins with that and a slash, without it."""
        start = f"{name}/"
        return {
            key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)
        }

    def weights(self) -> dict[str, Tensor]:
        """The weights that stand for the model: their averages, where the optimizer keeps such."""
        kept = self.part("optimizer")
        return {name: kept.get(f"{name}/average", weight) for name, weight in self.part("model").items()}


class Saves:
    """The files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / f"step-{step}.safetensors"

    def steps(self) -> list[int]:
        """The steps there are saves of, in order."""
        names = (re.fullmatch(r"step-(\d+)\.safetensors", path.name) for path in self.folder.glob("step-*"))
        return sorted(int(name[1]) for name in names if name)

    def write(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a save; a full disk is a `RunFolderError` and leaves what was there."""
        self.folder.mkdir(exist_ok=True)
        save_tensors(self.path(step), tensors, {"format": str(FORMAT), "facts": json.dumps(dict(facts))})

    def read(self, step: int) -> Save:
        """Read a save; a damaged or missing one is a `RunFolderError`."""
        tensors, facts = load_tensors(self.path(step), ADVICE)
        return Save(self.path(step), tensors, json.loads(facts["facts"]))

    def newest(self) -> tuple[Save | None, list[str]]:
        """The newest save that is whole, and which newer ones are not; None: there is no save.

        Where all are damaged, that is an error.
        """
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return self.read(step), damaged
            except RunFolderError as error:
                damaged.append(str(error).removesuffix(f"; {ADVICE}"))
        if damaged:
            raise RunFolderError(f"{'; '.join(damaged)}; {ADVICE}")
        return None, []

    def keep_only(self, steps: Collection[int]) -> None:
        """Remove the saves of all other steps."""
        for step in set(self.steps()) - set(steps):
            self.path(step).unlink(missing_ok=True)


class Writer:
    """Writes saves from a thread; what goes wrong there is raised by the next call here."""

    def __init__(self, saves: Saves) -> None:
        self.saves = saves
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def save(
        self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], keep: Collection[int]
    ) -> None:
        """Copy a state and return; it is written meanwhile, and then only it and the steps of `keep` stay."""
        self.wait()
        copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        kept = {step, *keep}
        self._thread = threading.Thread(target=self._write, args=(step, copies, dict(facts), kept))
        self._thread.start()

    def wait(self) -> None:
        """Return when nothing is being written; raise what went wrong since the last call."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _write(
        self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], kept: Collection[int]
    ) -> None:
        try:
            self.saves.write(step, tensors, facts)
            self.saves.keep_only(kept)
        except Exception as error:
            self._error = error
