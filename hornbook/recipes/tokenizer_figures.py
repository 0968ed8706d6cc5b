"""What the tokenizer report tells, as numbers: every tokenizer measured on every kind of text.

`measure(paths, ...)` reads the texts, loads or trains the tokenizers and counts. Nothing here knows HTML; the
page is made in `tokenizer_report`, its chapters in `tokenizer_sections`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hornbook.base.errors import ConfigError, TextError
from hornbook.base.progress import Progress, Watch, unwatched
from hornbook.corpus.ledger import Step
from hornbook.corpus.readers import PathLike
from hornbook.recipes.at_hand import Named, compared, find_tokenizer
from hornbook.recipes.text_kinds import Kind, parallel, read_kinds
from hornbook.recipes.vocabulary_sweep import SIZES, Sweep, sweep
from hornbook.tokenizer.jit import Int64s
from hornbook.tokenizer.measure import Compression, Fairness, compression, fairness
from hornbook.tokenizer.pretokenize import name_of
from hornbook.tokenizer.tokenizer import Tokenizer

PATTERN = "gpt2"
"""How text is split in a sweep where no tokenizer of one's own says it, or it is not a byte-level BPE."""
PROBE = 2_000
"""So many characters of each kind are decoded again, to see whether a tokenizer keeps its text."""


@dataclass(frozen=True)
class Figures:
    """All that the page shows."""

    tokenizers: list[Named]
    """One's own first, then those they are compared with."""
    n_own: int
    trained_here: bool
    """Whether one's own is the largest of the sweep, and all is measured on text that it never saw."""
    kinds: list[Kind]
    """The texts that are measured."""
    table: Mapping[str, Mapping[str, Compression]]
    """What each tokenizer makes of each kind, by their names."""
    lossy: list[str]
    """The tokenizers that give back another text than they were given."""
    same_lines: list[Kind]
    """The kinds that are the same sentences in several languages; empty where none are."""
    fair: Mapping[str, Fairness]
    """How evenly each tokenizer treats them."""
    swept: Sweep | None
    held_out: Mapping[str, float]
    """Bytes per token of each tokenizer on the text that the sweep is measured on."""
    uses: Int64s
    """How often each token of the first tokenizer occurs in the texts."""
    step: Step
    """The books of the reading."""
    left_out: list[tuple[str, str]]
    """Files that hold no tokenizer to compare with, and why."""

    @property
    def own(self) -> Named:
        """The tokenizer that the page is about."""
        return self.tokenizers[0]

    def overall(self, name: str) -> float:
        """Bytes per token of one tokenizer over all kinds."""
        found = self.table[name].values()
        return sum(each.bytes for each in found) / sum(each.tokens for each in found)


def measure(
    paths: PathLike | Sequence[PathLike],
    *,
    tokenizers: Sequence[PathLike] = (),
    compare: Sequence[PathLike] = (),
    sizes: Sequence[int] = SIZES,
    watch: Watch = unwatched,
) -> Figures:
    """Measure tokenizers on texts; `sizes` are those of the vocabulary sweep, none for no sweep.

    Without `tokenizers` one's own is the largest of the sweep. What `compare` stands for says `compared`.
    """
    own = [find_tokenizer(path) for path in tokenizers]
    others, left_out = compared(compare)
    if not (own or others or sizes):
        raise ConfigError("there is no tokenizer to measure; give --tokenizer PATH, or let --sweep train one")
    with watch("reading") as progress:
        kinds, step = read_kinds(paths, progress)
    swept, held_out = None, kinds
    if sizes:
        learned, held_out = _divided(kinds)
        with watch("merging") as progress:
            pattern = _pattern(own[0].tokenizer) if own else PATTERN
            texts = [text for kind in learned for text in kind.texts]
            swept = sweep(texts, [text for kind in held_out for text in kind.texts], pattern, sizes, progress)
    trained_here = swept is not None and not own
    if swept is not None and not own:
        own = [Named("trained here", swept.tokenizer)]
    names = _distinct([*own, *others])
    measured = held_out if trained_here else [kind for kind in kinds if _has_words(kind)]
    with watch("measuring") as progress:
        table = _table(names, measured, progress)
        same = parallel(kinds)
        same = [kind for kind in measured if kind.name in {each.name for each in same}]
        held = table if trained_here or swept is None else _table(names, held_out, progress)
        uses = _uses(names[0].tokenizer, measured)
    return Figures(
        tokenizers=names,
        n_own=max(len(own), 1),
        trained_here=trained_here,
        kinds=measured,
        table=table,
        lossy=_lossy(names, measured),
        same_lines=same,
        fair=_fair(names, same),
        swept=swept,
        held_out={name: _ratio(found) for name, found in held.items()},
        uses=uses,
        step=step,
        left_out=left_out,
    )


