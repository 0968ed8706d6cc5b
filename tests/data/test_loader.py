"""The loader: the windows of the readable twin, each once an epoch, addressed by nothing but the step."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from data.shard_folders import counted, read_batch, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.config import parse
from hornbook.base.errors import ConfigError, RunFolderError, TextError
from hornbook.base.randomness import stream
from hornbook.data import reference
from hornbook.data.batch import Batch
from hornbook.data.config import DataConfig
from hornbook.data.loader import Prefetched, SourceLoader
from hornbook.data.shards import TokenShards
from hornbook.data.windows import Windows
from hornbook.model.mask import Mask

Pair = tuple[tuple[int, ...], tuple[int, ...]]


def loader_over(
    shards: TokenShards, seq_len: int = 4, batch_size: int = 2, seed: int = 0, stride: int | None = None
) -> SourceLoader:
    windows = Windows(shards, seq_len=seq_len, stride=stride, seed=seed, document_mask=True)
    return SourceLoader(windows, batch_size=batch_size, seed=seed)


def pairs(batch: Batch) -> list[Pair]:
    rows = zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)
    return [(tuple(tokens), tuple(targets)) for tokens, targets in rows]


def epochs(loader: SourceLoader, n_epochs: int) -> list[list[Pair]]:
    """The windows in the order in which they are served, cut into epochs."""
    n_steps = -(-n_epochs * loader.source.n_rows // loader.batch_size)
    served = [pair for step in range(n_steps) for pair in pairs(loader.batch(step))]
    return [served[i * loader.source.n_rows : (i + 1) * loader.source.n_rows] for i in range(n_epochs)]


@settings(max_examples=40)
@given(
    length=st.integers(24, 90),
    seq_len=st.integers(1, 6),
    batch_size=st.integers(1, 3),
    seed=st.integers(0, 9),
    shard_tokens=st.integers(1, 50),
    stride=st.integers(1, 6),
)
def test_an_epoch_is_the_windows_of_the_reference_each_once(
    length: int, seq_len: int, batch_size: int, seed: int, shard_tokens: int, stride: int
) -> None:
    """From the epoch's shift on, the textbook's windows, in another order; they overlap or touch.

    All ids differ, so equal windows are the same window. The windows of the twin may be one more: the
    loader gives one up, to have room for the shift.
    """
    with tempfile.TemporaryDirectory() as folder:
        lists = counted(length // 2, length - length // 2)
        stride = min(stride, seq_len)
        loader = loader_over(
            shards_of(lists, Path(folder), shard_tokens=shard_tokens), seq_len, batch_size, seed, stride
        )
        tokens = [i for ids in lists for i in (0, *ids)]
        for epoch, served in enumerate(epochs(loader, 3)):
            shift = int(stream(seed, "data", epoch).integers(stride))
            wanted = [(tuple(a), tuple(b)) for a, b in reference.windows(tokens[shift:], seq_len, stride)]
            assert len(wanted) - loader.source.n_rows in (0, 1)
            assert Counter(served) == Counter(wanted[: loader.source.n_rows])


def test_epochs_differ_in_order_and_in_cuts(tmp_path: Path) -> None:
    served = epochs(loader_over(shards_of(counted(400), tmp_path), seq_len=8), 6)
    assert len({tuple(epoch) for epoch in served}) == 6
    firsts = {min(tokens for tokens, _ in epoch) for epoch in served}
    assert len(firsts) > 1, "every epoch cuts at the same places"


def test_seeds_differ(tmp_path: Path) -> None:
    shards = shards_of(counted(400), tmp_path)
    one, other = (epochs(loader_over(shards, seed=seed), 1) for seed in (0, 1))
    assert one != other


def test_a_batch_follows_from_its_step_alone(tmp_path: Path) -> None:
    """In any order, from a loader that served others before, and from a new one: the same batch."""
    shards = shards_of(counted(60, 60), tmp_path)
    loader = loader_over(shards)
    forward = [pairs(loader.batch(step)) for step in range(100)]
    backward = [pairs(loader.batch(step)) for step in reversed(range(100))]
    assert backward[::-1] == forward
    assert [pairs(loader_over(shards).batch(step)) for step in (99, 0, 57)] == [
        forward[step] for step in (99, 0, 57)
    ]


def test_a_batch_is_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    loader = loader_over(shards_of(counted(60, 60), tmp_path))
    code = """
