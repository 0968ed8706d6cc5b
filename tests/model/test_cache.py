"""Caches that slide: they hold what a window reaches and little more, and give the keys in order."""

from __future__ import annotations

import pytest
import torch
from model.small_models import block, model_config, scrambled, some_tokens

from hornbook.model.cache import LayerCache, SlidingCache, sliding_length
from hornbook.model.mask import Mask
from hornbook.model.part_config import AlibiConfig, RelativeBiasConfig, RotaryConfig

LONG = 90


@pytest.mark.parametrize("window", [1, 2, 5, 30])
@pytest.mark.parametrize("steps", [[1] * LONG, [40] + [1] * 50, [3, 1, 30, 5, 1, 1, 49], [90]], ids=str)
def test_a_sliding_cache_gives_what_a_window_reaches_in_order(window: int, steps: list[int]) -> None:
    keys = torch.arange(LONG).float().reshape(1, 1, LONG, 1)
    cache = SlidingCache((1, 1, LONG, 1), window, torch.float32, torch.device("cpu"))
    read = 0
    for n_new in steps:
        new = keys[:, :, read : read + n_new]
        before = min(read, window - 1)
        read += n_new
        for held, sign in zip(cache.put(new, -new), (1, -1), strict=True):
            assert (sign * held).flatten().tolist() == list(range(read - n_new - before, read))
        assert cache.length == read
    assert cache.keys.size(2) == sliding_length(window)


POSITIONS = {
    "rotary": RotaryConfig(),
    "alibi": AlibiConfig(),
    "relative bias": RelativeBiasConfig(n_buckets=8, max_distance=16),
    "none": None,
}


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("steps", [[1] * LONG, [50] + [1] * 40, [7, 60, 1, 1, 1, 10, 1, 9]], ids=str)
def test_a_text_far_longer_than_the_window_is_continued_as_if_read_whole(
    position: str, steps: list[int]
) -> None:
    attention = {"position": POSITIONS[position]}
    local, whole = block(attention | {"window": 5}), block(attention)
    model = scrambled(model_config(local, whole, max_seq_len=LONG))
    tokens, cache = some_tokens(2, LONG), model.make_cache(2)
    assert [type(each.own) for each in cache.blocks] == [SlidingCache, LayerCache]
    with torch.no_grad():
        pieces = [model(piece, cache=cache) for piece in tokens.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), model(tokens), atol=1e-5, rtol=1e-5)
    assert cache.length == LONG


def test_padding_and_documents_of_a_slid_window_are_those_of_its_keys() -> None:
    model = scrambled(model_config(block({"window": 5}), max_seq_len=LONG))
    tokens, cache = some_tokens(2, LONG), model.make_cache(2)
    real = torch.ones(2, LONG, dtype=torch.bool)
    real[1, 50:55] = False
    documents = torch.arange(LONG).expand(2, LONG) // 7
    with torch.no_grad():
        whole = model(tokens, Mask(padding=real, documents=documents))
        for t in range(LONG):
            mask = Mask(padding=real[:, : t + 1], documents=documents[:, : t + 1])
            step = model(tokens[:, t : t + 1], mask, cache)
            if real[:, t].all():
                torch.testing.assert_close(step[:, 0], whole[:, t], atol=1e-5, rtol=1e-5)


def test_a_sliding_cache_is_as_small_as_its_window() -> None:
    config = model_config(block({"window": 8}), block(), max_seq_len=1000)
    local, whole = scrambled(config).make_cache(1).blocks
    assert local.own.keys.size(2) == sliding_length(8) < 30
    assert whole.own.keys.size(2) == 1000
