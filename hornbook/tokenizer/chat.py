"""Conversations as text: chat templates in Jinja, and the tokens of them that a model is to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Chat:
    """A conversation, rendered."""

    text: str
    ids: list[int]
    learn: list[bool]
    """Whether each token is one to learn: the assistant's turns with the token that ends them."""


def render(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = False,
    **variables: Any,
) -> Chat:
    """Return a conversation as text, ids, and the mask of the tokens to learn."""
    raise NotImplementedError
