"""Runs beside each other: which settings differ, how they did, and whether that is more than chance.

    runs = read_runs(["runs/adamw-0", "runs/adamw-1", "runs/muon-0", "runs/muon-1"])
    groups = grouped(runs)                # runs of one configuration; only the seed is another
    differing(groups), verdicts(groups)

Only files are read. What cannot be compared is said to be so, with the reason, and no number is given.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import read_bytes, sha256
from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes import report_objective as objective
from hornbook.recipes.continued import flat
from hornbook.recipes.report_files import RunFiles, read_run
from hornbook.recipes.report_text import ABSENT, at, count, finite
from hornbook.recipes.significance import Welch, welch
from hornbook.train.config import RunConfig

WATCHING = (
    "format", "seed", "train.log_every", "train.validate_every", "train.validation_batches",
    "train.evaluation_tokens", "train.sample_every", "train.sample_prompts", "train.final_prompts",
    "train.save_every", "train.keep_best", "train.tensorboard", "train.wandb", "train.profile",
)  # fmt: skip
"""Settings, and beginnings of settings, that make no run another: they only say what is seen of it."""
ROUNDING = ("train.device", "train.micro_batch_size", "train.compile", "train.recompute")
"""Those that change rounding and speed alone. They part runs only where nothing else does."""
UNITS = {"bits_per_byte": "bits per byte", "loss": "nats per token"}


@dataclass(frozen=True)
class Entrant:
    """One run, as its folder tells of it."""

    files: RunFiles
    settings: dict[str, Any]
    """The configuration by dotted keys, as overrides have them."""
    tokenizer: str | None
    """A checksum of its tokenizer."""

    @property
    def path(self) -> str:
        """The folder as it was given."""
        return str(self.files.folder)

    @property
    def seed(self) -> Any:
        """What its random draws follow from."""
        return self.settings.get("seed")

    @property
    def is_finished(self) -> bool:
        """Whether it was measured at its end."""
        return self.final("loss") is not None

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        reached, planned = self.files.history.last.get("step"), at(self.files.config, "train", "steps")
        state = {"running": "running, or killed,", "diverged": "broken down"}
        status = str(at(self.files.run, "status") or "not finished")
        return f"{state.get(status, status)} at step {count(reached)} of {count(planned)}"

    def final(self, unit: str) -> float | None:
        """The error on held-out text at the end; None before that, also where a finished run goes on."""
        ended = at(self.files.run, "status") == "finished"
        return finite(at(self.files.results, "held_out", unit)) if ended else None


@dataclass(frozen=True)
class Group:
    """Runs of one configuration."""

    letter: str
    """What the group is called: A, B, C and so on."""
    runs: tuple[Entrant, ...]

    def finals(self, unit: str) -> list[float]:
        """What its runs came to."""
        return [value for run in self.runs if (value := run.final(unit)) is not None]

    def mean(self, unit: str) -> tuple[float, float | None]:
        """The mean of what they came to, and how they scatter; None: one run does not scatter."""
        values = self.finals(unit)
        return fmean(values), stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Verdict:
    """What there is to say of a group beside the first."""

    first: Group
    second: Group
    unit: str
    """The measure that both have."""
    difference: float | None
    """How much more the second's error is; None: the two cannot be compared."""
    test: Welch | None
    """Whether chance may have done it; None: there is no telling."""
    reason: str
    """Why there is no difference, or no test; empty where there are both."""


def read_runs(folders: Sequence[str | os.PathLike[str]]) -> list[Entrant]:
    """Read runs that have measurements. A folder that is none, or is given twice, is an error."""
    places = Counter(Path(folder).resolve() for folder in folders)
    if twice := [str(folder) for folder in folders if places[Path(folder).resolve()] > 1]:
        raise ConfigError(f"{' and '.join(twice)} are one run; give each run once")
    return [_entrant(Path(folder)) for folder in folders]


def _entrant(path: Path) -> Entrant:
    folder = RunFolder(path)
    config = folder.read_config()
    files = read_run(path)
    if not files.history.train:
        origin = f": its model was imported from {folder.imported_from}" if folder.imported_from else ""
        raise RunFolderError(f"{path} has no measurements in metrics.jsonl{origin}; nothing can be compared")
    with contextlib.suppress(ConfigError):  # What another version wrote is compared as it stands.
        config = to_dict(parse(RunConfig, config, str(folder.config_path)))
    tokenizer = path / "tokenizer.json"
    return Entrant(files, flat(config), sha256(read_bytes(tokenizer)) if tokenizer.is_file() else None)


def grouped(runs: Sequence[Entrant]) -> list[Group]:
    """Put runs of one configuration together, in the order in which they were given.

    Where no setting that could change a curve differs, those that change rounding part them, and where these
    are alike too the code and the machine.
    """
    parted = [_parted(runs, view) for view in VIEWS]
    found = next((groups for groups in parted if len(groups) > 1), parted[0])
    return [Group(_letter(i), tuple(members)) for i, members in enumerate(found)]


def _parted(runs: Sequence[Entrant], view: Callable[[Entrant], dict[str, Any]]) -> list[list[Entrant]]:
    """The runs, those together that look the same."""
    found: dict[str, list[Entrant]] = {}
    for run in runs:
        found.setdefault(repr(sorted(view(run).items())), []).append(run)
    return list(found.values())


def _settings(run: Entrant) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if not key.startswith((*WATCHING, *ROUNDING))}


def _settings_and_rounding(run: Entrant) -> dict[str, Any]:
    return {key: value for key, value in run.settings.items() if not key.startswith(WATCHING)}


