"""What encoders are asked: as the papers have it, in exact proportion, and never across a border."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data import corruption_reference as reference
from hornbook.data.batch import IGNORED, PADDING, Batch, Collate, Rows, next_tokens
from hornbook.data.corruption import Masked, Permuted
from hornbook.data.corruption_pairs import FOLLOWS, STRANGER, MaskedPairs
from hornbook.data.corruption_spans import Continued, Spans, Unprompted, draw_spans, n_spans, pieces, prefixed
from hornbook.data.shared_rows import SharedRows, share_out

N_TEXT = 500
"""Ids below are text."""
END, MASK, FIRST, BETWEEN = 500, 501, 502, 503
SENTINELS = tuple(range(519, 503, -1))
SPECIAL = np.arange(520) >= N_TEXT
MASKED = Masked(SPECIAL, MASK)
SPANS = Spans(SENTINELS, start=END, end=END, longest=100)
CONTINUED = Continued(start=END, end=END, longest=100)
COLLATES: dict[str, Collate] = {
    "masked": MASKED,
    "permuted": Permuted(SPECIAL),
    "spans": SPANS,
    "continued": CONTINUED,
    "prefixed": prefixed,
    "pairs": MaskedPairs(MASKED, FIRST, BETWEEN),
    "shared": SharedRows((SPANS, CONTINUED), (1.0, 1.0)),
}
every_collate = pytest.mark.parametrize("name", COLLATES)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rows_of(*lengths: list[int], n_tokens: int = 41) -> Rows:
    """Rows of documents of these lengths, each of text after the end of the one before; filled up behind."""
    generator = draw(99)
    tokens = np.zeros((len(lengths), n_tokens), dtype=np.int64)
    documents = np.full_like(tokens, PADDING)
    number = 0
    for row, own in enumerate(lengths):
        ends = np.cumsum(own)
        assert ends[-1] <= n_tokens
        for stop, length in zip(ends.tolist(), own, strict=True):
            tokens[row, stop - length : stop] = [END, *generator.integers(N_TEXT, size=length - 1)]
            documents[row, stop - length : stop] = number
            number += 1
    return Rows(tokens, documents)


ROWS = rows_of([41], [20, 21], [5, 9, 13], [30], [1, 2, 3, 35], [41])


def asked_by(batch: Batch) -> list[dict[int, int]]:
    """What each row is asked: place and target."""
    assert batch.places is not None
    return [
        {place: target for place, target in zip(*row, strict=True) if target != IGNORED}
        for row in zip(batch.places.tolist(), batch.targets.tolist(), strict=True)
    ]


@every_collate
def test_the_same_generator_asks_the_same_and_another_asks_otherwise(name: str) -> None:
    one, again, other = (COLLATES[name](ROWS, draw(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.tensors(), again.tensors(), strict=True))
    assert any(
        a.shape != b.shape or not a.equal(b) for a, b in zip(one.tensors(), other.tensors(), strict=True)
    )


@every_collate
def test_rows_are_left_as_they_were(name: str) -> None:
    tokens = ROWS.tokens.copy()
    COLLATES[name](ROWS, draw())
    assert np.array_equal(ROWS.tokens, tokens)


@every_collate
def test_filling_is_never_asked_for(name: str) -> None:
    """Where documents number the places of the targets, none that counts is at a place that fills up."""
    for batch in COLLATES[name](ROWS, draw()).split(2):
        assert batch.documents is not None
        documents = batch.documents if batch.places is None else batch.documents.gather(1, batch.places)
        assert not ((documents == PADDING) & (batch.targets != IGNORED)).any()


# Masked tokens


@given(seed=st.integers(0, 10_000))
def test_hidden_tokens_are_the_readable_ones(seed: int) -> None:
    """With the dice read off the result: the rest of a row stays, and what stood there is asked for."""
    batch = MASKED(ROWS, draw(seed))
    for row, asked in enumerate(asked_by(batch)):
        tokens, found = ROWS.tokens[row, :-1].tolist(), batch.tokens[row].tolist()
        dice = {at: 0.0 if found[at] == MASK else 0.85 if found[at] != tokens[at] else 0.95 for at in asked}
        seen, wanted = reference.hide(tokens, dice, dict(enumerate(found)), MASK)
        assert (found, asked) == (seen, wanted)


def test_exactly_the_share_is_asked_for() -> None:
    """0.15 of what is text: of 39, 38 and 24 tokens 6, 6 and 4."""
    asked = asked_by(MASKED(ROWS, draw()))
    assert [len(each) for each in asked] == [6, 6, 4, 4, 5, 6]
    assert [len(each) for each in asked_by(MASKED(rows_of([1, 1, 2], [1]), draw()))] == [1, 0]
    assert not any(token >= N_TEXT for each in asked for token in each.values()), "special tokens are no text"


def test_eight_of_ten_are_hidden_and_one_is_replaced() -> None:
    rows = Rows(draw().integers(N_TEXT, size=(400, 201)))
    batch = MASKED(rows, draw(1))
    assert batch.places is not None and batch.documents is None
    seen, stood = batch.tokens.gather(1, batch.places), batch.targets
    n = stood.numel()
    assert n == 400 * 30
    hidden, kept = (seen == MASK).sum().item() / n, (seen == stood).sum().item() / n
    assert hidden == pytest.approx(0.8, abs=0.02) and kept == pytest.approx(0.1, abs=0.02)
    assert set(seen[(seen != MASK) & (seen != stood)].tolist()) <= set(range(N_TEXT))
    places = batch.places.flatten().bincount(minlength=200).float()
    assert places.min() > 30 and places.max() < 95, "all places are asked for, about 60 times each"


# Orders


@given(seed=st.integers(0, 10_000))
def test_orders_are_the_readable_ones(seed: int) -> None:
    batch = Permuted(SPECIAL, one_in=4)(ROWS, draw(seed))
    assert batch.order is not None and batch.places is not None
    assert torch.equal(batch.tokens, torch.from_numpy(ROWS.tokens[:, :-1])), "no token is hidden"
    for row, asked in enumerate(asked_by(batch)):
        assert batch.order[row].tolist() == reference.prediction_order(40, list(asked))


@given(n_tokens=st.integers(1, 30), data=st.data())
def test_a_beginning_sees_itself_and_the_rest_what_was_before(n_tokens: int, data: st.DataObject) -> None:
    rows = Rows(np.arange(n_tokens + 1)[None])
    batch = prefixed(rows, draw(data.draw(st.integers(0, 10_000))))
    assert batch.order is not None
    order = batch.order[0].tolist()
    cut = order.count(0)
    assert order == reference.prefix_order(n_tokens, cut)
    wanted = [IGNORED if place < cut - 1 else place + 1 for place in range(n_tokens)]
    assert batch.targets[0].tolist() == wanted, "the last token of the beginning is asked what comes next"


def test_beginnings_are_of_all_lengths() -> None:
    rows = Rows(np.tile(np.arange(6), (900, 1)))
    order = prefixed(rows, draw()).order
    assert order is not None
    counts = torch.bincount((order == 0).sum(1), minlength=6).tolist()
    assert counts[0] == 0 and all(140 < count < 220 for count in counts[1:])


def test_each_document_of_a_row_has_its_own_beginning() -> None:
    batch = prefixed(ROWS, draw())
    assert batch.order is not None and batch.documents is not None
    for order, numbers in zip(batch.order, batch.documents.numpy(), strict=True):
        for begin, stop in pieces(numbers):
            own = order[begin:stop] - begin
            assert own.tolist() == reference.prefix_order(stop - begin, int((own == 0).sum()))


# Spans


@given(
    n_tokens=st.integers(2, 300), density=st.floats(0.05, 0.9), mean=st.floats(1, 9), seed=st.integers(0, 999)
)
def test_spans_are_as_many_and_as_long_as_said(n_tokens: int, density: float, mean: float, seed: int) -> None:
    spans = draw_spans(n_tokens, density, mean, draw(seed))
    missing, count = n_spans(n_tokens, density, mean)
    assert sum(stop - begin for begin, stop in spans) == missing
    assert missing == min(max(round(density * n_tokens), 1), n_tokens - 1)
    assert len(spans) == count
    edges = [edge for span in [(0, 0), *spans] for edge in span]
    assert all(a < b for a, b in pairwise(edges[1:])) and edges[-1] == n_tokens, (
        "no two touch; the last ends it"
    )


@given(seed=st.integers(0, 10_000), n_tokens=st.integers(2, 60))
def test_a_denoised_text_is_the_readable_one_and_can_be_restored(seed: int, n_tokens: int) -> None:
    tokens = draw(seed).integers(N_TEXT, size=n_tokens)
    spans = draw_spans(n_tokens, 0.3, 2.0, draw(seed))
    source, target = (text.tolist() for text in SPANS.denoised(tokens, spans))
    assert (source, target) == reference.denoise(tokens.tolist(), spans, SENTINELS, END)
    assert reference.restore(source, target, SENTINELS) == tokens.tolist()
    found = [token for token in source if token in SENTINELS]
    assert found == list(SENTINELS[: len(spans)]) and found == sorted(found, reverse=True)


def test_a_row_by_hand() -> None:
    """Two documents: each is denoised for itself, and its target begins anew."""
    rows = Rows(np.array([[1, 2, 3, 4, 11, 12, 13, 0]]), np.array([[0, 0, 0, 0, 1, 1, 1, 1]]))
    batch = Spans((99, 98), start=7, end=8, longest=20)(rows, draw())
    assert batch.source is not None and batch.source_documents is not None and batch.documents is not None
    assert batch.source.tolist() == [[1, 2, 3, 99, 8, 11, 12, 99, 8]]
    assert batch.targets.tolist() == [[99, 4, 8, 99, 13, 8]]
    assert batch.tokens.tolist() == [[7, 99, 4, 7, 99, 13]]
    assert batch.documents.tolist() == [[0, 0, 0, 1, 1, 1]]
    assert batch.source_documents.tolist() == [[0] * 5 + [1] * 4]
    assert batch.n_tokens == 15


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_nothing_is_lost_in_pairs_of_texts(seed: int) -> None:
    """Every document of two tokens or more is in its row, source and target under one number."""
    for collate in (SPANS, CONTINUED):
        batch = collate(ROWS, draw(seed))
        assert batch.source is not None and batch.source_documents is not None and batch.documents is not None
        for row, numbers in enumerate(ROWS.numbers[:, :-1]):
            texts = [ROWS.tokens[row, a:b].tolist() for a, b in pieces(numbers) if b - a > 1]
            for number, text in enumerate(texts):
                source = batch.source[row][batch.source_documents[row] == number].tolist()
                target = batch.targets[row][batch.documents[row] == number].tolist()
                if collate is SPANS:
                    assert reference.restore(source, target, SENTINELS) == text
                else:
                    assert source[-1] == END and [*source[:-1], *target][: len(text)] == text
            assert batch.documents[row].max() == len(texts) - 1


def test_a_continuation_ends_where_its_document_ends() -> None:
    """And not where the window happens to: a model must not learn to stop there."""
    batch = CONTINUED(rows_of([41], [40], [39]), draw())
    last = [row[row != IGNORED][-1].item() for row in batch.targets]
    assert last[0] != END and last[1:] == [END, END]


def test_a_text_without_a_prompt_is_the_readable_one() -> None:
    """For an encoder-decoder what it is for a decoder, and each document reads an empty text of its own."""
    batch, plain = Unprompted(END)(ROWS, draw()), next_tokens(ROWS, draw())
    assert batch.documents is not None and plain.documents is not None
    assert batch.source is not None and batch.source_documents is not None
    for ours, theirs in zip(batch.tensors(), plain.tensors(), strict=False):
        assert torch.equal(ours, theirs)
    for numbers, read in zip(batch.documents, batch.source_documents, strict=True):
        assert read[read != PADDING].tolist() == numbers[numbers != PADDING].unique().tolist()
    row = np.arange(7)
    alone = Unprompted(END)(Rows(row[None]), draw())
    assert alone.source is not None and alone.source_documents is None
    found = tuple(each[0].tolist() for each in (alone.source, alone.tokens, alone.targets))
    assert found == reference.unprompted(row.tolist(), END)
    assert set(batch.source.flatten().tolist()) == {END}


def test_what_has_no_room_is_left_out() -> None:
    batch = Spans(SENTINELS, start=END, end=END, longest=30)(rows_of([40], [10, 12, 13]), draw())
    assert batch.source is not None and batch.source_documents is not None
    assert (batch.targets[0] == IGNORED).all() and (batch.source_documents[0] == PADDING).all()
    assert batch.source_documents[1].max() == 1 and batch.source.size(1) <= 30


# Pairs


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_half_of_the_pairs_are_strangers(seed: int) -> None:
    collate = MaskedPairs(Masked(SPECIAL, MASK, mask_share=0.0, random_share=0.0), FIRST, BETWEEN)
    rows = rows_of([41], [35, 6], [30], [20, 21], [41])
    batch = collate(rows, draw(seed))
    assert batch.labels is not None and batch.segments is not None and batch.documents is not None
    assert sorted(batch.labels.tolist()) == [FOLLOWS] * 3 + [STRANGER] * 2
    texts = zip(rows.tokens.tolist(), [37, 34, 29, 19, 37], strict=True)
    longest = [row[1 : n + 1] for row, n in texts]
    for row, label in enumerate(batch.labels.tolist()):
        real = batch.tokens[row][batch.documents[row] != PADDING].tolist()
        middle, last = (i for i, token in enumerate(real) if token == BETWEEN)
        one, other = real[1:middle], real[middle + 1 : last]
        tokens, segments = reference.pair(one, other, FIRST, BETWEEN)
        assert real == tokens and batch.segments[row].tolist()[: len(real)] == segments
        assert one == longest[row][: len(one)]
        follows = longest[row][len(one) : len(one) + len(other)] == other
        assert follows == (label == FOLLOWS)
        assert label == FOLLOWS or any(
            "".join(map(chr, other)) in "".join(map(chr, text)) for text in longest
        )


def test_a_class_counts_as_much_as_the_tokens_of_a_row() -> None:
    batch = COLLATES["pairs"](ROWS, draw())
    assert batch.label_weights is not None
    assert batch.label_weights.sum().item() == pytest.approx((batch.targets != IGNORED).sum().item())


def test_a_row_alone_has_no_stranger() -> None:
    batch = COLLATES["pairs"](rows_of([41]), draw())
    assert batch.labels is not None and batch.labels.tolist() == [FOLLOWS]


# Shares


@given(n_rows=st.integers(0, 64), weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_rows_are_shared_out_whole(n_rows: int, weights: list[float]) -> None:
    counts = share_out(n_rows, weights)
    assert sum(counts) == n_rows
    assert all(abs(n - n_rows * w / sum(weights)) < 1 for n, w in zip(counts, weights, strict=True))


@pytest.mark.parametrize(("weights", "counts"), [((3.0, 1.0), [12, 4]), ((0.5, 0.25, 0.25), [8, 4, 4])])
def test_shares_that_are_whole_are_exact(weights: tuple[float, ...], counts: list[int]) -> None:
    assert share_out(16, weights) == counts


def test_each_part_gets_its_own_rows() -> None:
    """3 rows of 4 to the first, and a micro-batch is of one part."""
    rows = Rows(ROWS.tokens[[0, 5, 0, 5]], None)
    batch = SharedRows((SPANS, CONTINUED), (3.0, 1.0))(rows, draw())
    assert batch.others is not None
    assert (len(batch.tokens), len(batch.others.tokens), batch.others.part) == (3, 1, 1)
    assert [(micro.part, len(micro.tokens)) for micro in batch.split(2)] == [(0, 2), (0, 1), (1, 1)]
    assert batch.n_tokens == sum(micro.n_tokens for micro in batch.split(1))
