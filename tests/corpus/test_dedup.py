from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import reference
from hornbook.corpus.dedup import deduplicate, digest
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step

# Few letters and every kind of white space, so that copies are common.
texts = st.lists(st.text(st.sampled_from("aB \t\n\r\x0b\x1c\x85\xa0\u2003\u2028\u200bé")))


@given(texts)
def test_the_fast_one_equals_the_reference(lines: list[str]) -> None:
    documents = [Document(text, f"{number}.txt") for number, text in enumerate(lines)]
    step = Step("deduplicate")
    assert list(deduplicate(documents, step)) == list(reference.deduplicate(documents))
    assert step.balanced()


@given(st.text(st.sampled_from("ab \n")), st.integers(1, 5))
def test_hashing_in_pieces_changes_nothing(text: str, piece_length: int) -> None:
    assert digest(text, piece_length) == digest(" ".join(text.split()))


def test_only_white_space_is_overlooked() -> None:
    assert digest("one  two\n") == digest("\tone two")
    for other in ["One two", "one two.", "onetwo", "two one", "one two one two"]:
        assert digest("one two") != digest(other)


def test_the_first_copy_stays_and_the_others_are_booked() -> None:
    step = Step("deduplicate")
    documents = [Document("a b", "first"), Document("c", "other"), Document("a  b", "copy")]
    assert [document.source for document in deduplicate(documents, step)] == ["first", "other"]
    entry = step.dropped["copy of an earlier document"]
    assert (entry.count.documents, entry.count.bytes) == (1, 4)
    assert entry.examples.to_list() == [{"source": "copy", "excerpt": "a b"}]
