"""Conversations as text and ids, with the tokens of them that a model is to learn.

    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"},
                                          {"role": "assistant", "content": "Good day"}])
    chat.text, chat.ids, chat.learn

Text and ids are those of `apply_chat_template` in Hugging Face's transformers. One thing is stricter: a
message that spells a special token is refused unless it is allowed, so that nobody who writes a message can
end its turn and begin another. `messages.py` and `injection.py` check what is given, `templates.py` runs the
template, `turns.py` finds what the assistant says and `learned.py` its tokens; here all of it comes together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hornbook.base.errors import ConfigError, did_you_mean
from hornbook.tokenizer.chat.injection import any_of, refuse_joined, refuse_spelled
from hornbook.tokenizer.chat.learned import tokens_in
from hornbook.tokenizer.chat.messages import conversation, plain
from hornbook.tokenizer.chat.templates import CHATML, CHATML_TOKENS, ChatTemplate, compile_template
from hornbook.tokenizer.chat.turns import Script, Span, turns

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer

__all__ = ["CHATML", "CHATML_TOKENS", "Chat", "render"]


@dataclass(frozen=True)
class Chat:
    """A conversation, rendered."""

    text: str
    ids: list[int]
    _tokenizer: Tokenizer = field(repr=False, compare=False)
    _script: Script = field(repr=False, compare=False)

    @functools.cached_property
    def turns(self) -> list[Span]:
        """The spans of characters in `text` that the assistant says, each with the token that ends it.

        They are found when first asked for, as rendering for generation needs none. A template that cannot be
        traced is a ConfigError; `turns.py` says what a turn is.
        """
        return turns(self._script, self.text, any_of(tuple(self._tokenizer.special_tokens)))

    @functools.cached_property
    def learn(self) -> list[bool]:
        """Whether each token is one to learn: those that hold any character of an assistant's turn."""
        return tokens_in(self._tokenizer, self.text, self.ids, self.turns)


def render(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = False,
    chat_template: str | None = None,
    allow_special_in_content: bool = False,
    **variables: Any,
) -> Chat:
    """Return a conversation as text, ids, and the mask of the tokens to learn.

    The template is `chat_template` (Jinja, or the name of one of the tokenizer's), else the tokenizer's own
    (the one named tool_use where tools are given), else `CHATML`. `variables` (tools, documents,
    enable_thinking, ...) are given to the template, which must know them. A message that spells a special
    token is a TextError, unless `allow_special_in_content` makes it that token. Lone surrogates become
    U+FFFD.
    """
    template = _template(tokenizer, chat_template, bool(variables.get("tools")))
    values: dict[str, Any] = {"tools": None, "documents": None, **tokenizer.settings.roles()}
    values |= {name: plain(value, name) for name, value in variables.items()}
    values["strftime_now"] = datetime.now().strftime  # One moment, so that all renderings agree.
    _check_variables(template, variables)
    script = Script(template, conversation(messages), add_generation_prompt, values)
    special = tuple(tokenizer.special_tokens)
    if not allow_special_in_content:
        refuse_spelled(script, special)
    text = script.text()
    if not allow_special_in_content:
        refuse_joined(script, text, special)
    return Chat(text, tokenizer.encode(text, allowed_special="all"), tokenizer, script)


def _template(tokenizer: Tokenizer, given: str | None, for_tools: bool) -> ChatTemplate:
    """The template to use; the default one needs its special tokens."""
    named, source = tokenizer.settings.named_templates, tokenizer.settings.chat_template
    if given is not None:
        source = named.get(given, given)
    elif for_tools and "tool_use" in named:
        source = named["tool_use"]
    if source is not None:
        return compile_template(source)
    if named:
        names = ", ".join(map(repr, named))
        raise ConfigError(f"this tokenizer has several chat templates; choose one: chat_template= {names}")
    missing = [token for token in CHATML_TOKENS if token not in tokenizer.special_tokens]
    if missing:
        names = ", ".join(map(repr, missing))
        raise ConfigError(
            f"this tokenizer has no chat template, and the default one needs the special tokens {names}: "
            f"{_advice(tokenizer, names)}"
        )
    return compile_template(CHATML)


def _advice(tokenizer: Tokenizer, names: str) -> str:
    """What to do where special tokens are missing; only a byte-level BPE takes new ones."""
    try:
        _ = tokenizer.vocabulary
    except ConfigError:
        return "this vocabulary takes no new ones, so give the template it was made for by chat_template="
    return (
        f"add them by tokenizer.extend(special_tokens=[{names}]), or train with "
        f"Tokenizer.train(..., special_tokens=['<|endoftext|>', {names}])"
    )


def _check_variables(template: ChatTemplate, variables: Mapping[str, Any]) -> None:
    """Refuse variables that the template would silently ignore."""
    for name, value in variables.items():
        if name in ("messages", "add_generation_prompt", "strftime_now"):
            raise ConfigError(f"{name!r} is given to every template and cannot be a variable")
        if value is not None and name not in template.variables:
            known = did_you_mean(name, template.variables - {"messages"})
            raise ConfigError(f"the chat template has no variable {name!r} and would ignore it; {known}")
