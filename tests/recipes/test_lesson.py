"""How the lesson draws: samples, tokens, amounts, progress in a pipe, commands."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hornbook.model.drawing import Part
from hornbook.recipes import lesson as module
from hornbook.recipes.lesson import Lesson
from hornbook.recipes.terminal import printable


def drawn(width: int = 100, terminal: bool = False, **more: object) -> tuple[Lesson, io.StringIO]:
    """A lesson and the screen it writes on."""
    screen = io.StringIO()
    console = Console(
        file=screen, width=width, force_terminal=terminal, highlight=False, emoji=False,
        color_system="truecolor" if terminal else None, **more,
    )  # fmt: skip
    return Lesson(console), screen


def test_blank_lines_of_a_sample_collapse() -> None:
    lesson, screen = drawn()
    lesson.sample("def ", "f():\n\n \n\n\n    pass\n\n\n\n")
    assert screen.getvalue() == "      def f():\n\n          pass\n\n"


def test_a_sample_in_training_has_no_blank_lines() -> None:
    lesson, screen = drawn()
    lesson.hear({"kind": "sample", "step": 3, "prompt": "A", "text": "\n\nb\n\nc\n\nd\n\ne"})
    assert screen.getvalue() == "      A\n      b\n      c\n"


def test_a_sample_stops_after_its_lines() -> None:
    lesson, screen = drawn()
    lesson.sample("0", "\n".join(map(str, range(1, 100))))
    assert len(screen.getvalue().split()) == 12


@given(text=st.text())
def test_nothing_a_model_writes_moves_the_cursor(text: str) -> None:
    lesson, screen = drawn()
    lesson.sample("x", text)
    lesson.tokens([text])
    assert not any((ord(c) < 32 and c not in "\n\t") or ord(c) == 127 for c in screen.getvalue())
    assert all(line == line.rstrip() for line in screen.getvalue().split("\n"))


def test_letters_of_all_scripts_are_printable() -> None:
    good = "caf\xe9\xa0\u3000\u5b57 \u0915\u094d\u200d\u0937 \U0001f600\n\t"
    assert printable(good) == good
    assert printable("\x00\x07\x1b[31m\r\x7f\u202e\u2028\ud800") == "\ufffd\ufffd\ufffd[31m" + "\ufffd" * 5


def test_tokens_have_brackets_where_there_are_no_colours() -> None:
    lesson, screen = drawn()
    lesson.tokens(["def", " f", "\n", "\t"])
    assert screen.getvalue() == "  [def][ f][\u21b5][\u21e5]\n"
    lesson, screen = drawn(terminal=True, no_color=True)
    lesson.tokens(["def", " f"])
    assert "[def][ f]" in screen.getvalue()


def test_tokens_have_colours_on_a_terminal() -> None:
    lesson, screen = drawn(terminal=True)
    lesson.tokens(["def", " f"])
    assert "[def]" not in screen.getvalue() and "\x1b[30;48;2;" in screen.getvalue()


def test_markup_and_emoji_in_text_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    lesson = Lesson(module.console())
    lesson.say("[bold]a[/bold] :smile:")
    lesson.sample("[red]", ":smile: [/]")
    assert screen.getvalue() == "  [bold]a[/bold] :smile:\n      [red]:smile: [/]\n\n"


def test_the_ledger_in_words() -> None:
    lesson, screen = drawn()
    steps = [
        {"in": {"documents": 3, "bytes": 5_000_099},
         "dropped": [{"reason": "not UTF-8", "documents": 1, "bytes": 99}]},
        {"in": {"documents": 2, "bytes": 5_000_000}, "dropped": []},
    ]  # fmt: skip
    parts = {"train": {"bytes": 4_900_000}, "held_out": {"bytes": 100_000}}
    lesson.ledger({"steps": steps, "parts": parts})
    assert screen.getvalue() == (
        "  found        3 documents, 5.0 MB\n"
        "  left out     1 document, 99 bytes: not UTF-8\n"
        "  kept         2 documents, 5.0 MB: 4.9 MB to learn from, 100 kB held out\n"
    )


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_drawing_fits(width: int) -> None:
    lesson, screen = drawn(width)
    parts = [
        Part("attention", "q, out 256 x 256; k, v 128 x 256", 8000, "looks back", 4),
        Part("final norm", "", 256, "scales"),
    ]
    lesson.drawing(parts, 8256)
    assert all(len(line) <= width for line in screen.getvalue().split("\n"))
    assert "q, out 256 x 256; k, v 128 x 256" in " ".join(screen.getvalue().split())
    assert "in all       8,256 parameters" in screen.getvalue()


def test_both_halves_of_an_encoder_decoder_have_a_beginning() -> None:
    lesson, screen = drawn()
    lesson.drawing(
        [Part("embedding", "", 8, "a", side="encoder"), Part("head", "", 9, "b", side="decoder")], 17
    )
    lines = [line.strip() for line in screen.getvalue().splitlines()]
    assert lines[0] == "token ids of the source" and lines[2] == "token ids of the target"
    assert lines[-2:] == ["\u2193 scores", "in all       17 parameters"]


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(999, "999 bytes"), (1000, "1 kB"), (999_499, "999 kB"), (1.25e6, "1.2 MB"), (1.5e9, "1.5 GB")],
)
def test_bytes_have_a_unit_that_suits_them(n_bytes: int, text: str) -> None:
    assert module.size_in_bytes(n_bytes) == text


@pytest.mark.parametrize("width", [40, 200])
def test_commands_stand_on_one_line_each(width: int) -> None:
    lesson, screen = drawn(width)
    commands = ["hornbook chat " + "x" * 50, "hornbook show y"]
    lesson.commands([(command, "what it does") for command in commands])
    lines = [line.strip().removesuffix("what it does").strip() for line in screen.getvalue().split("\n")]
    assert [line for line in lines if line in commands] == commands
