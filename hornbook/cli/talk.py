"""Talking with a run in the terminal: one continuation or answer, or a chat."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from hornbook.base.config import parse
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.session import Session
from hornbook.generate.text import stream_text
from hornbook.model.models import CausalLM
from hornbook.recipes.lesson import console
from hornbook.recipes.terminal import printable
from hornbook.train.run import continuer, load, writer

GREETING = """This is a base model: it has read text and goes on with yours; it does not answer questions.
Type the beginning of something and press Enter; Enter alone lets it go on.
/reset: a fresh page.  /quit or Ctrl-D: leave.
"""


def write(folder: Path, prompt: str, max_new_tokens: int, sampling: dict[str, Any], seed: int) -> None:
    """Print a prompt and its continuation as it comes, or the answer alone where the model answers."""
    run = load(folder)
    model = writer(run)
    config = parse(SamplingConfig, sampling, "sampling")
    pieces = stream_text(
        model, run.tokenizer, prompt, sampling=config, max_new_tokens=max_new_tokens, seed=seed
    )
    screen = console()
    if isinstance(model, CausalLM):
        _write(screen, prompt, "bold")
    for piece in pieces:
        _write(screen, printable(piece))
    screen.print()


def converse(folder: Path, max_new_tokens: int, sampling: dict[str, Any], seed: int) -> None:
    """Read lines and let the model go on after each, until the person leaves."""
    run = load(folder)
    config = parse(SamplingConfig, sampling, "sampling")
    session = Session(
        continuer(run), run.tokenizer, sampling=config, max_new_tokens=max_new_tokens, seed=seed
    )
    screen = console()
    screen.print(GREETING, style="dim", markup=False)
    while (line := _read_line()) is not None:
        if line.strip() in ("/quit", "/exit"):
            return
        if line.strip() == "/reset":
            session.reset()
            screen.print("A fresh page.", style="dim")
            continue
        try:
            for piece in session.reply(line):
                _write(screen, printable(piece), "green")
        except KeyboardInterrupt:
            screen.print(" ...", style="dim", end="")
        screen.print()
    if sys.stdin.isatty():
        screen.print()


def _write(screen: Console, text: str, style: str = "") -> None:
    """Put some text on the screen at once. A file gets it letter for letter: rich would expand its tabs."""
    if screen.is_terminal:
        screen.print(text, style=style, end="", markup=False, soft_wrap=True)
    else:
        screen.file.write(text)
    screen.file.flush()


def _read_line() -> str | None:
    """One line from the person; None at the end of input or at Ctrl-C."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return None
