"""Packing: the rows of the readable twin, nothing lost or repeated, no target but the next token."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from data.shard_folders import counted, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import TextError
from hornbook.data import reference
from hornbook.data.batch import IGNORED, PADDING, Rows, next_tokens
from hornbook.data.loader import SourceLoader
from hornbook.data.packing import Packing, best_fit
from hornbook.data.shards import TokenShards
from hornbook.model.mask import Mask

END = 0


def packing_over(shards: TokenShards, seq_len: int = 8, seed: int = 0, document_mask: bool = True) -> Packing:
    return Packing(shards, seq_len=seq_len, seed=seed, document_mask=document_mask)


def epoch(packing: Packing, number: int) -> Rows:
    first = number * packing.n_rows
    return packing.rows(range(first, first + packing.n_rows))


def pairs(rows: Rows) -> list[list[tuple[int, int]]]:
    """Each row as (token, document) pairs."""
    return [
        list(zip(*row, strict=True)) for row in zip(rows.tokens.tolist(), rows.numbers.tolist(), strict=True)
    ]


Lengths = st.lists(st.integers(0, 30), min_size=1, max_size=12)


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 12), max_size=40), room=st.integers(12, 20))
def test_best_fit_is_the_placing_of_the_reference(lengths: list[int], room: int) -> None:
    """Whole documents, the longest first: the same rows, member for member."""
    longest_first = sorted(lengths, reverse=True)
    found = best_fit(longest_first, room).tolist()
    rows = [[d for d, row in enumerate(found) if row == r] for r in range(max(found, default=-1) + 1)]
    assert rows == [[d for d, _, _ in row] for row in reference.pack(longest_first, room)]


@settings(max_examples=25)
@given(lengths=Lengths, room=st.integers(1, 12))
def test_rows_have_the_shapes_of_the_reference(lengths: list[int], room: int) -> None:
    """The same lengths share rows, in every epoch; which document it is, is drawn."""
    with tempfile.TemporaryDirectory() as folder:
        packing = packing_over(shards_of(counted(*lengths), Path(folder)), room)
        found = [packing._pieces_of(number) for number in range(2 * packing.n_rows)]
    wanted = reference.pack([length + 1 for length in lengths], room)
    shapes = Counter(tuple(sorted((stop - start, start > 0) for _, start, stop in row)) for row in wanted)
    n_tokens = packing._pieces.lengths.tolist()
    for served in (found[: packing.n_rows], found[packing.n_rows :]):
        sizes = [tuple(sorted(packing._sizes[row].tolist())) for row in served]
        assert Counter(sizes) == Counter(
            tuple(sorted(min(room, n + 2 * rest) for n, rest in shape)) for shape in shapes.elements()
        )
        assert sorted(piece for row in served for piece in row) == list(range(len(n_tokens)))
    assert sum(n_tokens) == sum(lengths) + len(lengths)


@settings(max_examples=25)
@given(lengths=Lengths, room=st.integers(1, 12), seed=st.integers(0, 3))
def test_a_row_is_laid_out_as_the_reference_lays_its_pieces(lengths: list[int], room: int, seed: int) -> None:
    lists = counted(*lengths)
    documents = [[END, *ids] for ids in lists]
    with tempfile.TemporaryDirectory() as folder:
        packing = packing_over(shards_of(lists, Path(folder)), room, seed)
        found = pairs(epoch(packing, 1))
        pieces = packing._pieces
        for number, row in enumerate(found):
            chosen = packing._pieces_of(packing.n_rows + number)
            begins = packing.shards.offsets.astype(int)
            spans = []
            for piece in chosen:
                document = int(pieces.documents[piece])
                start = int(pieces.starts[piece]) - int(begins[document])
                spans.append((document, start, start + int(pieces.lengths[piece])))
            assert row == reference.packed_row(documents, spans, room, END)


@settings(max_examples=25)
@given(lengths=Lengths, room=st.integers(1, 12), number=st.integers(0, 2))
def test_an_epoch_predicts_once_what_follows_each_token(lengths: list[int], room: int, number: int) -> None:
    """Every pair of neighbours in every document, and every document's end, once; nothing else is asked.

    All ids differ but the end of text, so a pair of ids is a place in the text.
    """
    lists = counted(*lengths)
    with tempfile.TemporaryDirectory() as folder:
        batch = next_tokens(
            epoch(packing_over(shards_of(lists, Path(folder)), room), number), np.random.default_rng(0)
        )
    asked = batch.targets != IGNORED
    found = Counter(zip(batch.tokens[asked].tolist(), batch.targets[asked].tolist(), strict=True))
    wanted = Counter(pair for ids in lists for pair in zip([END, *ids], [*ids, END], strict=True))
    assert found == wanted


def test_no_document_sees_another(tmp_path: Path) -> None:
    """Also rests, and what fills up; with the mask off all text of a row is one."""
    shards = shards_of(counted(20, 5, 3, 11, 2, 2), tmp_path)
    rows = epoch(packing_over(shards), 0)
    batch = next_tokens(rows, np.random.default_rng(0))
    assert batch.documents is not None
    dense = Mask(documents=batch.documents).dense(8, 8, torch.device("cpu"))[:, 0]
    for row, may_see in zip(pairs(rows), dense.tolist(), strict=True):
        numbers = [document for _, document in row]
        assert may_see == [[reference.may_see(numbers, q, k) for k in range(8)] for q in range(8)]
    whole = epoch(packing_over(shards, document_mask=False), 0)
    assert np.array_equal(whole.tokens, rows.tokens)
    assert np.array_equal(whole.numbers == PADDING, rows.numbers == PADDING)
    assert set(whole.numbers.ravel().tolist()) == {0, PADDING}


def test_epochs_and_seeds_differ_and_a_step_is_a_step(tmp_path: Path) -> None:
    shards = shards_of(counted(*[3] * 30, *[12] * 9), tmp_path)
    packing = packing_over(shards)
    served = [pairs(epoch(packing, number)) for number in range(3)]
    assert len({str(each) for each in served}) == 3
    together = [{tuple(sorted({d for _, d in row} - {PADDING})) for row in each} for each in served]
    assert together[0] != together[1], "the same documents share rows in every epoch"
    assert pairs(epoch(packing_over(shards, seed=1), 0)) != served[0]
    loader = SourceLoader(packing, batch_size=4, seed=0)
    again = SourceLoader(packing_over(shards), batch_size=4, seed=0)
    for step in (40, 0, 17, 3):
        assert torch.equal(loader.batch(step).tokens, again.batch(step).tokens)


def test_what_packing_costs_is_said(tmp_path: Path) -> None:
    """Pieces of 8, 8 and 5 of the long document, which takes 7 then; 6 and 2; 3: five rows of 8."""
    packing = packing_over(shards_of(counted(20, 5, 1, 2), tmp_path))
    assert packing.n_rows == 5
    assert packing.padding == pytest.approx(1 - 32 / 40)
    assert packing.describe() == (
        "4 documents packed into 5 sequences of 8 tokens; padding 20.00%; "
        "longer than a sequence and cut: 1 (25.00%)"
    )


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError) as caught:
        SourceLoader(packing_over(shards_of(counted(3, 3), tmp_path / "a")), batch_size=2, seed=0)
    assert str(caught.value) == (
        "packed into sequences of 8, the text fills 1, but one batch has 2; "
        "give more text, or a smaller data.batch_size or data.seq_len"
    )
    with pytest.raises(TextError, match="the text fills 0"):
        SourceLoader(packing_over(shards_of([], tmp_path / "b")), batch_size=1, seed=0)


def test_the_example_of_the_reference() -> None:
    assert reference.pack([5, 3, 9], room=8) == [[(2, 0, 8)], [(0, 0, 5), (1, 0, 3)], [(2, 8, 9)]]
