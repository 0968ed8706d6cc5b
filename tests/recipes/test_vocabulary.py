"""Tokenizers from files: what is read, what is told, what is refused, and that nothing half is left."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipes.tiny_runs import story, write_texts

from hornbook.base.errors import ConfigError, Interrupted, RunFolderError, TextError
from hornbook.base.progress import Progress
from hornbook.corpus.pipeline import build_corpus, read_corpus
from hornbook.corpus.readers import bytes_on_disk
from hornbook.recipes import vocabulary
from hornbook.recipes.vocabulary import longest, ordinary_tokens, train_tokenizer
from hornbook.tokenizer.tokenizer import Tokenizer

TEXTS = [story(10_000, seed=i) for i in range(5)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Watched:
    """Keeps what the stages tell, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int | None]] = []
        self.open: list[str] = []

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[Progress]:
        assert not self.open, f"{stage} begins while {self.open} goes on"
        self.open.append(stage)

        def tell(done: int, total: int | None, note: str = "") -> None:
            self.told.append((stage, done, total))

        try:
            yield tell
        finally:
            self.open.remove(stage)


def test_files_give_the_tokenizer_of_their_texts(place: Path) -> None:
    trained = train_tokenizer("texts", "books", 400, min_frequency=3, special_tokens=("<|a|>",))
    expected = Tokenizer.train(TEXTS, 400, min_frequency=3, special_tokens=("<|a|>",))
    assert trained.tokenizer.merges == expected.merges
    assert Tokenizer.load("books").encode(TEXTS[0]) == expected.encode(TEXTS[0])
    assert (trained.step.left.documents, trained.step.left.bytes) == (5, 50_000)
    assert trained.measured.bytes == 50_000 and trained.asked == 400
    assert names(place) == ["books", "texts"]
    assert names(Path("books")) == ["tokenizer.json", "tokenizer_config.json"]


def test_of_a_corpus_only_the_part_to_learn_from_is_read(place: Path) -> None:
    build_corpus("texts", "corpus", held_out_share=0.2)
    texts = [document.text for document in read_corpus("corpus", "train")]
    trained = train_tokenizer("corpus", "books", 350)
    assert trained.tokenizer.merges == Tokenizer.train(texts, 350).merges
    assert trained.step.left.documents == len(texts)
    both = train_tokenizer(["texts/story0.txt", "corpus"], "both", 350)
    assert both.step.left.documents == len(texts) + 1


def test_what_is_no_text_is_left_out_and_told(place: Path) -> None:
    Path("texts/picture.bin").write_bytes(bytes(range(256)))
    step = train_tokenizer("texts", "books", 300).step
    assert {reason: entry.count.documents for reason, entry in step.dropped.items()} == {"binary": 1}


def test_the_new_folder_is_never_read(place: Path) -> None:
    train_tokenizer("texts", "texts/books", 300)
    again = train_tokenizer("texts", "texts/books", 300, overwrite=True)
    assert again.step.entered.documents == 5


def test_the_stages_tell_how_far_they_are(place: Path) -> None:
    watch = Watched()
    train_tokenizer("texts", "books", 300, watch=watch)
    counting = [told for told in watch.told if told[0] == "counting"]
    merging = [told for told in watch.told if told[0] == "merging"]
    assert watch.told == counting + merging and not watch.open
    assert counting == [("counting", 10_000 * i, 50_000) for i in range(1, 6)]
    assert merging[-1][1] == merging[-1][2]


def test_a_tokenizer_in_the_way_is_kept_unless_it_may_go(place: Path) -> None:
    train_tokenizer("texts", "books", 300)
    Path("books/notes.txt").write_text("mine")
    before = Path("books/tokenizer.json").read_bytes()
    with pytest.raises(RunFolderError, match="already holds a tokenizer"):
        train_tokenizer("texts", "books", 310)
    assert Path("books/tokenizer.json").read_bytes() == before
    Path("books/chat_template.jinja").write_text("old")
    train_tokenizer("texts", "books", 310, overwrite=True)
    assert Tokenizer.load("books").vocab_size == 310
    assert Tokenizer.load("books").settings.chat_template is None
    assert names(Path("books")) == ["notes.txt", "tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize("mark", ["config.json", "run.json"])
def test_the_tokenizer_of_a_model_is_never_replaced(place: Path, mark: str) -> None:
    Path("run").mkdir()
    Path("run", mark).write_text("{}")
    with pytest.raises(RunFolderError, match="holds a model"):
        train_tokenizer("texts", "run", 300, overwrite=True)
    assert names(Path("run")) == [mark]


def test_mistakes_leave_nothing_behind(place: Path) -> None:
    Path("empty").mkdir()
    Path("blank.txt").write_text(" \n")
    for paths, message in (
        ("missing", "there is no file or folder 'missing'"),
        ("empty", "there are no files in 'empty'"),
        ("blank.txt", "there is no text in 'blank.txt'"),
        ([], "no input was given"),
    ):
        with pytest.raises(TextError, match=message):
            train_tokenizer(paths, "books", 300)
    with pytest.raises(ConfigError, match="vocab_size=10 is too small"):
        train_tokenizer("texts", "books", 10)
    with pytest.raises(RunFolderError, match="is a file"):
        train_tokenizer("texts", "blank.txt", 300)
    with pytest.raises(RunFolderError, match="cannot be made"):
        train_tokenizer("texts", "blank.txt/books", 300)
    assert names(place) == ["blank.txt", "empty", "texts"]


def test_ctrl_c_leaves_nothing_behind(place: Path) -> None:
    @contextlib.contextmanager
    def impatient(stage: str) -> Iterator[Progress]:
        def tell(done: int, total: int | None, note: str = "") -> None:
            if stage == "merging" and done == 20:
                raise KeyboardInterrupt

        yield tell

    with pytest.raises(Interrupted, match="nothing was written to books"):
        train_tokenizer("texts", "books", 400, watch=impatient)
    assert names(place) == ["texts"]


def test_a_sample_is_even_and_always_the_same() -> None:
    def drawn(count: int) -> list[str]:
        sample = vocabulary._Sample()
        for number in range(count):
            sample.offer(str(number))
        return sample.texts

    assert drawn(10) == [str(number) for number in range(10)]
    many = [int(text) for text in drawn(100_000)]
    assert len(many) <= vocabulary.SAMPLE_TEXTS and many == [int(text) for text in drawn(100_000)]
    assert {b - a for a, b in itertools.pairwise(many)} == {4096}


def test_the_longest_tokens(place: Path) -> None:
    tokenizer = train_tokenizer("texts", "books", 400).tokenizer
    tokens = ordinary_tokens(tokenizer)
    assert len(tokens) == 399 and tokenizer.special_tokens["<|endoftext|>"] not in tokens
    lengths = [len(token) for token in longest(tokens.values(), 10)]
    assert lengths == sorted(map(len, tokens.values()), reverse=True)[:10]


def test_bytes_on_disk_are_those_of_the_files_to_read(tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts", files=3, n_bytes=100)
    (folder / ".secret").write_text("not read")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "a.txt").write_text("not read")
    (folder / "out").mkdir()
    (folder / "out" / "a.json").write_text(json.dumps("not read"))
    assert bytes_on_disk(folder, exclude=folder / "out") == 300
    assert bytes_on_disk([folder / "story0.txt", folder / "story1.txt"]) == 200
