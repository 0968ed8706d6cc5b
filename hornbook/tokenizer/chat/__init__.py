"""Conversations: chat templates rendered to text and ids, and the tokens of them that a model is to learn."""

from hornbook.tokenizer.chat.chat import Chat, render
from hornbook.tokenizer.chat.templates import CHATML, CHATML_TOKENS

__all__ = ["CHATML", "CHATML_TOKENS", "Chat", "render"]
