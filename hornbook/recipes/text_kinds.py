"""Texts by kind: each file or sub-folder of what was given is one kind of text, and its name the label.

    kinds, step = read_kinds(["flores200/devtest", "novels/"])

Files of one folder with equally many lines, long and short ones in the same places, are taken for the same
sentences in several languages; `parallel` finds them. Of each kind so much is read as can be held in memory.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hornbook.base.errors import TextError
from hornbook.base.progress import Progress, silent
from hornbook.corpus.folder import is_corpus
from hornbook.corpus.ledger import Step
from hornbook.corpus.pipeline import read_corpus
from hornbook.corpus.readers import PathLike, as_list, read_text

MOST_KINDS = 64
"""A folder of more files and folders is one kind as a whole."""
MOST_CHARACTERS = 2_000_000
"""So much of each kind is read."""
FEWEST_LINES = 20
"""Files of fewer lines may have equally many by chance."""
ALIKE = 0.5
"""The lengths of parallel lines correlate at least so much; those of other files by chance far less."""
HELD_OUT = 10
"""One line of so many is held out, the last ones."""


@dataclass(frozen=True)
class Kind:
    """One kind of text."""

    name: str
    folder: str
    """Where it lies."""
    texts: tuple[str, ...]
    cut: bool = False
    """Whether there was more than was read."""

    @property
    def lines(self) -> list[str]:
        """The lines of all texts, without their ends."""
        return [line for text in self.texts for line in text.removesuffix("\n").split("\n")]

    def divided(self) -> tuple[Kind, Kind]:
        """Return the first nine tenths and the last one, cut between lines where there are ten."""
        lines = [f"{line}\n" for line in self.lines]
        pieces = lines if len(lines) >= HELD_OUT else list("".join(lines))
        end = len(pieces) - max(1, len(pieces) // HELD_OUT)
        first, last = "".join(pieces[:end]), "".join(pieces[end:])
        return replace(self, texts=(first,)), replace(self, texts=(last,))


def read_kinds(paths: PathLike | Sequence[PathLike], progress: Progress = silent) -> tuple[list[Kind], Step]:
    """Read each kind of text in some files and folders; return them and the books of the reading.

    What holds no text is left out; a `TextError` where nothing does. Kinds of one name are told apart by
    their folders.
    """
    step = Step("read")
    entries = [entry for given in as_list(paths) for entry in _entries(given)]
    kinds = []
    for place, entry in enumerate(entries, 1):
        if kind := _read(entry, step):
            kinds.append(kind)
        progress(place, len(entries), os.path.basename(entry))
    if not kinds:
        told = ", ".join(f"{entry.count.documents} {reason}" for reason, entry in step.dropped.items())
        why = f"all of it was left out ({told})" if told else "there are no files"
        raise TextError(f"there is no text in what was given: {why}; give files of UTF-8 text")
    return _with_distinct_names(kinds), step


def parallel(kinds: Sequence[Kind]) -> list[Kind]:
    """The largest group of kinds that look like the same lines in several languages, empty where none do."""
    groups: dict[tuple[str, int], list[Kind]] = defaultdict(list)
    for kind in kinds:
        if len(kind.texts) == 1 and not kind.cut and (n_lines := len(kind.lines)) >= FEWEST_LINES:
            groups[kind.folder, n_lines].append(kind)
    largest = max(map(_alike, groups.values()), key=len, default=[])
    return largest if len(largest) > 1 else []


def _alike(kinds: Sequence[Kind]) -> list[Kind]:
    """Those of some kinds whose lines are long where the lines of the others are long."""
    lengths = np.array([[len(line) for line in kind.lines] for kind in kinds], float)
    lengths /= lengths.mean(axis=1, keepdims=True)
    others = lengths.sum(axis=0) - lengths
    varied = (lengths.std(axis=1) > 0) & (others.std(axis=1) > 0)
    return [
        kind
        for kind, mine, theirs, can_tell in zip(kinds, lengths, others, varied, strict=True)
        if can_tell and np.corrcoef(mine, theirs)[0, 1] >= ALIKE
    ]


def _entries(given: PathLike) -> Iterator[PathLike]:
    """What is a kind of its own: a file, a glob, a corpus, or each thing in a folder."""
    path = Path(given).expanduser()
    if not path.is_dir() or is_corpus(path):
        yield given
        return
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if 0 < len(inside) <= MOST_KINDS:
        yield from inside
    else:
        yield path


def _read(entry: PathLike, step: Step) -> Kind | None:
    """The beginning of a kind, or None where it has no text."""
    path = Path(entry).expanduser()
    documents = read_corpus(path) if is_corpus(path) else read_text(entry, step)
    texts: list[str] = []
    room = MOST_CHARACTERS
    cut = False
    with suppress(TextError):  # What holds no text is in the books.
        for document in documents:
            cut = len(document.text) > room
            if not room:
                break
            texts.append(document.text[:room])
            room -= len(texts[-1])
    if not texts:
        return None
    name = path.stem if path.is_file() else path.resolve().name
    return Kind(name, str(path.parent), tuple(texts), cut)


def _with_distinct_names(kinds: list[Kind]) -> list[Kind]:
    """The kinds, those that share a name with their folder before it, and a number if that is not enough."""
    count = Counter(kind.name for kind in kinds)
    longer = [
        replace(kind, name=f"{Path(kind.folder).name}/{kind.name}") if count[kind.name] > 1 else kind
        for kind in kinds
    ]
    seen: Counter[str] = Counter()
    distinct = []
    for kind in longer:
        seen[kind.name] += 1
        number = seen[kind.name]
        distinct.append(replace(kind, name=f"{kind.name} ({number})") if number > 1 else kind)
    return distinct
