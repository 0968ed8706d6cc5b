"""generate and chat: what goes in, what comes out, and how one leaves."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from recipes.tiny_runs import ended, environment, home, hornbook, process

import hornbook as hb
from hornbook.cli.talk import GREETING
from hornbook.recipes.lesson import printable


def test_generate_writes_the_prompt_and_what_follows() -> None:
    folder = home() / "run"
    said = hornbook("generate", folder, "The ", "--max-new-tokens", "12", "--seed", "3", "--top-k", "50")
    text = hb.load(folder).generate("The ", max_new_tokens=12, seed=3, top_k=50)
    assert said == (0, f"The {printable(text)}\n", "")


def test_the_same_seed_writes_the_same() -> None:
    words = ("generate", home() / "run", "Once", "--max-new-tokens", "20", "--temperature", "1.5", "--seed")
    first, again, other = (hornbook(*words, seed).out for seed in ("1", "1", "2"))
    assert first == again != other


def test_a_prompt_reaches_a_file_letter_for_letter() -> None:
    """No tabs expanded, no :smile: replaced, no [markup] taken for markup."""
    prompt = "a\tb :smile: [bold]c[/bold] <|endoftext|> \u3000"
    said = hornbook("generate", home() / "run", prompt, "--max-new-tokens", "1")
    assert said.code == 0 and said.out.startswith(prompt)


def test_an_empty_prompt_begins_a_document() -> None:
    said = hornbook("generate", home() / "run", "--max-new-tokens", "5")
    assert said.code == 0 and said.out.strip()


def test_chat_answers_every_line() -> None:
    said = hornbook(
        "chat", home() / "run", "--max-new-tokens", "3", stdin="The\n\n/reset\nA\n/quit\nnever read\n"
    )
    assert said.code == 0 and said.err == ""
    assert said.out.startswith(GREETING)
    assert "A fresh page." in said.out


def test_chat_ends_with_its_input() -> None:
    said = hornbook("chat", home() / "run", stdin="")
    assert said == (0, GREETING + "\n", "")


def test_a_reset_forgets() -> None:
    """At temperature 0 the reply depends on the page alone."""
    words = ("chat", home() / "run", "--max-new-tokens", "8", "--temperature", "0", "--top-p", "1")
    twice = hornbook(*words, stdin="The\n/reset\nThe\n").out.removeprefix(GREETING)
    first, _, second = twice.partition("A fresh page.\n")
    assert first.strip() and first.strip("\n") == second.strip("\n")


@pytest.mark.slow
def test_bytes_that_are_no_text_do_no_harm() -> None:
    running = subprocess.run(
        [sys.executable, "-m", "hornbook", "chat", str(home() / "run"), "--max-new-tokens", "3"],
        input=b"caf\xe9\n",
        capture_output=True,
        env=environment(PYTHONIOENCODING=""),
        timeout=300,
    )
    assert running.returncode == 0, running.stderr


@pytest.mark.slow
def test_a_prompt_that_is_no_text_does_no_harm() -> None:
    said = ended(process("generate", "run", os.fsdecode(b"caf\xe9"), "--max-new-tokens", "3", cwd=home()))
    assert "Traceback" not in said.err
    assert said.code in (0, 2)


class Terminal:
    """A command on a pseudo-terminal of 80 columns."""

    def __init__(self, *words: str, cwd: Path, **more: str) -> None:
        self.screen, theirs = pty.openpty()
        command = [sys.executable, "-m", "hornbook", *words]
        surroundings = environment(TERM="xterm-256color", COLUMNS="80", LINES="40", **more)
        self.running = subprocess.Popen(
            command,
            cwd=cwd,
            env=surroundings,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def read_until(self, mark: str) -> str:
        """Everything up to a mark; the empty mark: up to the end."""
        while not mark or mark not in self.seen:
            if not select.select([self.screen], [], [], 120)[0]:
                self.running.kill()
            try:
                data = os.read(self.screen, 4096)
            except OSError:  # the command has ended
                data = b""
            if not data:
                assert not mark, f"{mark!r} never came: {self.seen[-2000:]}"
                break
            self.seen += data.decode("utf-8", "replace")
        seen, self.seen = self.seen, ""
        return seen

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def press_ctrl_c(self) -> None:
        """Press until something is said: one press is lost when it comes just before `input` waits."""
        self.running.send_signal(signal.SIGINT)
        while not select.select([self.screen], [], [], 10)[0]:
            self.running.send_signal(signal.SIGINT)

    def end(self) -> int:
        code = self.running.wait(timeout=300)
        os.close(self.screen)
        return code


@pytest.mark.slow
def test_a_chat_on_a_terminal() -> None:
    terminal = Terminal("chat", "run", "--max-new-tokens", "4", cwd=home())
    assert "Ctrl-D" in terminal.read_until("> ")
    terminal.type("The\n")
    assert "\x1b[32m" in terminal.read_until("> "), "a reply is green"
    terminal.type("\x04")
    terminal.read_until("")
    assert terminal.end() == 0


@pytest.mark.slow
def test_ctrl_c_stops_a_reply_and_then_the_chat() -> None:
    words = ("chat", "run", "--max-new-tokens", "100000", "--temperature", "0")
    terminal = Terminal(*words, cwd=home())
    terminal.read_until("> ")
    terminal.type("The\n")
    terminal.read_until("\x1b[32m")
    terminal.running.send_signal(signal.SIGINT)
    assert "..." in terminal.read_until("> ")
    terminal.press_ctrl_c()
    rest = terminal.read_until("")
    assert "Traceback" not in rest and rest.endswith("\n")
    assert terminal.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("no_colour", ["", "1"])
def test_the_lesson_on_a_terminal(place: Path, no_colour: str) -> None:
    more = {"NO_COLOR": no_colour} if no_colour else {}
    words = ("quickstart", "--text", "texts", "--steps", "2", "--size", "1", "--out", "x")
    terminal = Terminal(*words, cwd=place, **more)
    seen = terminal.read_until("")
    assert terminal.end() == 0
    has_colours = "\x1b[32m" in seen or "\x1b[1;36m" in seen or "48;2;" in seen
    assert has_colours is not bool(no_colour)
