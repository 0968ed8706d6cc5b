"""Folders that `hornbook tokenize` made, as the text of a run: nothing is read, learned or cut again.

    tokens = Tokenized.find(config.data)      # None where data.path is text
    config = tokens.settle(config, overrides)
    tokens.sources("train")                   # one text, or several by name for a mixture

Their tokenizer is the run's, and what they hold out is held out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import read_json, sha256
from hornbook.corpus.document import Document
from hornbook.data.config import DataConfig
from hornbook.data.shards import TokenShards
from hornbook.data.sources import Texts, check_names
from hornbook.data.tokenize import FACTS, TOKENIZER_FILES, is_tokenized
from hornbook.recipes.shapes import resolve
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig

SETTLED = ("tokenizer", "vocab_size", "model.vocab_size", "data.held_out_share")
"""What cannot be chosen any more when text is tokens."""


@dataclass(frozen=True)
class Tokenized:
    """The tokenized folders of a run, by their names."""

    folders: dict[str, Path]
    is_mixture: bool

    @classmethod
    def find(cls, data: DataConfig) -> Tokenized | None:
        """The tokenized folders in `data.path`; None where it holds text.

        Raises for a mixture of text, for text among tokens, and for folders that are not finished.
        """
        paths = [Path(path) for path in ([data.path] if isinstance(data.path, str) else data.path)]
        tokens = [path for path in paths if is_tokenized(path)]
        others = [path for path in paths if path not in tokens]
        if data.mixture is not None and others:
            raise ConfigError(
                f"data.mixture mixes folders that hornbook tokenize made, and {others[0]} is none; make one "
                "of it"
            )
        if not tokens:
            return None
        if others:
            raise ConfigError(
                f"data.path names tokens ({tokens[0]}) and text ({others[0]}); make tokens of that too: "
                f"hornbook tokenize {others[0]} --tokenizer {tokens[0]} --out FOLDER"
            )
        return cls(_named(tokens), data.mixture is not None)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the first folder, and so of all."""
        return Tokenizer.load(self._first)

    @property
    def _first(self) -> Path:
        return next(iter(self.folders.values()))

    def settle(self, config: RunConfig, overrides: Sequence[str]) -> RunConfig:
        """A run's configuration with the tokenizer that the tokens have.

        Overrides that ask for another tokenizer or another division are refused.
        """
        for override in overrides:
            key = override.partition("=")[0]
            if key in SETTLED or key.startswith("tokenizer."):
                raise ConfigError(f"{self._first} holds tokens, for which {key} is settled; leave it away")
        if config.data.mixture is not None:
            check_names(config.data.mixture, list(self.folders))
        size, pattern = self.tokenizer.vocab_size, json.dumps(self.tokenizer.pattern)
        return resolve(config, [f"tokenizer.vocab_size={size}", f"tokenizer.pattern={pattern}"])

    def take_tokenizer(self, folder: Path) -> dict[str, Any]:
        """Copy the tokenizer into a run's folder; return what the tokens are, for its `run.json`."""
        for name in TOKENIZER_FILES:
            shutil.copyfile(self._first / name, folder / name)
        parts = {name: read_json(path / FACTS)["parts"] for name, path in self.folders.items()}
        return {name: {"folder": str(self.folders[name]), **parts[name]} for name in self.folders}

    def shards(self, part: str) -> TokenShards:
        """One part of all folders, as one text."""
        folders = [folder / part for folder in self.folders.values()]
        return TokenShards(*folders, fingerprint=self._fingerprint)

    def sources(self, part: str) -> Texts:
        """One part of all folders: as one text, or each by its name where they are mixed."""
        if not self.is_mixture:
            return self.shards(part)
        return {
            name: TokenShards(folder / part, fingerprint=self._fingerprint)
            for name, folder in self.folders.items()
        }

    def documents(self, part: str) -> Iterator[Document]:
        """The texts of one part, decoded."""
        return decoded(self.shards(part).documents(), self.tokenizer)

    @property
    def _fingerprint(self) -> str:
        return sha256((self._first / "tokenizer.json").read_bytes())


def decoded(documents: Iterable[NDArray[np.int64]], tokenizer: Tokenizer) -> Iterator[Document]:
    """The texts of documents of tokens, by their numbers."""
    for number, ids in enumerate(documents):
        yield Document(tokenizer.decode(ids[1:].tolist()), str(number))


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their last names; unfinished ones, and two of one name, are refused."""
    named: dict[str, Path] = {}
    for folder in folders:
        if not (folder / FACTS).exists():
            raise RunFolderError(f"{folder} is not finished; type its hornbook tokenize again")
        name = folder.resolve().name
        if name in named:
            raise ConfigError(f"data.path names two folders {name!r}; rename one, for they go by their names")
        named[name] = folder
    return named
