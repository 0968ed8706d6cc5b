"""Files: which format a tokenizer is in, and where ours goes.

Written: Hugging Face's `tokenizer.json`, with a `tokenizer_config.json` for `transformers`. Read: that file,
tiktoken's rank files, and GPT-2's `vocab.bpe` with `encoder.json`. A file with a part that would give other
ids than ours is refused by the name of the part. The formats themselves are in the modules named here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import write_json
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.engine import Engine
from hornbook.tokenizer.gpt2_files import read_gpt2
from hornbook.tokenizer.pretokenize import PATTERNS
from hornbook.tokenizer.rank_files import read_ranks
from hornbook.tokenizer.settings import Settings
from hornbook.tokenizer.tokenizer_json import read_tokenizer_json
from hornbook.tokenizer.vocabulary import Vocabulary


def load(path: Path, pattern: str | None) -> tuple[Engine, Settings]:
    """Read a tokenizer from a folder or file; `pattern` is for rank files, which name none."""
    vocabulary = _vocabulary(path, pattern)
    return ByteLevel(vocabulary), settings_for(vocabulary.special_tokens)


def settings_for(special_tokens: Collection[str]) -> Settings:
    """The roles of special tokens where nothing but their texts is known."""
    end = "<|endoftext|>" if "<|endoftext|>" in special_tokens else None
    return Settings(bos_token=end, eos_token=end)


def _vocabulary(path: Path, pattern: str | None) -> Vocabulary:
    file = _file_in(path) if path.is_dir() else path
    if not file.is_file():
        raise RunFolderError(f"there is no tokenizer at {path}: neither a folder nor a file")
    if file.suffix == ".tiktoken":
        if pattern is None:
            names = ", ".join(map(repr, PATTERNS))
            raise ConfigError(
                f"{file} does not say how text is split; give pattern= {names} or a regular expression"
            )
        return read_ranks(file, pattern)
    if pattern is not None:
        raise ConfigError(f"{file} has its own pattern: leave out pattern={pattern!r}")
    if file.name == "vocab.bpe":
        return read_gpt2(file, file.with_name("encoder.json"))
    if file.suffix != ".json":
        raise RunFolderError(f"{file} is of no known kind; known: tokenizer.json, NAME.tiktoken, vocab.bpe")
    return read_tokenizer_json(file)


def _file_in(folder: Path) -> Path:
    """The tokenizer file of a folder."""
    for name in ("tokenizer.json", "vocab.bpe"):
        if (folder / name).is_file():
            return folder / name
    raise RunFolderError(f"the folder {folder} has no tokenizer, neither tokenizer.json nor vocab.bpe")


def save(engine: Engine, settings: Settings, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` to a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config["clean_up_tokenization_spaces"] = False
    config |= {name: value for name, value in asdict(settings).items() if value is not None}
    write_json(folder / "tokenizer.json", engine.to_tokenizer_json())
    write_json(folder / "tokenizer_config.json", config)
