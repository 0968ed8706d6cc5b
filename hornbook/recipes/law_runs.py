"""From finished runs to a scaling law: read the folders, fit, write the law and its page.

    known = fit_law(["runs/ladder/*"...], "law.json")      # and law.html beside it

Runs that tell one law learn from one text by one vocabulary, to predict the next token, and are measured on
the same held-out text. What differs in that is refused by name.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import RunFolderError, TextError
from hornbook.base.files import read_json, write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.corpus.readers import PathLike
from hornbook.model.config import ModelConfig
from hornbook.model.count import matrix_parameters, on_meta
from hornbook.plan.law_file import KnownLaw, LadderRun, LawFile, law_of
from hornbook.plan.scaling import fit
from hornbook.recipes.law_page import write_law_page
from hornbook.train.config import RunConfig


class _Found(NamedTuple):
    """A run, and what it must have in common with the others."""

    run: LadderRun
    vocabulary: str
    """The tokenizer's fingerprint."""
    vocab_size: int
    n_bytes: int
    """Of held-out text."""
    held_out: str | None
    """The checksum of that; None: an older run did not note it."""
    learned: tuple[tuple[str, ...], dict[str, float] | None]
    """What it learned from: names and their shares."""
    bits_per_byte: float
    text: str


def fit_law(runs: Sequence[PathLike], out: PathLike) -> KnownLaw:
    """Fit a law to finished runs, write it to a file and its plots to a page beside it."""
    target = Path(out)
    if target.suffix != ".json":
        raise RunFolderError(f"{target} is to be a law, a file such as {target.with_suffix('.json')}")
    if target.exists() and (not target.is_file() or "runs" not in _object(read_json(target))):
        raise RunFolderError(f"{target} exists and is no law; it stays as it is, choose another --out")
    found = [_read(Path(run)) for run in runs]
    _check_alike(found)
    points = tuple(each.run for each in found)
    first = found[0]
    file = LawFile(
        text=first.text,
        fitted=datetime.datetime.now(datetime.UTC).date().isoformat(),
        vocab_size=first.vocab_size,
        bytes_per_token=round(first.run.loss / (math.log(2) * first.bits_per_byte), 4),
        law=fit(points),
        runs=points,
    )
    known = law_of(file, str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, to_dict(file))
    write_law_page(known, target.with_suffix(".html"))
    return known


def _read(path: Path) -> _Found:
    """What a run says of itself."""
    folder = RunFolder(path)
    if not folder.is_finished:
        state = "is no run that is finished" if folder.config_path.exists() else "is no run folder"
        raise RunFolderError(f"{path} {state}; a law is fitted to finished runs, such as runs/ladder/*")
    config = parse(RunConfig, folder.read_config(), str(folder.config_path))
    if not isinstance(config.model, ModelConfig) or config.train.objective.kind != "next_token":
        raise TextError(f"{path} does not predict the next token; the law is about decoders that do")
    held_out = _object(read_json(path / "results.json")).get("held_out", {})
    learned = [line["tokens"] for line in folder.read_metrics() if line.get("kind") == "train"]
    if not learned or not {"loss", "bits_per_byte", "bytes"} <= set(held_out):
        raise RunFolderError(f"{path} does not tell its tokens and its loss; train it again")
    run = LadderRun(
        name=path.resolve().name,
        parameters=matrix_parameters(on_meta(config.model)),
        tokens=learned[-1],
        loss=held_out["loss"],
    )
    paths = (config.data.path,) if isinstance(config.data.path, str) else config.data.path
    names = tuple(Path(each).name for each in paths)
    return _Found(
        run,
        folder.tokenizer_fingerprint(),
        config.model.vocab_size,
        held_out["bytes"],
        held_out.get("text"),
        (names, config.data.mixture),
        held_out["bits_per_byte"],
        ", ".join(names),
    )


def _check_alike(found: Sequence[_Found]) -> None:
    """Refuse runs whose losses say different things."""
    for one, each in combinations(found, 2):
        for what, ours, theirs in (
            ("vocabularies", one.vocabulary, each.vocabulary),
            ("held-out texts", one.n_bytes, each.n_bytes),
            ("held-out texts", one.held_out, each.held_out),
            ("texts to learn from", one.learned, each.learned),
        ):
            if None not in (ours, theirs) and ours != theirs:
                raise TextError(
                    f"{one.run.name} and {each.run.name} have different {what}, so their losses do not "
                    "compare; tokenize the text once (hornbook tokenize) and train all runs on that"
                )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
