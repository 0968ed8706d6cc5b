"""Whole models: equal to the one to read, blind to the future and to other documents, equal with a cache."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, RMS, block, model_config, scrambled, some_tokens

from hornbook.base.errors import ConfigError
from hornbook.model import reference
from hornbook.model.cache import KVCache
from hornbook.model.config import HeadConfig, ModelConfig
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.part_config import MixtureConfig, RotaryConfig

every_config = pytest.mark.parametrize("config", list(CONFIGS.values()), ids=list(CONFIGS))

READABLE = {
    "plain": model_config(block({"qk_norm": RMS})),
    "grouped": model_config(block({"n_heads": 4, "n_kv_heads": 2, "head_dim": 6, "qk_norm": RMS})),
    "two bases, tied": model_config(
        block({"qk_norm": RMS}),
        block({"qk_norm": RMS, "position": RotaryConfig(theta=100.0)}),
        n_layers=3,
        head=HeadConfig(tied=True),
    ),
}


@pytest.mark.parametrize("config", list(READABLE.values()), ids=list(READABLE))
def test_decoder_is_the_reference(config: ModelConfig) -> None:
    model = scrambled(config)
    tokens = some_tokens(1, 9)[0]
    with torch.no_grad():
        wanted = reference.decoder(model.state_dict(), config, tokens)
        torch.testing.assert_close(model(tokens[None])[0], wanted, atol=1e-5, rtol=1e-5)


def has_experts(config: ModelConfig) -> bool:
    return any(isinstance(block.feed_forward, MixtureConfig) for block in config.pattern)


def precise(config: ModelConfig) -> CausalLM:
    """A scrambled model, in float64 where it has experts: they round otherwise beside other tokens."""
    model = scrambled(config)
    return model.double() if has_experts(config) else model


@every_config
def test_no_position_sees_a_later_token(config: ModelConfig) -> None:
    model, tokens = precise(config), some_tokens(2, 10)
    changed = tokens.clone()
    changed[:, 6:] = (tokens[:, 6:] + 1) % config.vocab_size
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 6:], after[:, 6:], atol=1e-3), "the change should be seen at all"


@every_config
def test_no_gradient_comes_from_the_future(config: ModelConfig) -> None:
    """Stricter than changing tokens: not the least dependence, whatever rounding would swallow."""
    model, tokens = scrambled(config), some_tokens(1, 8)
    vectors = model.embedding.tokens.weight[tokens].detach().requires_grad_()
    model.embedding.tokens = Lookup(vectors)
    model(tokens)[0, 4].sum().backward()
    assert vectors.grad is not None
    reached = vectors.grad[0].abs().sum(-1) > 0
    assert reached[4]
    assert not reached[5:].any()


class Lookup(torch.nn.Module):
    """An embedding that has its answer ready, so that each position's vector has its own gradient."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.vectors = vectors

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.vectors


@every_config
def test_no_document_sees_another(config: ModelConfig) -> None:
    model, tokens = precise(config), some_tokens(1, 10)
    mask = Mask(documents=torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1, 1]]))
    changed = tokens.clone()
    changed[:, :4] = (tokens[:, :4] + 1) % config.vocab_size
    before, after = model(tokens, mask), model(changed, mask)
    if has_experts(config):
        torch.testing.assert_close(before[:, 4:], after[:, 4:], atol=1e-6, rtol=0)
    else:
        assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.allclose(model(tokens)[:, 4:], model(changed)[:, 4:], atol=1e-3)


def test_a_window_limits_how_far_a_layer_looks() -> None:
    """Three positions with itself: two layers reach four back, so the token five back is out of sight."""
    model, tokens = scrambled(CONFIGS["windowed"]), some_tokens(1, 10)
    changed = tokens.clone()
    changed[:, 4] = (tokens[:, 4] + 1) % 31
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, 9], after[:, 9], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 8], after[:, 8], atol=1e-4)


@pytest.mark.parametrize("cached", [False, True])
def test_a_pattern_limits_where_a_layer_looks(cached: bool) -> None:
    """One layer, stride three: the last of ten positions sees itself, two before, and every third."""
    config = CONFIGS["strided"].model_copy(update={"n_layers": 1})
    model, tokens = scrambled(config), some_tokens(1, 10)
    reached = []
    for place in range(10):
        changed = tokens.clone()
        changed[:, place] = (tokens[:, place] + 1) % 31
        last = [
            model(row[:, 9:], cache=filled(model, row[:, :9])) if cached else model(row)[:, 9:]
            for row in (tokens, changed)
        ]
        if not torch.allclose(*last, atol=1e-4):
            reached.append(place)
    assert reached == [0, 3, 6, 7, 8, 9]


def filled(model: CausalLM, tokens: torch.Tensor) -> KVCache:
    """A cache that holds these tokens."""
    cache = model.make_cache(1)
    model(tokens, cache=cache)
    return cache


def test_a_document_in_a_packed_row_is_what_it_is_alone() -> None:
    """With rotary positions only distances count, so a later start in the row changes nothing."""
    model, tokens = scrambled(CONFIGS["rotary"]), some_tokens(1, 10)
    packed = model(tokens, Mask(documents=torch.tensor([[0] * 4 + [1] * 6])))
    torch.testing.assert_close(packed[:, 4:], model(tokens[:, 4:]), atol=1e-5, rtol=1e-5)


@every_config
@pytest.mark.parametrize("steps", [[10], [1] * 10, [4, 1, 1, 3, 1], [3, 7]], ids=str)
def test_cached_is_full(config: ModelConfig, steps: list[int]) -> None:
    model, tokens = scrambled(config), some_tokens(2, 10)
    cache = model.make_cache(2, 10)
    with torch.no_grad():
        pieces = [model(piece, cache=cache) for piece in tokens.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), model(tokens), atol=1e-5, rtol=1e-5)
    assert cache.length == cache.capacity == 10


def test_caches_do_not_know_each_other() -> None:
    model = scrambled(CONFIGS["grouped"])
    one, other = some_tokens(1, 6, seed=1), some_tokens(1, 6, seed=2)
    first, second = model.make_cache(1), model.make_cache(1)
    with torch.no_grad():
        for t in range(5):
            model(one[:, t : t + 1], cache=first)
            model(other[:, t : t + 1], cache=second)
        torch.testing.assert_close(model(one[:, 5:], cache=first), model(one)[:, 5:], atol=1e-5, rtol=1e-5)


def test_a_cache_is_as_small_as_its_heads() -> None:
    model = scrambled(CONFIGS["one shared head"])
    assert [tuple(kept.own.keys.shape) for kept in model.make_cache(3, 5).blocks] == [(3, 1, 5, 6)] * 2


def test_too_many_tokens_are_refused_with_the_numbers() -> None:
    model = scrambled(CONFIGS["rotary"])
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12"):
        model(some_tokens(1, 13))
    cache = model.make_cache(1, 4)
    model(some_tokens(1, 3), cache=cache)
    with pytest.raises(ConfigError, match="5 tokens, but the cache holds 4"):
        model(some_tokens(1, 2), cache=cache)


def test_dropout_acts_in_training_only() -> None:
    model = scrambled(model_config(block(dropout=0.5)))
    tokens = some_tokens(1, 8)
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(tokens), model(tokens))
