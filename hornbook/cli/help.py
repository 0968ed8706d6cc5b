"""The look of the help pages that all verbs share."""

from __future__ import annotations


def examples(*commands: str) -> str:
    """The last lines of a help page: one command in each."""
    return "\n\n".join(["[dim]Examples:[/dim]", *commands])
