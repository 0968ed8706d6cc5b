"""Going on with a run under another configuration: what may change, and what makes it another run.

How a run is trained from here on may change: how long, how fast, by which schedule, how often it is measured
and saved, on which device. What it learns, and from what, may not: weights and optimizer memory fit the model
and the optimizer they were made for, and the place in the data is a number that only means something in the
same data. `hornbook train RUN --resume train.steps=2000` is checked here; `config.json` then says what holds.
"""

from __future__ import annotations

from typing import Any

from hornbook.base.config import to_dict
from hornbook.base.errors import ConfigError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.recipes import words
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig

MAY_CHANGE = "train"
"""The part of a configuration that may change,"""
BUT_FOR = ("train.optimizer.kind", "train.average", "train.objective")
"""and what in it may not: the memory of the one is no use to the other."""

SETTLED = ("precision", "micro_batch_size", "compile")
"""What was settled when the run began, and stays so where it is left open again."""


def continued(folder: RunFolder, asked: RunConfig) -> RunConfig:
    """The configuration to go on with: the saved one, with the changes that are asked for.

    A change that would make it another run is a `ConfigError`, which lists all changes, those that are
    allowed too.
    """
    saved = resolve(folder.path)
    differing = _differing(saved, asked)
    refused = [key for key in differing if not _may_change(key)]
    if refused:
        allowed = [key for key in differing if _may_change(key)]
        raise ConfigError(
            f"{folder.path} was started with another configuration: {_told(differing, refused)}; that would "
            "be another run"
            + (f" (these may change: {_told(differing, allowed)})" if allowed else "")
            + f"; go on with this one by {words.resume(folder.path)}, or choose another --out"
        )
    reached = max(folder.saves.steps(), default=0)
    if asked.train.steps < reached:
        raise ConfigError(f"the run stands at step {reached}, past train.steps {asked.train.steps}; raise it")
    train = asked.train
    left = {field: getattr(saved.train, field) for field in SETTLED if getattr(train, field) == "auto"}
    train = train.model_copy(update=left)
    return saved.model_copy(update={"train": train})


def adopt(folder: RunFolder, config: RunConfig) -> None:
    """Let config.json say what the run goes on with; one that is to be longer is not finished any more."""
    saved = resolve(folder.path)
    if config == saved:
        return
    if config.train.steps > saved.train.steps:
        folder.update_run(status="running")
    write_json(folder.config_path, to_dict(config))


def _differing(saved: RunConfig, asked: RunConfig) -> dict[str, tuple[Any, Any]]:
    """What was and what is asked for, by dotted key, where the two differ."""
    theirs, ours = flat(to_dict(saved)), flat(to_dict(asked))
    left_open = {f"train.{field}" for field in SETTLED if getattr(asked.train, field) == "auto"}
    if asked.tokenizer.vocab_size > saved.tokenizer.vocab_size:
        # The text may have given a smaller vocabulary than was asked for.
        left_open |= {"tokenizer.vocab_size", "model.vocab_size"}
    return {
        key: (theirs.get(key), ours.get(key))
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key) and key not in left_open
    }


def _may_change(key: str) -> bool:
    fixed = any(key == one or key.startswith(f"{one}.") for one in BUT_FOR)
    return key.startswith(f"{MAY_CHANGE}.") and not fixed


def _told(differing: dict[str, tuple[Any, Any]], keys: list[str]) -> str:
    return "; ".join(f"{key} was {differing[key][0]!r}, asked is {differing[key][1]!r}" for key in keys)


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested data as dotted keys."""
    if isinstance(data, dict):
        pairs = data.items()
    elif isinstance(data, list):
        pairs = {str(i): value for i, value in enumerate(data)}.items()
    else:
        return {prefix: data}
    found: dict[str, Any] = {}
    for key, value in pairs:
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found
