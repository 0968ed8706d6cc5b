from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.document import Document


@given(st.text())
def test_bytes_are_those_of_utf8(text: str) -> None:
    assert Document(text, "a").n_bytes == len(text.encode())


def test_documents_are_frozen_and_hashable() -> None:
    document = Document("text", "a.txt", {"kind": "code"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.text = "other"  # type: ignore[misc]
    assert hash(document) == hash(Document("text", "a.txt"))
