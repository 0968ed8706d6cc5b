"""Files: which format a tokenizer is in, and where ours goes.

Written: Hugging Face's `tokenizer.json`, with a `tokenizer_config.json` for `transformers`. Read: these two,
tiktoken's rank files, GPT-2's `vocab.bpe` with `encoder.json`, and SentencePiece's `.model`. A byte-level BPE
runs here, any other vocabulary through the `tokenizers` library. A file with a part that neither can honour
to the same ids is refused by the name of the part. The formats themselves are in the modules named here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import write_json
from hornbook.tokenizer.alphabet import unspell
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.engine import Engine
from hornbook.tokenizer.files.expressions import is_portable
from hornbook.tokenizer.files.gpt2_files import read_gpt2
from hornbook.tokenizer.files.rank_files import read_ranks
from hornbook.tokenizer.files.sentencepiece import read_model
from hornbook.tokenizer.files.settings import (
    FILE,
    TEMPLATE_FILE,
    Settings,
    read_own_expression,
    read_settings,
    to_config,
)
from hornbook.tokenizer.files.tokenizer_json import read_tokenizer_json
from hornbook.tokenizer.foreign import Foreign
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

IN_A_FOLDER = ("tokenizer.json", "vocab.bpe", "tokenizer.model", "spiece.model")
"""The names of tokenizer files in a folder, the one to take first."""

ROLES = {
    "bos_token": "<|endoftext|>",
    "eos_token": "<|endoftext|>",
    "sep_token": "<|sep|>",
    "cls_token": "<|cls|>",
    "mask_token": "<|mask|>",
}
"""What the tokens of a role are called here."""


def load(path: Path, pattern: str | None) -> tuple[Engine, Settings]:
    """Read a tokenizer from a folder or file; `pattern` is for rank files, which name none."""
    file = _file(path)
    if pattern is not None and file.suffix != ".tiktoken":
        raise ConfigError(f"{file} has its own pattern: leave out pattern={pattern!r}")
    if file.suffix == ".tiktoken":
        return _ours(read_ranks(file, _given(pattern, file)))
    if file.name == "vocab.bpe":
        return _ours(read_gpt2(file, file.with_name("encoder.json")))
    # Mistral writes tokenizer.model.v3.
    if ".model" in file.suffixes:
        content, settings = read_model(file)
        return Foreign(content, str(file)), settings
    if file.suffix != ".json":
        known = "tokenizer.json, NAME.tiktoken, NAME.model, vocab.bpe"
        raise RunFolderError(f"{file} is of no known kind; known: {known}")
    return _hugging_face(file)


def settings_for(special_tokens: Collection[str]) -> Settings:
    """The roles of special tokens where nothing but their texts is known."""
    roles: dict[str, Any] = {role: text for role, text in ROLES.items() if text in special_tokens}
    return Settings(**roles)


def save(engine: Engine, settings: Settings, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` to a folder, which is made if need be.

    A warning says so where the expression is one that other libraries may read otherwise than we do.
    """
    own = _own_expression(engine)
    content = engine.to_tokenizer_json()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "tokenizer.json", content)
    write_json(folder / FILE, to_config(settings, engine.special_tokens, own))
    # An older template there would win over the one just written.
    (folder / TEMPLATE_FILE).unlink(missing_ok=True)
    if own is not None:
        logger.warning(
            "the pattern %r is cut here as the regex package reads it; other libraries that read %s may cut "
            "text otherwise and give other ids",
            own,
            folder / "tokenizer.json",
        )


def _own_expression(engine: Engine) -> str | None:
    """The expression of a tokenizer of ours, where it may mean something else to other libraries."""
    if not isinstance(engine, ByteLevel) or is_portable(engine.vocabulary.pattern):
        return None
    return engine.vocabulary.pattern


def _file(path: Path) -> Path:
    """The tokenizer file that a path means: itself, or one in the folder."""
    try:
        if path.is_dir():
            found = next((path / name for name in IN_A_FOLDER if (path / name).is_file()), None)
            if found is None:
                names = ", ".join(IN_A_FOLDER[:-1])
                raise RunFolderError(
                    f"the folder {path} has no tokenizer, neither {names} nor {IN_A_FOLDER[-1]}"
                )
            return found
        if not path.is_file():
            raise RunFolderError(f"there is no tokenizer at {path}: neither a folder nor a file")
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from None
    return path


def _given(pattern: str | None, file: Path) -> str:
    """The pattern for a rank file, which must be given."""
    if pattern is None:
        names = ", ".join(map(repr, PATTERNS))
        raise ConfigError(
            f"{file} does not say how text is split; give pattern= {names} or a regular expression"
        )
    return pattern


def _ours(vocabulary: Vocabulary) -> tuple[Engine, Settings]:
    return ByteLevel(vocabulary), settings_for(vocabulary.special_tokens)


def _hugging_face(file: Path) -> tuple[Engine, Settings]:
    """A `tokenizer.json`, with the settings beside it."""
    in_a_folder = file.name == IN_A_FOLDER[0]
    found = read_tokenizer_json(file, read_own_expression(file.parent) if in_a_folder else None)
    engine: Engine
    if isinstance(found, Vocabulary):
        engine = ByteLevel(found)
        apart, tokens = {**found.special_tokens, **found.added_tokens}, {*found.tokens}
        settings = _beside(file, lambda text: text in apart or unspell(text) in tokens)
    else:
        engine = foreign = Foreign(found, str(file))
        settings = _beside(file, lambda text: foreign.id_of(text) is not None)
    return engine, settings_for(engine.special_tokens) if settings is None else settings


def _beside(file: Path, is_token: Callable[[str], bool]) -> Settings | None:
    """The settings beside a file; they are those of the one that is named tokenizer.json."""
    return read_settings(file.parent, is_token) if file.name == IN_A_FOLDER[0] else None
