"""A vocabulary from files: what `hornbook tokenizer train` does.

    trained = train_tokenizer("books/", "vocabularies/books", vocab_size=8192)
    trained.tokenizer.encode("Call me Ishmael.")

The files are read as a corpus reads them, one document at a time, so memory grows with the distinct words
and not with the text. The folder appears when everything is done: a run that is stopped leaves nothing. How
merges are learned is the tokenizer room's business.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.base.errors import Interrupted, RunFolderError, TextError
from hornbook.base.progress import Progress, Watch, unwatched
from hornbook.base.temporaries import temporary_name
from hornbook.corpus.document import Document
from hornbook.corpus.folder import is_corpus
from hornbook.corpus.ledger import Ledger, Step
from hornbook.corpus.pipeline import PYTHON, read_corpus, read_inputs, read_ledger
from hornbook.corpus.readers import PathLike, as_list, bytes_on_disk
from hornbook.recipes.report_text import size
from hornbook.tokenizer.files.settings import TEMPLATE_FILE
from hornbook.tokenizer.measure import Compression, compression
from hornbook.tokenizer.tokenizer import Tokenizer

SAMPLE_TEXTS = 32
SAMPLE_CHARACTERS = 100_000
"""The training text is measured on so many documents, this much of each."""


@dataclass(frozen=True)
class Trained:
    """A new tokenizer, and what there is to tell of it."""

    tokenizer: Tokenizer
    folder: Path
    """Where it was saved."""
    asked: int
    """The vocabulary that was asked for; the text may have given less."""
    step: Step
    """The books of the reading: what came in, what was left out and why."""
    measured: Compression
    """How it packs a sample of the text it was trained on."""

    def longest(self, count: int) -> list[bytes]:
        """The longest tokens that are more than white space, special ones aside, the longest first."""
        tokens = ordinary_tokens(self.tokenizer).values()
        return longest((token for token in tokens if token.strip()), count)


def train_tokenizer(
    paths: PathLike | Sequence[PathLike],
    out: PathLike,
    vocab_size: int,
    *,
    overwrite: bool = False,
    watch: Watch = unwatched,
    **options: Any,
) -> Trained:
    """Learn a tokenizer from files, folders, globs, corpus folders or `"python"`, and save it in a folder.

    `options` are those of `Tokenizer.train`: `pattern`, `special_tokens`, `min_frequency` and so on. A
    tokenizer in `out` is replaced only with `overwrite`; other files there stay. Raises `TextError` where
    there is no text, `RunFolderError` where `out` is taken, and `Interrupted` after Ctrl-C.
    """
    folder, given = Path(out), as_list(paths)
    check_free(folder, overwrite)
    documents, step = _read(given, folder)
    sample = _Sample()
    try:
        with _building(folder) as building:
            texts = _counted(documents, step, _total(given, folder), watch, sample)
            with closing(texts), _on_first_call(watch, "merging") as progress:
                tokenizer = Tokenizer.train(texts, vocab_size, progress=progress, **options)
            measured = compression(tokenizer, sample.texts)
            tokenizer.save(building)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; nothing was written to {folder}") from None
    return Trained(tokenizer, folder, vocab_size, step, measured)


def ordinary_tokens(tokenizer: Tokenizer) -> dict[int, bytes]:
    """The bytes of each id, without the special, the added and the unused ones."""
    apart = {*tokenizer.special_tokens.values(), *tokenizer.added_tokens.values()}
    tokens: dict[int, bytes] = {}
    for place in range(tokenizer.vocab_size):
        with suppress(TextError):  # An id that no token has.
            tokens[place] = tokenizer.token_bytes(place)
    return {place: token for place, token in tokens.items() if place not in apart}


def longest(tokens: Iterable[bytes], count: int) -> list[bytes]:
    """The longest of some tokens, the longest first."""
    return sorted(tokens, key=lambda token: (-len(token), token))[:count]


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise unless a tokenizer may be written to a folder."""
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; give a folder for the tokenizer")
    if (folder / "config.json").exists() or (folder / "run.json").exists():
        raise RunFolderError(
            f"{folder} holds a model, which needs the tokenizer it was trained with; choose another folder"
        )
    if (folder / "tokenizer.json").exists() and not overwrite:
        raise RunFolderError(
            f"{folder} already holds a tokenizer; choose another folder, or replace it with --overwrite"
        )


def _read(given: Sequence[PathLike], out: Path) -> tuple[Iterator[Document], Step]:
    """The documents of all inputs, and the books they are entered in while they are read.

    Of a corpus folder they are the documents it has to learn from.
    """
    ledger = Ledger()
    files = [path for path in given if not is_corpus(path)]
    from_files = read_inputs(files, ledger, out) if files else iter(())
    step = ledger.steps[0] if files else ledger.step("read", "")
    from_corpora = _from_corpora([path for path in given if is_corpus(path)], step)
    return itertools.chain(from_files, from_corpora), step


def _from_corpora(corpora: Sequence[PathLike], step: Step) -> Iterator[Document]:
    for document in itertools.chain.from_iterable(map(read_corpus, corpora)):
        step.enter(document.n_bytes)
        step.leave(document.n_bytes)
        yield document


def _total(given: Sequence[PathLike], out: Path) -> int | None:
    """The bytes there are to read, where that can be known before."""
    if PYTHON in given:
        return None
    files = [path for path in given if not is_corpus(path)]
    corpora = sum(int(read_ledger(path)["parts"]["train"]["bytes"]) for path in given if is_corpus(path))
    return corpora + (bytes_on_disk(files, exclude=out) if files else 0)


def _counted(
    documents: Iterator[Document], step: Step, total: int | None, watch: Watch, sample: _Sample
) -> Generator[str, None, None]:
    """Yield the texts, telling how far the reading is, and keep a sample of them."""
    with watch("counting") as progress:
        for document in documents:
            yield document.text
            sample.offer(document.text)
            done = step.entered.bytes
            progress(min(done, total) if total else done, total, f"{size(done)} of text")


@contextmanager
def _on_first_call(watch: Watch, stage: str) -> Iterator[Progress]:
    """A progress whose stage opens when it is told something for the first time."""
    told: list[Progress] = []
    with ExitStack() as stack:

        def tell(done: int, total: int | None, note: str = "") -> None:
            if not told:
                told.append(stack.enter_context(watch(stage)))
            told[0](done, total, note)

        yield tell


@contextmanager
def _building(folder: Path) -> Iterator[Path]:
    """A folder beside another one; its files are moved there when the block ends well, else removed."""
    building = temporary_name(folder.resolve())
    try:
        building.mkdir(parents=True)
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be made ({error.strerror}); choose another folder") from None
    try:
        yield building
        if folder.exists():
            # A template there is the old tokenizer's, and would win over the new one's.
            (folder / TEMPLATE_FILE).unlink(missing_ok=True)
            # In this order `tokenizer.json` comes last: it is the file that makes the folder a tokenizer.
            for name in sorted(os.listdir(building), reverse=True):
                os.replace(building / name, folder / name)
        else:
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


class _Sample:
    """An even sample of a stream of texts of unknown length: the same one whenever it is read again."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._every = 1
        self._seen = 0

    def offer(self, text: str) -> None:
        """Take the beginning of every so many-th text; when there are too many, drop every second one."""
        if self._seen % self._every == 0:
            self.texts.append(text[:SAMPLE_CHARACTERS])
            if len(self.texts) > SAMPLE_TEXTS:
                self.texts, self._every = self.texts[::2], 2 * self._every
        self._seen += 1
