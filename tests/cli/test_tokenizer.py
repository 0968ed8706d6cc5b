"""`hornbook tokenizer`: training from files, looking at a text, the report; mistakes and stops."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest
import typer
from recipes.tiny_runs import ended, home, hornbook, inside, process
from tokenizer.word_piece import word_piece

from hornbook.cli.main import app
from hornbook.tokenizer.tokenizer import Tokenizer

VERBS = ["train", "show", "report"]
GROUP = typer.main.get_command(app).commands["tokenizer"]


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORNBOOK_DATA", raising=False)


@pytest.fixture(scope="module")
def books() -> Path:
    """A tokenizer of the tiny texts."""
    with inside(home()):
        if not Path("books").exists():
            assert hornbook("tokenizer", "train", "texts", "--vocab-size", "400", "--out", "books").code == 0
    return home() / "books"


def complaint(*words: str | Path) -> str:
    said = hornbook("tokenizer", *words)
    assert said.code == 2, said
    assert said.err.startswith("hornbook: ") and said.err.count("\n") == 1, said.err
    return said.err.removeprefix("hornbook: ").rstrip("\n")


def flat(text: str) -> str:
    return " ".join(text.split())


# Help


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_that_parse(verb: str) -> None:
    after = hornbook("tokenizer", verb, "--help").out.partition("Examples:")[2]
    found = [line for line in re.split(r"(?=hornbook tokenizer)", flat(after)) if line.strip()]
    assert len(found) >= 2
    for line in found:
        assert shlex.split(line)[:3] == ["hornbook", "tokenizer", verb]
        GROUP.commands[verb].make_context(verb, shlex.split(line)[3:]).close()


def test_the_group_lists_its_verbs_and_explains_every_option() -> None:
    assert list(GROUP.commands) == VERBS
    assert all(verb in hornbook("tokenizer", "--help").out for verb in VERBS)
    for verb in VERBS:
        assert all(getattr(parameter, "help", None) for parameter in GROUP.commands[verb].params)


# Training


def test_training_says_what_came_of_it(place: Path) -> None:
    Path("texts/old.txt").write_bytes("déjà vu".encode("latin-1"))
    words = (
        "texts",
        "--vocab-size",
        "400",
        "--special",
        "<|user|>",
        "--pattern",
        "cl100k",
        "--out",
        "deep/books",
    )
    said = hornbook("tokenizer", "train", *words)
    assert said.code == 0, said.err
    tokenizer = Tokenizer.load("deep/books")
    assert tokenizer.vocab_size == 400 and tokenizer.pattern == "cl100k"
    assert tokenizer.special_tokens == {"<|endoftext|>": 398, "<|user|>": 399}
    out = flat(said.out)
    assert "A tokenizer of 400 tokens" in out and "read 5 documents, 50.0 kB" in out
    assert "left out 1, 7 bytes: not UTF-8" in out
    assert re.search(r"merge 1 '.{1,2}' \+ '.{1,2}' gives '", out)
    assert re.search(r"packing \d\.\d\d bytes per token on the text", out) and "longest '" in out
    again = re.search(r"tokenizer show 'Hello, hornbook!' --tokenizer deep/books", said.out)
    assert again and hornbook(*shlex.split(again[0])).code == 0


def test_more_tokens_than_the_text_gives_is_said(place: Path) -> None:
    Path("little.txt").write_text("low lower lowest low lower")
    said = hornbook("tokenizer", "train", "little.txt", "--vocab-size", "5000", "--out", "books")
    assert said.code == 0 and "no pair is left that occurs 2 times" in said.err
    assert re.search(r"tokens +26\d of 5,000: the text gave no more", said.out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing"], "there is no file or folder 'missing'; give a text file, a folder or a glob"),
        (["*.pdf"], "the glob '*.pdf' matches nothing; give a text file, a folder or another glob"),
        (["empty"], "there are no files in 'empty'; give a folder that holds text files"),
        (["texts", "--vocab-size", "9"], "vocab_size=9 is too small: 256 bytes and 1 special tokens are 257"),
        (["texts", "--pattern", "gpt3"], "there is no pattern 'gpt3'; did you mean 'gpt2'?"),
        (["texts", "--pattern", "("], "the pattern '(' is not a regular expression"),
        (["texts", "--special", "a"], "'a' cannot be a special token"),
        (["texts", "--out", "texts/story0.txt"], "texts/story0.txt is a file; give a folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_touches_nothing(place: Path, words: list[str], sentence: str) -> None:
    Path("empty").mkdir()
    before = sorted(place.rglob("*"))
    rest = [] if "--vocab-size" in words else ["--vocab-size", "300"]
    rest += [] if "--out" in words else ["--out", "books"]
    assert complaint("train", *words, *rest).startswith(sentence)
    assert sorted(place.rglob("*")) == before


def test_a_tokenizer_in_the_way_is_kept_unless_told(place: Path) -> None:
    words = ("train", "texts", "--out", "books", "--vocab-size")
    assert hornbook("tokenizer", *words, "300").code == 0
    assert complaint(*words, "310") == (
        "books already holds a tokenizer; choose another folder, or replace it with --overwrite"
    )
    assert hornbook("tokenizer", *words, "310", "--overwrite").code == 0
    assert Tokenizer.load("books").vocab_size == 310
    assert "holds a model" in complaint("train", "texts", "--vocab-size", "300", "--out", home() / "run")


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half(place: Path) -> None:
    for number in range(400):
        Path(f"texts/more{number}.txt").write_text(Path("texts/story0.txt").read_text() * 20)
    running = process("tokenizer", "train", "texts", "--vocab-size", "500", "--out", "books", cwd=place)
    while not list(place.glob(".books.*.tmp")):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    said = ended(running)
    assert (said.code, said.err) == (1, "hornbook: stopped; nothing was written to books\n")
    assert [path.name for path in place.iterdir()] == ["texts"]


# Showing


def test_a_text_is_shown_as_tokens_ids_bytes_and_merges(books: Path) -> None:
    said = hornbook("tokenizer", "show", "la la", "--tokenizer", books)
    assert said.code == 0, said.err
    tokenizer = Tokenizer.load(books)
    ids = tokenizer.encode("la la")
    pieces = [tokenizer.token_bytes(token).decode() for token in ids]
    assert "".join(f"[{piece}]" for piece in pieces) in said.out
    assert f"{len(ids)} tokens for 5 characters, 5 bytes" in said.out
    for token, piece in zip(ids, pieces, strict=True):
        assert re.search(
            rf"{token} +\d+\u2013\d+ +{piece.encode().hex(' ')} +{re.escape(repr(piece))}", said.out
        )
    rank = tokenizer.merges.index((b"l", b"a")) + 0 if (b"l", b"a") in tokenizer.merges else None
    assert rank is None or f"{rank}  [l a]" in said.out
    assert (
        "["
        not in hornbook("tokenizer", "show", "la", "--tokenizer", books, "--no-steps").out.split("text")[-1]
    )


def test_nothing_in_a_text_harms_the_screen(books: Path) -> None:
    text = "<|endoftext|>\x1b[31m\x07 \u202e\u05e9\u05dc\u05d5\u05dd \u200b\u5b57\U0001f600 e\u0301\n\t\r"
    said = hornbook("tokenizer", "show", text, "--tokenizer", books)
    assert said.code == 0, said.err
    allowed = "\n\u2013"
    assert not [c for c in said.out if not c.isprintable() and c not in allowed]
    assert "a part of '\u5b57'" in said.out and "'\\x1b'" in said.out
    assert "a special token, cut out before anything else" in said.out


def test_text_from_the_input_and_long_text(books: Path) -> None:
    said = hornbook("tokenizer", "show", "-", "--tokenizer", books, stdin="word " * 2000)
    assert said.code == 0, said.err
    assert "the first 4,000 of 10,000 characters" in said.out
    assert re.search(r"\.\.\. and [\d,]+ tokens more", said.out)
    many = " ".join(f"{a}{b}" for a in "abcdef" for b in "klmn")
    assert "different words more" in hornbook("tokenizer", "show", many, "--tokenizer", books).out
    assert complaint("show", "-", "--tokenizer", books).startswith("there is no text to show")


def test_a_long_word_is_shown_but_not_step_by_step(books: Path) -> None:
    tokenizer = Tokenizer.load(books)
    for word in ("a" * 2500, "\u4e2d" * 700):
        text, n_bytes = f"la {word}", len(word.encode())
        said = hornbook("tokenizer", "show", text, "--tokenizer", books)
        assert said.code == 0, said.err
        assert f"{tokenizer.count_tokens(text):,} tokens for {len(text):,} characters" in said.out
        why = f"'{' ' + word[:19]}' ... a word of {n_bytes + 1:,} bytes, too long to show step by step"
        assert why in flat(said.out)
        bare = hornbook("tokenizer", "show", text, "--tokenizer", books, "--no-steps")
        assert bare.code == 0 and "too long" not in bare.out


def test_a_vocabulary_without_bytes_is_shown(place: Path) -> None:
    word_piece(Path("bare"))
    said = hornbook("tokenizer", "show", "A small texts!", "--tokenizer", "bare")
    assert said.code == 0, said.err
    assert "[a][small][text][##s][[UNK]]" in said.out
    assert re.search(r"3 +4 +'##s'\n", said.out) and "span" not in said.out
    assert "5 tokens for 14 characters, 14 bytes: 2.80 bytes per token" in said.out
    assert "there are no merges to show" in said.out
    nothing = hornbook("tokenizer", "show", " ", "--tokenizer", "bare")
    assert nothing.code == 0 and "0 tokens for 1 characters, 1 bytes\n" in nothing.out


def test_lone_surrogates_are_counted_as_what_they_become(books: Path) -> None:
    said = hornbook("tokenizer", "show", "\ud800" * 5 + "\ud83d\ude00", "--tokenizer", books)
    assert said.code == 0, said.err
    n_tokens = Tokenizer.load(books).count_tokens("\ufffd" * 5 + "\U0001f600")
    assert f"{n_tokens} tokens for 6 characters, 19 bytes: {19 / n_tokens:.2f} bytes per token" in said.out


def test_which_tokenizer(books: Path, place: Path) -> None:
    assert complaint("show", "text").startswith("which tokenizer? there is none in runs/quickstart")
    assert complaint("show", "text", "--tokenizer", "nowhere").startswith("there is no tokenizer at nowhere")
    assert hornbook("tokenizer", "show", "text", "--tokenizer", home() / "run").code == 0
    assert "has its own pattern" in complaint("show", "text", "--tokenizer", books, "--pattern", "gpt2")


def test_without_torch(books: Path) -> None:
    """The verbs about tokenizers do not wait for torch."""
    running = process(
        "tokenizer", "show", "text", "--tokenizer", books, cwd=home(), PYTHONPROFILEIMPORTTIME="1"
    )
    said = ended(running)
    assert said.code == 0 and "hornbook.tokenizer.tokenizer" in said.err
    assert not re.search(r"\| +torch$", said.err, flags=re.MULTILINE)


# The report


def test_a_report_of_two_tokenizers(books: Path, place: Path) -> None:
    assert hornbook("tokenizer", "train", "texts", "--vocab-size", "300", "--out", "small").code == 0
    words = ("texts", "--tokenizer", books, "--compare", "small", "--no-sweep", "--out", "page.html")
    said = hornbook("tokenizer", "report", *words)
    assert said.code == 0, said.err
    assert re.search(r"books +\d\.\d\d .*\n +small +\d\.\d\d ", said.out)
    assert "The whole story is in page.html" in said.out
    assert "story3" in Path("page.html").read_text()


def test_a_report_without_a_tokenizer_trains_one(place: Path) -> None:
    said = hornbook("tokenizer", "report", "texts")
    assert said.code == 0, said.err
    assert "trained here" in said.out and Path("report.html").is_file()


def test_mistakes_in_a_report(books: Path, place: Path) -> None:
    assert complaint("report", "texts", "--no-sweep").startswith("there is no tokenizer to measure")
    assert complaint("report", "missing", "--tokenizer", books).startswith(
        "there is no file or folder 'missing'"
    )
    assert complaint("report", "texts", "--compare", "texts").startswith("there is no tokenizer in texts")
    Path("mine.html").write_text("<p>")
    assert "is no tokenizer report" in complaint(
        "report", "texts", "--tokenizer", books, "--out", "mine.html"
    )
    assert not Path("report.html").exists()