def _all_about(run: Entrant) -> dict[str, Any]:
    facts = {f"run.json: {key}": at(run.files.run, key) for key in ("hornbook", "git_commit")}
    machine = at(run.files.run, "machine")
    facts |= (
        {f"run.json: {key}": value for key, value in machine.items()} if isinstance(machine, dict) else {}
    )
    return _settings_and_rounding(run) | facts


VIEWS = (_settings, _settings_and_rounding, _all_about)
"""What parts runs, the first that does."""


def _letter(i: int) -> str:
    return chr(ord("A") + i) if i < 26 else f"A{i - 25}"


def differing(groups: Sequence[Group]) -> dict[str, list[str]]:
    """The settings in which groups differ: what each has, by dotted key; a dash where it has no such setting.

    Of parts of two kinds only what both have is told, besides the kind.
    """
    if len(groups) < 2:
        return {}
    runs = [run for group in groups for run in group.runs]
    view = _settings_and_rounding if len(_parted(runs, _settings_and_rounding)) > 1 else _all_about
    views = [[view(run) for run in group.runs] for group in groups]
    keys = sorted({key for group in views for settings in group for key in settings})
    table = {key: [_told(key, group) for group in views] for key in keys}
    table = {key: values for key, values in table.items() if len(set(values)) > 1}
    kinds = tuple(key.removesuffix("kind") for key in table if key.endswith(".kind"))
    return {
        key.removesuffix(".kind"): values
        for key, values in table.items()
        if ABSENT not in values or not (_inside(key, kinds) or any(k.startswith(f"{key}.") for k in keys))
    }


def _inside(key: str, parts: tuple[str, ...]) -> bool:
    """Whether a key is of one of some parts, each given with its dot, and not the kind of that part."""
    return any(key.startswith(part) and key != f"{part}kind" for part in parts)


def _told(key: str, group: Sequence[dict[str, Any]]) -> str:
    """What the runs of a group have under a key."""
    return ", ".join(dict.fromkeys(_shown(run[key]) if key in run else ABSENT for run in group))


def _shown(value: Any) -> str:
    """A value as one types it in an override."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def unit_of(runs: Sequence[Entrant]) -> str:
    """The measure that all runs have: bits per byte, which any two tokenizers share, or nats per token."""
    return "bits_per_byte" if all(run.files.unit == "bits_per_byte" for run in runs) else "loss"


def verdicts(groups: Sequence[Group]) -> list[Verdict]:
    """Each group beside the first."""
    return [_verdict(groups[0], group) for group in groups[1:]]


def _verdict(first: Group, second: Group) -> Verdict:
    runs = (*first.runs, *second.runs)
    unit = unit_of(runs)
    if reason := obstacle(runs):
        return Verdict(first, second, unit, None, None, reason)
    difference = second.mean(unit)[0] - first.mean(unit)[0]
    if reason := _untestable(first) or _untestable(second):
        return Verdict(first, second, unit, difference, None, reason)
    return Verdict(first, second, unit, difference, welch(first.finals(unit), second.finals(unit)), "")


def obstacle(runs: Sequence[Entrant]) -> str:
    """Why runs cannot be compared; empty where they can be."""
    for run in runs:
        if not run.is_finished:
            return f"{run.path} was not measured at its end: it is {run.progress}"
    unit = unit_of(runs)
    for run in runs:
        if run.final(unit) is None:
            return f"{run.path} was not measured in {UNITS[unit]} at its end"
    first = runs[0]
    for run in runs[1:]:
        pair = f"{first.path} and {run.path}"
        if not _same_text(first, run):
            part = any(at(one.files.results, "held_out", "of_documents") for one in (first, run))
            advice = " (train.evaluation_tokens=null measures on all there is)" if part else ""
            return f"{pair} were measured on different held-out text{advice}"
        if _asked(first) != _asked(run):
            return f"{pair} were asked for different things: docs/objectives.md tells which numbers compare"
        if not objective.is_decoder(run.files.config) and first.tokenizer != run.tokenizer:
            return f"{pair} have different tokenizers, and so were asked for other parts of the text"
        if unit != "bits_per_byte" and has_other_tokenizers((first, run)):
            return f"{pair} have different tokenizers, and not all have bits per byte"
    return ""


def _same_text(first: Entrant, second: Entrant) -> bool:
    """Whether two runs were measured on one text, by all that both know of it."""
    ours, theirs = (at(run.files.results, "held_out") or {} for run in (first, second))
    known = [key for key in ("text", "documents", "yardsticks") if ours.get(key) and theirs.get(key)]
    return bool(known) and all(ours[key] == theirs[key] for key in known)


def _asked(run: Entrant) -> Any:
    """What a model was asked for in the end: a decoder for every token, others as they had learned."""
    config = run.files.config
    return (
        "all"
        if objective.is_decoder(config)
        else (at(config, "model", "kind"), at(config, "train", "objective"))
    )


def _untestable(group: Group) -> str:
    """Why chance cannot be judged in a group; empty where it can be."""
    seeds = Counter(str(run.seed) for run in group.runs)
    if len(group.runs) == 1:
        return (
            f"{group.letter} is one run, and another seed alone gives another number. One pair cannot tell a "
            "cause from chance: train each with two seeds or more (seed=1, and another --out)."
        )
    for seed, times in seeds.items():
        if times > 1:
            return (
                f"{times} runs of {group.letter} have the seed {seed}: they are the same draw again and tell "
                "nothing of chance; give runs of different seeds."
            )
    return ""


def has_other_tokenizers(runs: Sequence[Entrant]) -> bool:
    """Whether the losses per token are not of one measure."""
    return len({run.tokenizer for run in runs}) > 1
