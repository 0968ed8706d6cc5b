"""Messages as a template may see them: checked, and rebuilt of plain JSON data.

A conversation is a list of messages, each a dict with a `role` and a `content`: text, or a list of parts such
as `{"type": "text", "text": ...}`. What else a message has (`tool_calls`, `reasoning_content`, `name`) is
passed on. Objects of other kinds never reach a template, whose sandbox does not know what their methods do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbook.base.errors import TextError
from hornbook.tokenizer.pretokenize import utf8

REASONING = ("reasoning_content", "thinking", "reasoning")
"""The names that the reasoning of a message goes by."""


def conversation(messages: Any) -> list[Mapping[str, Any]]:
    """Return messages as plain data; what is no message is a TextError that says which and why."""
    if not isinstance(messages, list | tuple) or not messages:
        given = "an empty one" if isinstance(messages, list | tuple) else type(messages).__name__
        example = "[{'role': 'user', 'content': 'Hello'}]"
        raise TextError(f"a conversation is a list of messages such as {example}, not {given}")
    return [_message(message, f"message {index}") for index, message in enumerate(messages)]


def _message(message: Any, where: str) -> dict[str, Any]:
    """One message as plain data, without the keys that are None, its reasoning under all names it goes by."""
    if not isinstance(message, Mapping):
        raise TextError(f"{where} is a {type(message).__name__}, not a dict with 'role' and 'content'")
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise TextError(f"{where} needs a 'role' such as 'system', 'user' or 'assistant', not {role!r}")
    if "content" not in message and not message.get("tool_calls"):
        raise TextError(f"{where} ({role}) has no 'content'; give '' for an empty one")
    _check_content(message.get("content"), f"the content of {where} ({role})")
    said: dict[str, Any] = plain({key: value for key, value in message.items() if value is not None}, where)
    reasoning = next((said[name] for name in REASONING if name in said), None)
    return said if reasoning is None else {"thinking": reasoning, **said, "reasoning_content": reasoning}


def _check_content(content: Any, where: str) -> None:
    """Content is text, a list of parts with a type, or None."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list | tuple):
        kind = type(content).__name__
        raise TextError(f"{where} is a {kind}; it must be text or a list of {{'type': 'text', 'text': ...}}")
    for index, part in enumerate(content):
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
            raise TextError(f"{where}: part {index} has no 'type'; write {{'type': 'text', 'text': ...}}")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise TextError(f"{where}: part {index} is of the type 'text' and has no 'text'")


def plain(value: Any, where: str) -> Any:
    """A copy of JSON data, surrogates mended; anything else, which no template must see, is a TextError."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        return utf8(str.__str__(value))[0]
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, where) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, where) for item in value]
    raise TextError(f"{where} holds a {type(value).__name__}; templates take JSON data only")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise TextError(f"{where} has the key {key!r}; keys are text")
    return utf8(key)[0]
