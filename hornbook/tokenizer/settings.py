"""What a `tokenizer_config.json` says beside the vocabulary: the roles of tokens, and the chat template."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The texts of the tokens that have a role, None where there is no such token, and the chat template."""

    bos_token: str | None = None
    """What begins a text."""
    eos_token: str | None = None
    """What ends a text, or a turn of a conversation."""
    pad_token: str | None = None
    unk_token: str | None = None
    chat_template: str | None = None
    """Jinja source, by the convention of Hugging Face."""
