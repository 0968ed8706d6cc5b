"""The sweep: a vocabulary cut off at a size is the one that training to that size gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes.tiny_runs import story

from hornbook.base.errors import ConfigError
from hornbook.recipes.vocabulary_sweep import first_tokens, sweep
from hornbook.tokenizer.measure import compression
from hornbook.tokenizer.tokenizer import Tokenizer


def parts(tokenizer: Tokenizer) -> dict[str, Any]:
    """All that a tokenizer is, to compare it with another one."""
    return {
        "tokens": list(tokenizer.vocabulary.tokens),
        "merges": tokenizer.merges,
        "ranks": tokenizer.vocabulary.ranks.tolist(),
        "special_tokens": tokenizer.special_tokens,
        "pattern": tokenizer.pattern,
        "settings": tokenizer.settings,
    }


@given(texts=st.lists(st.text(alphabet="abc -\u05d0", max_size=60), min_size=1), size=st.integers(258, 330))
def test_the_first_tokens_are_those_of_a_smaller_training(texts: list[str], size: int) -> None:
    texts = [*texts, "aaaa abab cab"]
    special = ("<|a|>", "<|endoftext|>")
    largest = Tokenizer.train(texts, 400, special_tokens=special, min_frequency=1)
    size = min(size, largest.vocab_size)
    smaller = Tokenizer.train(texts, size, special_tokens=special, min_frequency=1)
    assert parts(first_tokens(largest, size)) == parts(smaller)


def test_real_words_at_every_size_of_a_sweep() -> None:
    texts = [story(40_000, seed=seed) for seed in range(3)]
    held_out = [story(5_000, seed=9)]
    found = sweep(texts, held_out, "cl100k", (300, 400, 600))
    assert [point.vocab_size for point in found.points] == [300, 400, 600]
    for point in found.points:
        alone = Tokenizer.train(texts, point.vocab_size, pattern="cl100k", special_tokens=())
        assert parts(first_tokens(found.tokenizer, point.vocab_size)) == parts(alone)
        assert point.bytes_per_token == compression(alone, held_out).bytes_per_token
    packed = [point.bytes_per_token for point in found.points]
    assert packed == sorted(packed)


def test_a_sweep_goes_as_far_as_the_text_gives() -> None:
    found = sweep(["low lower lowest low lower"], ["low"], "gpt2", (260, 512, 1024))
    reached = found.tokenizer.vocab_size
    assert 260 < reached < 512 and [point.vocab_size for point in found.points] == [260, reached]
    assert found.asked == 1024


@pytest.mark.parametrize("size", [256, 401])
def test_other_sizes_are_refused(size: int) -> None:
    tokenizer = Tokenizer.train([story(20_000)], 400)
    with pytest.raises(ConfigError, match=f"vocab_size={size} .* 257 to 400"):
        first_tokens(tokenizer, size)