def _pattern(tokenizer: Tokenizer) -> str:
    """The pattern of a byte-level BPE; what others name so is no pattern to train with."""
    try:
        return name_of(tokenizer.vocabulary.pattern)
    except ConfigError:
        return PATTERN


def _divided(kinds: Sequence[Kind]) -> tuple[list[Kind], list[Kind]]:
    """The part of each kind that a sweep learns from, and the part it is measured on."""
    pairs = [kind.divided() for kind in kinds]
    held_out = [last for _, last in pairs if _has_words(last)]
    if not held_out:
        raise TextError("there is too little text to hold some of it out; give more, or --no-sweep")
    return [first for first, _ in pairs], held_out


def _has_words(kind: Kind) -> bool:
    return any(text.strip() for text in kind.texts)


def _distinct(tokenizers: Sequence[Named]) -> list[Named]:
    """The tokenizers, a second one of the same name with a number."""
    seen: dict[str, int] = {}
    out = []
    for each in tokenizers:
        seen[each.name] = number = seen.get(each.name, 0) + 1
        out.append(each if number == 1 else Named(f"{each.name} ({number})", each.tokenizer))
    return out


def _table(
    tokenizers: Sequence[Named], kinds: Sequence[Kind], progress: Progress
) -> dict[str, dict[str, Compression]]:
    table: dict[str, dict[str, Compression]] = {}
    for place, each in enumerate(tokenizers, 1):
        table[each.name] = {kind.name: compression(each.tokenizer, kind.texts) for kind in kinds}
        progress(place, len(tokenizers), each.name)
    return table


def _ratio(found: Mapping[str, Compression]) -> float:
    return sum(each.bytes for each in found.values()) / sum(each.tokens for each in found.values())


def _fair(tokenizers: Sequence[Named], same: Sequence[Kind]) -> dict[str, Fairness]:
    """What the same sentences cost in each language, tokenizer by tokenizer.

    The others are compared with English, or where it is not among them with the language that needs the
    fewest tokens of the first tokenizer.
    """
    if not same:
        return {}
    found = {
        each.name: {kind.name: compression(each.tokenizer, kind.lines) for kind in same}
        for each in tokenizers
    }
    own = found[tokenizers[0].name]
    fewest = min(own, key=lambda name: own[name].tokens)
    base = next(filter(_is_english, own), fewest)
    return {name: fairness(by_kind, base) for name, by_kind in found.items()}


def _is_english(name: str) -> bool:
    return re.match(r"(?i)en(g|glish)?([^a-z]|$)", name) is not None


def _uses(tokenizer: Tokenizer, kinds: Sequence[Kind]) -> Int64s:
    """How often each id occurs."""
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for kind in kinds:
        for text in kind.texts:
            ids = tokenizer.encode_array(text, disallowed_special=())
            counts += np.bincount(ids, minlength=len(counts))
    return counts


def _lossy(tokenizers: Sequence[Named], kinds: Sequence[Kind]) -> list[str]:
    """The tokenizers that do not give back the text they were given."""
    probes = [kind.texts[0][:PROBE] for kind in kinds]
    return [
        each.name
        for each in tokenizers
        if any(each.tokenizer.decode(each.tokenizer.encode(p, disallowed_special=())) != p for p in probes)
    ]
