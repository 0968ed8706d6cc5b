"""How far work is: the block on a terminal of any width, the lines in a pipe, and the time that is left."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from hornbook.base.progress import TimeLeft
from hornbook.recipes import terminal
from hornbook.recipes.terminal import Block, about, in_lines, watched

NOTE = "loss 3.42 ▆▄▃▂▂▁▁, 1.85 bits per byte, 21,300 tokens/s, MFU 41%, 1.3 GiB"


def screen(width: int = 100, is_terminal: bool = False) -> tuple[Console, io.StringIO]:
    """A console and what it writes on."""
    file = io.StringIO()
    return Console(
        file=file, width=width, force_terminal=is_terminal, highlight=False, color_system=None
    ), file


def clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let every look at the clock find it so many seconds on."""
    ticks = itertools.count(step=seconds)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(ticks))


def marks(n: int, total: int | None, note: str = "") -> list[str]:
    """The lines that a pipe gets of work in n parts."""
    console, file = screen()
    with watched(console, "corpus") as progress:
        for done in range(1, n + 1):
            progress(done, total, note)
    return file.getvalue().splitlines()


def test_a_pipe_hears_of_long_stages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, n_lines in ((0.01, 0), (10.0, 10)):
        clock(monkeypatch, seconds)
        lines = marks(40, 40, "a\rb")
        assert len(lines) == n_lines
    assert lines[0].startswith("  corpus 4 of 40, ")
    assert lines[-1] == "  corpus 40 of 40, 0 s left  a\ufffdb"


def test_a_pipe_hears_of_very_long_stages_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 200.0)
    assert len(marks(100, 1000)) > 10


def test_a_pipe_hears_nothing_of_work_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1000.0)
    assert marks(10, None) == []


def test_a_pipe_gets_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1000.0)
    assert marks(1, 1, NOTE) == [
        "  corpus 1 of 1  loss 3.42, 1.85 bits per byte, 21,300 tokens/s, MFU 41%, 1.3 GiB"
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_the_block_fits(width: int) -> None:
    """No line is wider than the terminal, and where there is room nothing is cut."""
    console, file = screen(width, is_terminal=True)
    with watched(console, "training") as progress:
        progress(540, 1200, NOTE)
    bar = Block(console)
    bar.add_task("training", total=1200, completed=540, left="3 h 05 min left", beside=NOTE.split(", "))
    lines = console.render_lines(bar.get_renderable(), pad=False)
    shown = ["".join(segment.text for segment in line) for line in lines]
    assert all(len(line) <= width for line in shown)
    if width >= 40:
        words = " ".join(" ".join([*shown, file.getvalue()]).split())
        assert all(piece in words for piece in ["45%", "540 of 1,200", *NOTE.split(", ")])
    if width >= 60:
        assert "3 h 05 min left" in shown[0]
        assert len(shown) == {60: 3, 80: 3, 200: 2}[width]


def test_pieces_are_never_broken() -> None:
    assert in_lines(["one two", "three", "four five six"], 16) == ["one two   three", "four five six"]
    assert in_lines(["a long piece"], 4) == ["a long piece"]
    assert in_lines([], 10) == []


def test_time_left_follows_from_the_speed_of_late() -> None:
    """A slow beginning is soon forgotten; what passed before the first report is never known."""
    left = TimeLeft()
    assert left.after(1000.0, 1, 1000) is None
    assert left.after(1100.0, 2, 1000) == pytest.approx(100.0 * 998)
    for done in range(3, 500):
        found = left.after(1100.0 + 2.0 * (done - 2), done, 1000)
    assert found == pytest.approx(2.0 * 501)


def test_time_left_of_work_that_was_resumed() -> None:
    left = TimeLeft()
    assert left.after(0.0, 900, 1000) is None
    assert left.after(10.0, 905, 1000) == pytest.approx(190.0)


def test_time_left_where_reports_are_rare() -> None:
    """A few of them count, however far apart."""
    left = TimeLeft()
    for done in range(1, 30):
        found = left.after(600.0 * done, done, 100)
    assert found == pytest.approx(600.0 * 71)


def test_time_left_begins_anew_where_work_does() -> None:
    left = TimeLeft()
    left.after(0.0, 50, 100)
    left.after(10.0, 60, 100)
    assert left.after(20.0, 1, 100) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3570, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (3e5, "3.5 days"),
    ],
)
def test_a_time_to_wait_in_words(seconds: float, words: str) -> None:
    assert about(seconds) == words
