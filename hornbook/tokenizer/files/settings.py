"""What a `tokenizer_config.json` says beside the vocabulary: the roles of tokens, and the chat template.

The file is Hugging Face's. `read_settings` takes it as their libraries write it, of any age; `to_config`
gives one that `transformers.AutoTokenizer` loads. A token of the file that the vocabulary lacks is an error:
those libraries would add it, under a new id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hornbook.base.errors import RunFolderError
from hornbook.base.files import read_bytes, read_json

FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
OWN_EXPRESSION = "hornbook_pattern"
"""The key, of ours alone, for an expression that cuts text as the `regex` package reads it."""


@dataclass(frozen=True)
class Settings:
    """The texts of the tokens that have a role, None where there is no such token, and the chat template."""

    bos_token: str | None = None
    """What begins a text."""
    eos_token: str | None = None
    """What ends a text, or a turn of a conversation."""
    pad_token: str | None = None
    unk_token: str | None = None
    sep_token: str | None = None
    """What stands between two texts."""
    cls_token: str | None = None
    """What begins a text that is to be classified."""
    mask_token: str | None = None
    """What stands for a token to be guessed."""
    chat_template: str | None = None
    """Jinja source, by the convention of Hugging Face."""
    named_templates: Mapping[str, str] = field(default_factory=dict)
    """Other chat templates of the file, for tools or retrieval, by their names."""

    def roles(self) -> dict[str, str]:
        """The text of the token of each role that there is."""
        names = [field.name for field in fields(self) if field.name.endswith("_token")]
        return {name: text for name in names if (text := getattr(self, name)) is not None}


def read_settings(folder: Path, is_token: Callable[[str], bool]) -> Settings | None:
    """Read the settings in a tokenizer's folder, None where there are none; `is_token` knows its tokens."""
    file, template_file = folder / FILE, folder / TEMPLATE_FILE
    if not file.is_file() and not template_file.is_file():
        return None
    data = read_json(file) if file.is_file() else {}
    if not isinstance(data, dict):
        raise RunFolderError(f"{file} is damaged: it is not a map")
    names = [field.name for field in fields(Settings) if field.name.endswith("_token")]
    roles = {name: text for name in names if (text := _token(data.get(name), name, file)) is not None}
    for name, text in {**roles, **_listed(data.get("added_tokens_decoder"), file)}.items():
        if not is_token(text):
            raise RunFolderError(
                f"{file}: {name} is {text!r}, which is no token of the vocabulary; add it there, or take it "
                "out here"
            )
    templates = _templates(data.get("chat_template"), file)
    if template_file.is_file():
        templates["default"] = _text(template_file)
    return Settings(**roles, chat_template=templates.pop("default", None), named_templates=templates)


def read_own_expression(folder: Path) -> str | None:
    """Read the expression that is marked as ours in a tokenizer's folder, None where there is none."""
    file = folder / FILE
    data = read_json(file) if file.is_file() else {}
    found = data.get(OWN_EXPRESSION) if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def to_config(
    settings: Settings, special_tokens: Collection[str], own_expression: str | None = None
) -> dict[str, Any]:
    """Return the content of a `tokenizer_config.json`; `special_tokens` are those of the vocabulary.

    `own_expression` is written down as ours, for `read_own_expression`.
    """
    roles = settings.roles()
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **roles,
    }
    if others := [text for text in special_tokens if text not in roles.values()]:
        config["additional_special_tokens"] = others
    if own_expression is not None:
        config[OWN_EXPRESSION] = own_expression
    if settings.named_templates:
        named = {"default": settings.chat_template, **settings.named_templates}
        config["chat_template"] = [
            {"name": name, "template": template} for name, template in named.items() if template is not None
        ]
    elif settings.chat_template is not None:
        config["chat_template"] = settings.chat_template
    return config


def _token(found: Any, name: str, file: Path) -> str | None:
    """The text of a token that is given as a text or with its flags."""
    text = found.get("content") if isinstance(found, dict) else found
    if found is not None and (not isinstance(text, str) or not text):
        raise RunFolderError(f"{file} is damaged: {name} is {found!r}, which is no token")
    return text


def _listed(found: Any, file: Path) -> dict[str, str]:
    """The added tokens that the file lists by their ids."""
    if not isinstance(found, dict | None):
        raise RunFolderError(f"{file} is damaged: added_tokens_decoder is no map")
    listed = {
        f"added token {place}": _token(token, f"added token {place}", file)
        for place, token in (found or {}).items()
    }
    return {name: text for name, text in listed.items() if text is not None}


def _templates(found: Any, file: Path) -> dict[str, str]:
    """The chat templates by name; one alone is the default."""
    if found is None:
        return {}
    each = [{"name": "default", "template": found}] if isinstance(found, str) else found
    try:
        templates = {item["name"]: item["template"] for item in each}
    except (TypeError, KeyError):
        templates = {"": None}
    if not all(isinstance(text, str) for pair in templates.items() for text in pair):
        raise RunFolderError(f"{file} is damaged: chat_template is neither a text nor a list of named ones")
    return templates


def _text(file: Path) -> str:
    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError:
        raise RunFolderError(f"{file} is damaged: not UTF-8") from None
