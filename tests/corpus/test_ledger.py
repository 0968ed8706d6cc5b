from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.ledger import EXCERPT_LENGTH, N_EXAMPLES, Count, Examples, Ledger, Part, Step, excerpt


def test_a_balanced_ledger_is_written_as_stated() -> None:
    ledger = Ledger(inputs=["texts"])
    step = ledger.step("read", "Files are read.")
    step.enter(10)
    step.trim("carriage returns", "a", 2)
    step.leave(8)
    step.enter(5)
    step.drop("binary", "b", 5, b"\0\0")
    ledger.parts = {"train": Part(Count(1, 8), ["documents-00000.jsonl.zst"])}
    ledger.kept.offer("a", "the text", part="train")
    assert ledger.to_dict() == {
        "format": 1,
        "inputs": ["texts"],
        "steps": [
            {
                "name": "read",
                "note": "Files are read.",
                "in": {"documents": 2, "bytes": 15},
                "out": {"documents": 1, "bytes": 8},
                "dropped": [
                    {
                        "reason": "carriage returns",
                        "documents": 0,
                        "bytes": 2,
                        "examples": [{"source": "a", "excerpt": ""}],
                    },
                    {
                        "reason": "binary",
                        "documents": 1,
                        "bytes": 5,
                        "examples": [{"source": "b", "excerpt": "\ufffd\ufffd"}],
                    },
                ],
                "added": [],
            }
        ],
        "out": {"documents": 1, "bytes": 8},
        "parts": {"train": {"documents": 1, "bytes": 8, "shards": ["documents-00000.jsonl.zst"]}},
        "kept_examples": [{"source": "a", "part": "train", "excerpt": "the text"}],
    }


def test_books_that_do_not_add_up_are_refused() -> None:
    lost = Ledger()
    lost.step("read", "").enter(10)
    with pytest.raises(AssertionError, match="'read' does not add up"):
        lost.to_dict()
    gap = Ledger()
    read = gap.step("read", "")
    read.enter(10)
    read.leave(10)
    gap.step("deduplicate", "")
    with pytest.raises(AssertionError, match="'read' gave"):
        gap.to_dict()
    gap.steps.pop()
    with pytest.raises(AssertionError, match="the parts hold"):
        gap.to_dict()


events = st.tuples(st.sampled_from(["keep", "drop", "trim", "cut"]), st.integers(2, 1000))


@given(st.lists(events), st.integers(1, 1000))
def test_whatever_happens_in_order_balances_and_a_byte_astray_does_not(
    happened: list[tuple[str, int]], astray: int
) -> None:
    step = Step("any")
    for number, (event, n_bytes) in enumerate(happened):
        step.enter(n_bytes)
        if event == "drop":
            step.drop("unwanted", str(number), n_bytes)
        elif event == "trim":
            step.trim("white space", str(number), 1)
            step.leave(n_bytes - 1)
        elif event == "cut":
            step.gain("cut in two", str(number))
            step.leave(n_bytes - 1)
            step.leave(1)
        else:
            step.leave(n_bytes)
    assert step.balanced()
    step.left.bytes += astray
    assert not step.balanced()


def test_examples_do_not_depend_on_the_order() -> None:
    sources = [f"{number}.txt" for number in range(100)]
    chosen = []
    for shuffle in range(3):
        examples = Examples()
        for source in random.Random(shuffle).sample(sources, len(sources)):
            examples.offer(source, source)
        chosen.append(examples.to_list())
    assert chosen[0] == chosen[1] == chosen[2]
    assert len(chosen[0]) == N_EXAMPLES
    other = Examples(seed=1)
    for source in sources:
        other.offer(source, source)
    assert other.to_list() != chosen[0]


def test_an_excerpt_is_one_short_printable_line() -> None:
    assert excerpt("one\n\n  two\tthree") == "one two three"
    assert excerpt(b"caf\xe9 \x00\x1b[31m") == "caf\ufffd \ufffd\ufffd[31m"
    assert len(excerpt("word " * 1000)) == EXCERPT_LENGTH
