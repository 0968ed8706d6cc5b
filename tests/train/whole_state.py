"""Everything that two runs must have in common to be one run: weights, optimizer memory, place, metrics."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from hornbook.checkpoint.folder import RunFolder

TIMED = ("seconds", "tokens_per_second", "mfu")
"""What a clock says, and so differs from run to run."""


def read_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a run's last save, the time it took left out."""
    save, damaged = RunFolder(folder).saves.newest()
    assert save is not None and not damaged
    return save.tensors, {key: value for key, value in save.facts.items() if key not in TIMED}


def assert_same_run(folder: Path, wanted: Path) -> None:
    """Two finished runs have the same weights to the byte, the same training state and the same metrics."""
    weights, wanted_weights = (RunFolder(path).weights_path.read_bytes() for path in (folder, wanted))
    assert weights == wanted_weights, "model.safetensors differs"
    ours, facts = read_state(folder)
    theirs, wanted_facts = read_state(wanted)
    assert facts == wanted_facts, f"{facts} is not {wanted_facts}"
    differing = [n for n in ours.keys() | theirs.keys() if bits(ours.get(n)) != bits(theirs.get(n))]
    assert not differing, f"of the training state differ: {sorted(differing)}"
    for line, wanted_line in zip_longest(measurements(folder), measurements(wanted)):
        assert line == wanted_line, f"metrics: {line} is not {wanted_line}"


def bits(tensor: Tensor | None) -> tuple[str, tuple[int, ...], bytes] | None:
    """A tensor as its type, shape and bytes: equal only where the very bits are."""
    return tensor if tensor is None else (str(tensor.dtype), tuple(tensor.shape), tensor.numpy().tobytes())


def measurements(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without clock times and without what happened to the run from outside."""
    lines = RunFolder(folder).read_metrics()
    return [
        {key: value for key, value in line.items() if key not in TIMED}
        for line in lines
        if line["kind"] != "event" or "what" in line
    ]


def logged_steps(folder: Path) -> list[int]:
    """The steps that have a line of kind train, in the order of the file."""
    return [line["step"] for line in RunFolder(folder).read_metrics() if line["kind"] == "train"]
