from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError, TextError
from hornbook.corpus.document import Document
from hornbook.corpus.split import MIN_BYTES, cut_tail, split


def corpus(sizes: list[int], seed: int = 0) -> list[Document]:
    """Documents of random words with about the given sizes."""
    draw = random.Random(seed)
    return [
        Document("".join(f"{draw.randrange(10**6):06d}\n" for _ in range(size // 7 + 1)), f"{number}.txt")
        for number, size in enumerate(sizes)
    ]


def n_bytes(documents: list[Document]) -> int:
    return sum(document.n_bytes for document in documents)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60), st.sampled_from([0.01, 0.04, 0.1, 0.25]))
def test_the_held_out_part_has_about_its_share(sizes: list[int], share: float) -> None:
    documents = corpus(sizes)
    total = n_bytes(documents)
    if total < 2000:
        return
    train, held_out = split(documents, share)
    assert train and held_out
    assert n_bytes(train) + n_bytes(held_out) == total
    slack = len(documents)  # rounding to whole bytes, where tails are cut
    assert 0.5 * share * total - slack <= n_bytes(held_out) <= 1.5 * share * total + slack


def test_a_normal_corpus_keeps_its_documents_whole_and_in_order() -> None:
    documents = corpus([random.Random(1).randrange(100, 20_000) for _ in range(400)])
    train, held_out = split(documents)
    assert 0.02 < n_bytes(held_out) / n_bytes(documents) < 0.06
    held = set(held_out)
    assert train == [document for document in documents if document not in held]
    assert held_out == [document for document in documents if document in held]


def test_neither_names_nor_order_nor_a_few_more_documents_change_much() -> None:
    documents = corpus([1000] * 1000)
    before = {document.text for document in split(documents)[1]}
    renamed = [Document(document.text, f"moved/{document.source}") for document in reversed(documents)]
    assert {document.text for document in split(renamed)[1]} == before
    grown = documents + corpus([1000] * 50, seed=1)
    after = {document.text for document in split(grown)[1]}
    assert len(before & after) >= 0.9 * len(before)
    assert {document.text for document in split(documents, seed=1)[1]} != before


def test_copies_fall_on_one_side() -> None:
    documents = corpus([500] * 200) * 2
    train, held_out = split(documents)
    assert held_out
    assert not {document.text for document in train} & {document.text for document in held_out}


def test_one_large_document_gives_its_tail_at_the_end_of_a_paragraph() -> None:
    text = "".join(f"Paragraph {number} of the book.\nIt has two lines.\n\n" for number in range(500))
    (train,), (held_out,) = split([Document(text, "book.txt", {"kind": "prose"})])
    assert train.text + held_out.text == text
    assert train.text.endswith("\n\n") and held_out.text.startswith("Paragraph ")
    assert 0.04 <= held_out.n_bytes / len(text) <= 0.06
    assert (train.source, held_out.source) == ("book.txt", "book.txt#tail")
    assert held_out.meta == {"kind": "prose"}


def test_two_documents_give_a_tail_each() -> None:
    train, held_out = split(corpus([10_000, 30_000]))
    assert [document.source for document in train] == ["0.txt", "1.txt"]
    assert [document.source for document in held_out] == ["0.txt#tail", "1.txt#tail"]


@given(st.text(min_size=1), st.floats(0, 0.25))
def test_a_cut_loses_nothing(text: str, share: float) -> None:
    head, tail = cut_tail(text, share)
    assert head + tail == text


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("line one\n\nline two is long\nline three\n", "line three\n"),
        ("one two three four five six sevens", "six sevens"),
        ("x" * 30, "x" * 8),
        ("é" * 30, "é" * 8),
    ],
)
def test_a_cut_falls_after_a_line_else_a_word_else_a_character(text: str, tail: str) -> None:
    assert cut_tail(text, 0.25)[1] == tail


def test_too_little_text_and_impossible_shares_are_refused() -> None:
    with pytest.raises(TextError, match=rf"12 bytes of text are too few .* at least {MIN_BYTES}"):
        split([Document("hello, world", "a")])
    for share in [0.0, -0.1, 0.3, float("nan")]:
        with pytest.raises(ConfigError, match=r"must be above 0 and at most 0\.25"):
            split(corpus([1000]), share)
