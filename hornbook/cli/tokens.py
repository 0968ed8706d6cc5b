"""Tokenizers in the terminal: what was trained, how a text is cut, what a report found.

Whatever a text holds, it is shown safely: control characters and broken UTF-8 as numbers, and letters that
are written from right to left at the end of a line, where they can turn nothing else around.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hornbook.base.errors import ConfigError, TextError
from hornbook.recipes.at_hand import Named
from hornbook.recipes.lesson import Lesson
from hornbook.recipes.report_text import quoted, size, visible
from hornbook.recipes.tokenizer_figures import Figures
from hornbook.recipes.vocabulary import Trained
from hornbook.recipes.words import typed
from hornbook.tokenizer.pretokenize import utf8
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.tokenizer.trace import TracedWord, has_bytes, pieces, trace

MOST_CHARACTERS = 4_000
"""Of a longer text only the beginning is shown."""
MOST_ROWS = 200
"""Most tokens in the table."""
MOST_WORDS = 12
"""Most words whose merges are shown; each word once."""
MOST_STEPS = 40
"""Most merges of one word."""
N_LONGEST = 8


def show_training(trained: Trained, lesson: Lesson) -> None:
    """Print what came of a training: what was read, the merges, the tokens, and what to type next."""
    tokenizer, books = trained.tokenizer, trained.step
    documents = "1 document" if books.left.documents == 1 else f"{books.left.documents:,} documents"
    lesson.title(f"A tokenizer of {tokenizer.vocab_size:,} tokens")
    lesson.fact("read", f"{documents}, {size(books.left.bytes)}")
    for reason, entry in books.dropped.items():
        if entry.count.documents:
            lesson.fact("left out", f"{entry.count.documents:,}, {size(entry.count.bytes)}: {reason}")
    if tokenizer.vocab_size < trained.asked:
        lesson.fact("tokens", f"{tokenizer.vocab_size:,} of {trained.asked:,}: the text gave no more")
    lesson.merges(tokenizer.merges)
    measured = trained.measured
    sampled = "the text" if measured.bytes >= books.left.bytes else f"a sample of {size(measured.bytes)}"
    lesson.fact("packing", f"{measured.bytes_per_token:.2f} bytes per token on {sampled}")
    # A token is not broken at its spaces.
    longest = (quoted(token).replace(" ", "\u00a0") for token in trained.longest(N_LONGEST))
    lesson.fact("longest", "  ".join(longest))
    lesson.say(f"It is in {trained.folder}.")
    lesson.commands(
        [
            (
                typed("tokenizer", "show", "Hello, hornbook!", "--tokenizer", trained.folder),
                "how it cuts a text",
            ),
            (typed("tokenizer", "report", "FOLDER", "--tokenizer", trained.folder), "how it compares"),
        ]
    )


def show_report(figures: Figures, out: Path, lesson: Lesson) -> None:
    """Print the chief figures of a report, and where the page is."""
    lesson.title("Bytes per token, all texts together; more is better")
    longest = max(len(each.name) for each in figures.tokenizers)
    top = max(figures.overall(each.name) for each in figures.tokenizers)
    for place, each in enumerate(figures.tokenizers):
        value = figures.overall(each.name)
        bar = "\u2588" * round(40 * value / top)
        lesson.say(f"{each.name:<{longest}} {value:6.2f}  {bar}", "bold" if place < figures.n_own else "")
    if n_files := len(figures.left_out):
        files = "1 file" if n_files == 1 else f"{n_files} files"
        lesson.fact("left out", f"{files} that no tokenizer could be read from; the page says why")
    lesson.say(f"The whole story is in {out}; open it in a browser.")


def show_text(named: Named, text: str, steps: bool, lesson: Lesson) -> None:
    """Print how a text is cut into tokens; `-` stands for what is typed or piped in."""
    tokenizer = named.tokenizer
    text = utf8(sys.stdin.read() if text == "-" else text)[0]
    if not text:
        raise TextError("there is no text to show; give some, or - to read it from the input")
    lesson.title(
        f"{visible(named.name)}: {tokenizer.vocab_size:,} tokens, pattern {_short(tokenizer.pattern)}"
    )
    shown = text[:MOST_CHARACTERS]
    ids = tokenizer.encode(shown, allowed_special="all")
    tokens = pieces(tokenizer, ids)
    lesson.tokens([_piece(token) for token in tokens])
    lesson.fact("length", _length(tokenizer, text))
    if len(text) > len(shown):
        lesson.fact("shown", f"the first {len(shown):,} of {len(text):,} characters")
    lesson.console.print()
    table = _table if has_bytes(tokenizer) else _bare_table
    lesson.table(table(tokenizer, ids[:MOST_ROWS], tokens[:MOST_ROWS]))
    if len(ids) > MOST_ROWS:
        lesson.say(f"... and {len(ids) - MOST_ROWS:,} tokens more", "dim")
    if not steps:
        return
    if words := _words(tokenizer, shown):
        _show_steps(words, lesson)
    else:
        lesson.say("This vocabulary is not a byte-level BPE: there are no merges to show.", "dim")


def _words(tokenizer: Tokenizer, text: str) -> list[TracedWord]:
    """The words of a text with their merges; none where the vocabulary has no merges to show."""
    try:
        return trace(tokenizer, text, skip_long=True)
    except ConfigError:
        return []


def _length(tokenizer: Tokenizer, text: str) -> str:
    """How long a text is, in characters, bytes and tokens."""
    n_tokens = tokenizer.count_tokens(text, allowed_special="all")
    n_bytes = len(text.encode())
    ratio = f": {n_bytes / n_tokens:.2f} bytes per token" if n_tokens else ""
    return f"{n_tokens:,} tokens for {len(text):,} characters, {n_bytes:,} bytes{ratio}"


def _table(tokenizer: Tokenizer, ids: Sequence[int], tokens: Sequence[bytes]) -> Table:
    """A row for each token: its place, id, span and bytes; its text last."""
    table = Table.grid(padding=(0, 2))
    table.add_row(*(Text(title, style="dim") for title in ("", "id", "span", "bytes", "text")))
    for column in table.columns[:2]:
        column.justify = "right"
    spans, text = tokenizer.offsets(ids), tokenizer.decode(ids)
    for place, (token, (start, end)) in enumerate(zip(ids, spans, strict=True)):
        alone = tokens[place].decode("utf-8", "replace")
        # Whole tokens can differ from their spans by a space that the decoder drops.
        whole = "\ufffd" not in alone or alone == text[start:end]
        shown = quoted(tokens[place]) if whole else f"a part of {text[start:end]!r}"
        row = (str(place), str(token), f"{start}\u2013{end}", _hex(tokens[place]), shown)
        table.add_row(Text(row[0], style="dim"), *map(Text, row[1:]))
    return table


def _bare_table(tokenizer: Tokenizer, ids: Sequence[int], tokens: Sequence[bytes]) -> Table:
    """A row for each token of a vocabulary whose ids have no bytes: its place, id and text."""
    table = Table.grid(padding=(0, 2))
    table.add_row(*(Text(title, style="dim") for title in ("", "id", "text")))
    for column in table.columns[:2]:
        column.justify = "right"
    for place, (token, piece) in enumerate(zip(ids, tokens, strict=True)):
        table.add_row(Text(str(place), style="dim"), Text(str(token)), Text(quoted(piece)))
    return table


def _show_steps(words: Sequence[TracedWord], lesson: Lesson) -> None:
    """Each different word of the text from its bytes to its tokens."""
    distinct = list({word.data: word for word in words}.values())
    lesson.console.print()
    for word in islice(distinct, MOST_WORDS):
        shown = f"{quoted(word.text[:20].encode())} ..." if word.too_long else quoted(word.data)
        lesson.say(f"{shown}{_why_no_steps(word)}", "bold")
        for step in word.steps[:MOST_STEPS]:
            lesson.table(_step(step.tokens, step.place, f"{step.rank:>6}"), indent=4)
        if len(word.steps) > MOST_STEPS:
            lesson.say(f"  ... and {len(word.steps) - MOST_STEPS:,} merges more", "dim")
        if word.steps:
            lesson.table(_step(word.tokens, None, "      "), indent=4)
    if len(distinct) > MOST_WORDS:
        lesson.say(
            f"... and {len(distinct) - MOST_WORDS:,} different words more; --no-steps leaves all out", "dim"
        )


def _why_no_steps(word: TracedWord) -> str:
    """What to say of a word that is not merged."""
    if word.kind != "word":
        return (
            f"   {'a special' if word.kind == 'special' else 'an added'} token, cut out before anything else"
        )
    if word.too_long:
        return f"   a word of {len(word.data):,} bytes, too long to show step by step"
    if word.whole:
        return "   a token as it stands; this vocabulary looks up whole words first"
    return "" if word.steps else "   no merge applies"


def _step(tokens: Sequence[bytes], place: int | None, rank: str) -> Text:
    """A line of tokens, the two that are merged next in brackets, after the rank of that merge."""
    line = Text(f"{rank}  ", style="dim")
    for at, token in enumerate(tokens):
        merged = place is not None and at in (place, place + 1)
        opening = "[" if place is not None and at == place else ""
        closing = "]" if place is not None and at == place + 1 else ""
        line.append(
            f"{opening}{_piece(token, blank=True)}{closing}",
            style="not dim bold green" if merged else "not dim",
        )
        line.append(" ")
    return line


def _piece(token: bytes, blank: bool = False) -> str:
    """A token as it stands in a line of tokens: letters as they are, whatever cannot be seen as a number.

    `blank` makes a space visible.
    """
    try:
        text = visible(token.decode("utf-8"))
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in token)
    return text.replace(" ", "\u2423").replace("\n", "\u21b5").replace("\t", "\u21e5") if blank else text


def _hex(token: bytes) -> str:
    """The bytes of a token as numbers, in full where they are few."""
    return token.hex(" ") if len(token) <= 16 else f"{token[:14].hex(' ')} ... ({len(token)})"


def _short(pattern: str) -> str:
    return visible(pattern) if len(pattern) <= 40 else f"{visible(pattern[:40])} ..."
