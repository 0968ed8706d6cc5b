"""The tokenizer report: its figures are right, its page is whole, and text on it is never markup."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from recipes.pages import Page
from recipes.tiny_runs import story
from tokenizer.word_piece import word_piece

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.recipes.tokenizer_figures import PATTERN, Figures, measure
from hornbook.recipes.tokenizer_report import render, write_tokenizer_report
from hornbook.recipes.vocabulary import train_tokenizer
from hornbook.tokenizer.measure import compression
from hornbook.tokenizer.tokenizer import Tokenizer

CHAPTERS = ["overall", "kinds", "sweep", "fairness", "cuts", "tokens", "reading"]
SIZES = (300, 400)
EVIL = "</code><script>alert('1')</script>&amp;\u202e"


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HORNBOOK_DATA", raising=False)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 60 lines in three languages, in `texts/`; tokenizers `a` and `b` beside it."""
    root = tmp_path_factory.mktemp("report")
    lines = story(6000).splitlines()[:60]
    lines = [line[: 20 + (11 * i) % 60] for i, line in enumerate(lines)]
    (root / "texts").mkdir()
    greek = str.maketrans(
        "aeioulkmnprst", "\u03b1\u03b5\u03b9\u03bf\u03c5\u03bb\u03ba\u03bc\u03bd\u03c0\u03c1\u03c3\u03c4"
    )
    for name, text in {
        "eng": "\n".join(lines),
        "deu": "\n".join(f"{line} und" for line in lines),
        "ell": "\n".join(lines).translate(greek),
    }.items():
        (root / "texts" / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    for name, size in (("a", 300), ("b", 500)):
        train_tokenizer(root / "texts", root / name, size)
    return root


@pytest.fixture(scope="module")
def figures(texts: Path) -> Figures:
    return measure(texts / "texts", tokenizers=[texts / "a"], compare=[texts / "b"], sizes=SIZES)


def test_every_tokenizer_is_measured_on_every_kind(texts: Path, figures: Figures) -> None:
    assert [named.name for named in figures.tokenizers] == ["a", "b"]
    for name in "ab":
        tokenizer = Tokenizer.load(texts / name)
        for kind in ("eng", "deu", "ell"):
            text = (texts / "texts" / f"{kind}.txt").read_text("utf-8")
            assert figures.table[name][kind] == compression(tokenizer, [text])
    n_bytes = sum(path.stat().st_size for path in (texts / "texts").iterdir())
    tokens = sum(found.tokens for found in figures.table["b"].values())
    assert figures.overall("b") == pytest.approx(n_bytes / tokens)
    assert int(figures.uses.sum()) == sum(found.tokens for found in figures.table["a"].values())
    assert not figures.trained_here and not figures.lossy


def test_fairness_counts_the_same_lines_from_english(texts: Path, figures: Figures) -> None:
    assert {kind.name for kind in figures.same_lines} == {"eng", "deu", "ell"}
    tokenizer = Tokenizer.load(texts / "a")
    counts = {}
    for kind in ("eng", "ell"):
        lines = (texts / "texts" / f"{kind}.txt").read_text("utf-8").splitlines()
        counts[kind] = sum(tokenizer.count_tokens(line) for line in lines)
    assert figures.fair["a"].base == "eng"
    assert figures.fair["a"].premiums["ell"] == pytest.approx(counts["ell"] / counts["eng"])


def test_the_sweep_is_measured_on_text_it_never_saw(texts: Path, figures: Figures) -> None:
    learned, held_out = [], []
    for path in sorted((texts / "texts").iterdir()):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        learned.append("".join(lines[:54]))
        held_out.append("".join(lines[54:]))
    alone = Tokenizer.train(learned, 400, special_tokens=())
    assert figures.swept is not None
    assert figures.swept.points[-1].bytes_per_token == compression(alone, held_out).bytes_per_token
    assert figures.held_out["a"] == compression(Tokenizer.load(texts / "a"), held_out).bytes_per_token


def test_without_a_tokenizer_one_is_trained_and_judged_on_text_it_never_saw(texts: Path) -> None:
    found = measure(texts / "texts", sizes=SIZES)
    assert found.trained_here and found.own.name == "trained here"
    assert found.own.tokenizer.vocab_size == 400
    assert found.swept is not None
    assert found.overall("trained here") == found.swept.points[-1].bytes_per_token
    page = Page(render(found))
    assert page.chapters == CHAPTERS
    assert "measured on the last tenth, which it has not seen" in page.words


def test_the_page_has_every_chapter_and_loads_nothing(figures: Figures) -> None:
    raw = render(figures)
    page = Page(raw)
    assert page.chapters == CHAPTERS
    assert not re.search(r"https?://|url\(|@import|//[a-z]+\.", raw)
    assert all(value.startswith("#") for name, value in page.attributes if name in ("src", "href"))
    assert "Line chart of bytes per token over tokens in the vocabulary" in raw
    assert f"{figures.overall('a'):.2f}" in page.words and f"{figures.fair['b'].gini:.3f}" in page.words
    assert "None" not in page.words and "nan" not in page.words
    assert render(figures) == raw


def test_without_a_sweep_and_without_parallel_text(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Only a few words here.")
    (tmp_path / "two.txt").write_text("And a few others there.\nMore.")
    out = tmp_path / "pages" / "report.html"
    write_tokenizer_report(
        [tmp_path / "one.txt", tmp_path / "two.txt"], out, tokenizers=[texts / "a"], sizes=()
    )
    page = Page(out.read_text("utf-8"))
    assert page.chapters == [name for name in CHAPTERS if name != "sweep"]
    assert "These files are not the same sentences" in page.words
    write_tokenizer_report(tmp_path / "one.txt", out, tokenizers=[texts / "a"], sizes=())
    assert "fairness" not in Page(out.read_text("utf-8")).chapters


def test_text_and_names_are_never_markup(texts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    for name, n_lines in (("<script>a", 40), ("<script>b", 50)):
        (folder / f"{name}.txt").write_text(f"{EVIL}\n" * n_lines, encoding="utf-8")
    found = measure(folder, tokenizers=[texts / "a"], sizes=SIZES)
    named = [dataclasses.replace(each, name=EVIL) for each in found.tokenizers]
    table = {EVIL: found.table["a"]}
    left_out = [(EVIL, EVIL)]
    evil = dataclasses.replace(
        found, tokenizers=named, table=table, lossy=[EVIL], left_out=left_out, held_out={EVIL: 1.0}
    )
    raw = render(evil)
    assert raw.count("<script>") == 1 and "\u202e" not in raw
    assert "</code><script>alert('1')</script>&amp;\\u202e" in Page(raw).words


def test_a_vocabulary_without_bytes_is_compared(texts: Path, tmp_path: Path) -> None:
    word_piece(tmp_path / "published" / "bare")
    found = measure(texts / "texts", tokenizers=[texts / "a"], compare=[tmp_path / "published"], sizes=())
    assert [named.name for named in found.tokenizers] == ["a", "bare"] and not found.left_out
    assert found.table["bare"]["eng"].fragments is None and found.lossy == ["bare"]
    assert Page(render(found)).chapters == [name for name in CHAPTERS if name != "sweep"]


def test_a_vocabulary_without_bytes_as_ones_own(texts: Path, tmp_path: Path) -> None:
    """It names no pattern to train with, and has no bytes to show."""
    (tmp_path / "text.txt").write_text("A small text, small texts.\n" * 40, encoding="utf-8")
    word_piece(tmp_path / "bare")
    found = measure(tmp_path / "text.txt", tokenizers=[tmp_path / "bare"], sizes=SIZES)
    assert found.swept is not None and found.swept.tokenizer.pattern == PATTERN
    page = Page(render(found))
    assert page.chapters == [name for name in CHAPTERS if name not in ("fairness", "tokens")]
    assert "\u2013" in page.words and "no bytes of their own" in page.words
    assert "##s" in page.words and "None" not in page.words


def test_a_sweep_is_split_as_ones_own_byte_level_tokenizer_is(texts: Path, tmp_path: Path) -> None:
    for name, given in (("c", "cl100k"), ("d", r"\w+|\W+")):
        train_tokenizer(texts / "texts", tmp_path / name, 300, pattern=given)
        found = measure(texts / "texts", tokenizers=[tmp_path / name], sizes=SIZES)
        assert found.swept is not None and found.swept.tokenizer.pattern == given


def test_what_is_in_the_way_stays(texts: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.html"
    notes.write_text("<p>mine</p>")
    with pytest.raises(RunFolderError, match="is no tokenizer report"):
        write_tokenizer_report(texts / "texts", notes, tokenizers=[texts / "a"], sizes=())
    assert notes.read_text() == "<p>mine</p>"
    with pytest.raises(RunFolderError, match="is a folder"):
        write_tokenizer_report(texts / "texts", tmp_path, tokenizers=[texts / "a"], sizes=())
    page = tmp_path / "report.html"
    for _ in range(2):
        write_tokenizer_report(texts / "texts", page, tokenizers=[texts / "a"], sizes=())
    with pytest.raises(ConfigError, match="there is no tokenizer to measure"):
        write_tokenizer_report(texts / "texts", page, sizes=())


@pytest.mark.slow
def test_a_real_parallel_corpus(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 29 languages are found to be the same sentences; OpenAI's newer vocabulary is the fairer one."""
    published = real_data / "tokenizers" / "tiktoken"
    files = [published / "cl100k_base.tiktoken", published / "o200k_base.tiktoken"]
    found = measure(real_data / "flores200" / "devtest", tokenizers=files, sizes=())
    assert len(found.same_lines) == len(found.kinds) == 29
    assert {len(kind.lines) for kind in found.same_lines} == {1012}
    assert found.fair["cl100k"].base == found.fair["cl100k"].best == "eng_Latn"
    assert found.fair["o200k"].gini < found.fair["cl100k"].gini
    assert not measure(real_data / "code", tokenizers=files[:1], sizes=()).same_lines