import sys
from hornbook.data.loader import SourceLoader
from hornbook.data.shards import TokenShards
from hornbook.data.windows import Windows
windows = Windows(TokenShards(sys.argv[1]), seq_len=4, seed=0, document_mask=True)
loader = SourceLoader(windows, batch_size=2, seed=0)
print(loader.batch(41).tokens.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.strip() == str(loader.batch(41).tokens.tolist())


def test_the_least_text_is_enough_and_one_token_less_is_not(tmp_path: Path) -> None:
    """3 windows of 5, one for the shift, and the token after them: 21, of which one begins the document."""
    loader = loader_over(shards_of(counted(20), tmp_path / "enough"), seq_len=5, batch_size=3)
    assert loader.batch(0).tokens.shape == (3, 5)
    assert loader.steps_per_epoch == 1.0
    with pytest.raises(TextError) as caught:
        loader_over(shards_of(counted(19), tmp_path / "little"), seq_len=5, batch_size=3)
    assert str(caught.value) == (
        "the text has 20 training tokens, but one batch of 3 sequences of 5 needs 21; "
        "give more text, or a smaller data.batch_size or data.seq_len"
    )


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=6, max_size=12),
    start=st.integers(0, 3),
    seq_len=st.integers(1, 6),
)
def test_the_document_mask_is_the_reference(lengths: list[int], start: int, seq_len: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lists = counted(*lengths, 9)
        batch = read_batch(shards_of(lists, Path(folder)), [start], seq_len, document_mask=True)
        stream_ids = [i for ids in lists for i in (0, *ids)]
        numbers = reference.document_numbers(stream_ids, end_of_text=0)[start : start + seq_len]
        dense = Mask(documents=batch.documents).dense(seq_len, seq_len, torch.device("cpu"))[0, 0]
        wanted = [[reference.may_see(numbers, q, k) for k in range(seq_len)] for q in range(seq_len)]
        assert dense.tolist() == wanted


def test_rows_of_one_document_carry_no_mask(tmp_path: Path) -> None:
    """Attention is faster without; numbers appear as soon as one row holds two documents."""
    shards = shards_of(counted(30, 30), tmp_path)
    assert read_batch(shards, [0, 8], 8, document_mask=True).documents is None
    packed = read_batch(shards, [0, 26], 8, document_mask=True)
    assert packed.documents is not None
    assert packed.documents.tolist() == [[0] * 8, [0] * 5 + [1] * 3]
    assert read_batch(shards, [0, 26], 8, document_mask=False).documents is None


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_micro_batches_are_the_batch_in_order(tmp_path: Path, size: int) -> None:
    batch = read_batch(shards_of(counted(9, 30), tmp_path), [0, 3, 6, 8, 20], 5, document_mask=True)
    pieces = list(batch.split(size))
    assert [len(piece.tokens) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    for field in ("tokens", "targets", "documents"):
        assert torch.equal(torch.cat([getattr(piece, field) for piece in pieces]), getattr(batch, field))


def test_the_example_of_the_reference() -> None:
    assert reference.windows([1, 2, 3, 4, 5, 6], seq_len=2, stride=2) == [([1, 2], [2, 3]), ([3, 4], [4, 5])]


def test_windows_that_overlap_are_told(tmp_path: Path) -> None:
    shards = shards_of(counted(99), tmp_path)
    assert loader_over(shards).source.describe() == ""
    overlapping = loader_over(shards, seq_len=8, stride=2).source
    assert overlapping.describe() == "windows of 8 tokens every 2: an epoch reads the text 4 times"


def test_a_stride_longer_than_a_sequence_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sequences\.stride 9 is longer than seq_len 8.*give at most 8"):
        parse(DataConfig, {"seq_len": 8, "sequences": {"kind": "windows", "stride": 9}})


def test_batches_made_ahead_are_the_same(tmp_path: Path) -> None:
    """One after the other, again, back, and far ahead."""
    loader = loader_over(shards_of(counted(60, 60), tmp_path))
    ahead = Prefetched(loader)
    assert ahead.steps_per_epoch == loader.steps_per_epoch
    for step in (0, 1, 2, 2, 3, 1, 50, 51):
        assert torch.equal(ahead.batch(step).tokens, loader.batch(step).tokens)


def test_the_next_batch_is_made_before_it_is_asked_for(tmp_path: Path) -> None:
    made = threading.Event()

    class Watched(SourceLoader):
        def batch(self, step: int) -> Batch:
            found = super().batch(step)
            if step == 6:
                made.set()
            return found

    windows = Windows(shards_of(counted(60, 60), tmp_path), seq_len=4, seed=0, document_mask=True)
    Prefetched(Watched(windows, batch_size=2, seed=0)).batch(5)
    assert made.wait(timeout=60)


def test_batches_out_of_turn_leave_what_was_begun(tmp_path: Path) -> None:
    """A step that learns from two batches asks for one from far ahead in between."""
    made: list[int] = []

    class Watched(SourceLoader):
        def batch(self, step: int) -> Batch:
            made.append(step)
            return super().batch(step)

    windows = Windows(shards_of(counted(60, 60), tmp_path), seq_len=4, seed=0, document_mask=True)
    loader = Watched(windows, batch_size=2, seed=0)
    ahead = Prefetched(loader)
    asked = [0, 100, 1, 101, 2, 102]
    batches = [ahead.batch(step) for step in asked]
    assert set(made) - {3} == set(asked) and len(made) == len(set(made))
    for step, batch in zip(asked, batches, strict=True):
        assert torch.equal(batch.tokens, loader.batch(step).tokens)


@pytest.mark.parametrize("pinned", [False, True])
def test_batches_are_pinned_where_that_is_asked_for(
    pinned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is waited for, and the next. Pinning needs a GPU; here it is seen that it is asked."""
    asked: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: asked.append(tensor) or tensor)
    windows = Windows(shards_of(counted(60, 60), tmp_path), seq_len=4, seed=0, document_mask=True)
    ahead = Prefetched(SourceLoader(windows, batch_size=2, seed=0), pinned=pinned)
    batches = [ahead.batch(0), ahead.batch(1)]
    for batch in batches:
        assert all(any(each is tensor for tensor in asked) == pinned for each in batch.tensors())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_batch_keeps_its_types_on_another_device(device: str) -> None:
    numbers, weights = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2)
    batch = Batch(numbers, numbers, label_weights=weights, others=Batch(numbers, numbers, part=1), part=0)
    moved = batch.to(torch.device(device))
    assert [each.device.type for each in moved.tensors()] == [device] * 5
    assert [each.dtype for each in moved.tensors()] == [each.dtype for each in batch.tensors()]
    assert moved.others is not None and moved.others.part == 1


def test_damage_found_ahead_is_told_when_the_batch_is_asked_for(tmp_path: Path) -> None:
    class Broken(SourceLoader):
        def batch(self, step: int) -> Batch:
            if step == 1:
                raise RunFolderError("00000.tokens is damaged")
            return super().batch(step)

    windows = Windows(shards_of(counted(60, 60), tmp_path), seq_len=4, seed=0, document_mask=True)
    ahead = Prefetched(Broken(windows, batch_size=2, seed=0))
    ahead.batch(0)
    with pytest.raises(RunFolderError, match="is damaged"):
        ahead.batch(1)
