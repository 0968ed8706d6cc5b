"""Two streams: equal to the ones to read, and blind to what comes later in the order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model.small_encoders import POST_NORM, scrambled, stack
from model.small_models import LAYER, block, model_config, some_tokens
from model.small_permutations import BY_SEGMENT, PERMUTATIONS, PLAIN, PUBLISHED

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.model import permutation_reference as reference
from hornbook.model.config import EmbeddingConfig, ModelConfig, StreamMixConfig, ZeroOutputInit
from hornbook.model.encoder_config import MaskedLMConfig
from hornbook.model.encoders import MaskedLM
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.part_config import RelativeContentConfig
from hornbook.model.permutation import PermutationLM
from hornbook.model.permutation_config import PermutationLMConfig
from hornbook.model.relative_attention import by_distance
from hornbook.model.shapes import build_model

every_config = pytest.mark.parametrize("config", list(PERMUTATIONS.values()), ids=list(PERMUTATIONS))

ORDER = torch.tensor([[3, 0, 5, 1, 4, 2, 7, 6], [2, 0, 0, 1, 3, 1, 0, 4]])
"""A permutation, and an order in which some share a place."""


def some_segments(batch: int, seq: int) -> torch.Tensor:
    return some_tokens(batch, seq, 3, seed=5)


def segments_for(config: PermutationLMConfig, batch: int, seq: int) -> torch.Tensor | None:
    """Segments for a model that compares them."""
    return some_segments(batch, seq) if config.compares_segments else None


def test_both_streams_are_the_reference() -> None:
    config = PERMUTATIONS["as published"]
    model, tokens, segments = scrambled(PermutationLM(config)), some_tokens(2, 8), some_segments(2, 8)
    weights = model.state_dict()
    with torch.no_grad():
        query = model(tokens, segments=segments, order=ORDER)
        content = model(tokens, Mask(causal=False, order=ORDER), segments=segments)
        for row in range(2):
            wanted = reference.permutation_lm(weights, config, tokens[row], segments[row], ORDER[row])
            for ours, theirs in zip((query[row], content[row]), wanted, strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_without_an_order_every_position_sees_all() -> None:
    """Which is what the content stream does where all share one place."""
    config = PERMUTATIONS["as published"]
    model, tokens, segments = scrambled(PermutationLM(config)), some_tokens(1, 7), some_segments(1, 7)
    with torch.no_grad():
        _, wanted = reference.permutation_lm(
            model.state_dict(), config, tokens[0], segments[0], torch.zeros(7, dtype=torch.long)
        )
        torch.testing.assert_close(model(tokens, segments=segments)[0], wanted, atol=1e-5, rtol=1e-5)


def what_it_depends_on(model: PermutationLM, tokens: torch.Tensor, **given: Any) -> torch.Tensor:
    """For each row and position, whether the gradient of its logits reaches each token's embedding."""
    kept: list[torch.Tensor] = []

    def keep(_module: Any, _args: Any, embedded: torch.Tensor) -> torch.Tensor:
        kept.append(embedded.detach().requires_grad_())
        return kept[0]

    with torch.enable_grad():
        handle = model.embedding.register_forward_hook(keep)
        logits = model(tokens, **given)
        handle.remove()
        direction = torch.randn(logits.size(-1), generator=torch.Generator().manual_seed(1))
        rows = [
            torch.autograd.grad((logits[:, at] @ direction).sum(), kept[0], retain_graph=True)[0]
            .abs()
            .sum(-1)
            for at in range(tokens.size(1))
        ]
    return torch.stack(rows, dim=1) > 0


@every_config
def test_no_prediction_depends_on_its_own_token_or_on_a_later_one(config: PermutationLMConfig) -> None:
    """And it does depend on every earlier one, unless a sparse pattern hides it."""
    model, tokens = scrambled(PermutationLM(config)), some_tokens(2, 8)
    segments = segments_for(config, 2, 8)
    place, own = ORDER[:, None, :], ORDER[:, :, None]
    reached = what_it_depends_on(model, tokens, segments=segments, order=ORDER)
    assert not (reached & (place >= own)).any()
    content = what_it_depends_on(model, tokens, mask=Mask(causal=False, order=ORDER), segments=segments)
    assert not (content & (place > own)).any()
    if config.pattern[0].attention.sparse is None:
        assert torch.equal(reached, place < own)
        assert torch.equal(content, place <= own)


@every_config
def test_a_changed_token_moves_no_logits_up_to_its_place(config: PermutationLMConfig) -> None:
    model, tokens = scrambled(PermutationLM(config)), some_tokens(2, 8)
    segments = segments_for(config, 2, 8)
    with torch.no_grad():
        before = model(tokens, segments=segments, order=ORDER)
        for at in range(8):
            changed = tokens.clone()
            changed[:, at] = (tokens[:, at] + 1) % 31
            after = model(changed, segments=segments, order=ORDER)
            place = ORDER[:, at : at + 1]
            blind = place >= ORDER
            assert torch.equal(before[blind], after[blind])
        assert not torch.allclose(before, model((tokens + 1) % 31, segments=segments, order=ORDER), atol=1e-3)


def test_the_first_in_the_order_knows_its_place_in_nothing() -> None:
    """It sees nothing, so all that there is to say is the same wherever it stands."""
    model, tokens = scrambled(PermutationLM(PERMUTATIONS["as published"])), some_tokens(2, 8)
    with torch.no_grad():
        logits = model(tokens, order=ORDER)
    first = logits[ORDER == 0]
    torch.testing.assert_close(first, first[:1].expand_as(first), atol=1e-6, rtol=0.0)
    assert not torch.allclose(logits[0, 2], logits[0, 4], atol=1e-3)


@every_config
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_never_moves_logits(config: PermutationLMConfig, side: str) -> None:
    model, tokens, segments = scrambled(PermutationLM(config)), some_tokens(2, 8), segments_for(config, 2, 8)
    real = torch.ones(2, 8, dtype=torch.bool)
    real[1, slice(0, 3) if side == "left" else slice(5, 8)] = False
    mask, changed = Mask(causal=False, padding=real), torch.where(real, tokens, (tokens + 3) % 31)
    text = (slice(1, 2), slice(3, 8) if side == "left" else slice(0, 5))
    alone = None if segments is None else segments[text]
    for order, own in ((None, None), (ORDER, ORDER[text])):
        with torch.no_grad():
            before = model(tokens, mask, segments=segments, order=order)
            after = model(changed, mask, segments=segments, order=order)
            assert torch.equal(before[real], after[real])
            if config.pattern[0].attention.sparse is None or side == "right":
                short = model(tokens[text], segments=alone, order=own)
                torch.testing.assert_close(before[text], short, atol=1e-5, rtol=1e-5)


@every_config
def test_no_document_sees_another(config: PermutationLMConfig) -> None:
    model, tokens, segments = scrambled(PermutationLM(config)), some_tokens(2, 8), segments_for(config, 2, 8)
    mask = Mask(causal=False, documents=torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]] * 2))
    changed = tokens.clone()
    changed[:, 4:] = (tokens[:, 4:] + 1) % 31
    for order in (None, ORDER):
        with torch.no_grad():
            before = model(tokens, mask, segments=segments, order=order)
            after = model(changed, mask, segments=segments, order=order)
            assert torch.equal(before[:, :4], after[:, :4])
            assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)
            alone = model(
                tokens[:, :4],
                segments=None if segments is None else segments[:, :4],
                order=None if order is None else order[:, :4],
            )
            torch.testing.assert_close(before[:, :4], alone, atol=1e-5, rtol=1e-5)


def test_segments_are_compared_and_not_told_apart() -> None:
    model, tokens = scrambled(PermutationLM(PERMUTATIONS["as published"])), some_tokens(2, 8)
    segments = some_segments(2, 8)
    with torch.no_grad():
        logits = model(tokens, segments=segments, order=ORDER)
        torch.testing.assert_close(logits, model(tokens, segments=(segments + 1) % 3, order=ORDER))
        assert not torch.allclose(logits, model(tokens, order=ORDER), atol=1e-3)
        one = torch.full_like(tokens, 2)
        torch.testing.assert_close(model(tokens, segments=one), model(tokens), atol=1e-5, rtol=1e-5)


def test_segments_count_in_other_shapes_too() -> None:
    by_segment, tokens = block({"position": BY_SEGMENT}), some_tokens(2, 8)
    masked = scrambled(MaskedLM(MaskedLMConfig(**stack(by_segment, embedding=PLAIN))))
    decoder = scrambled(CausalLM(model_config(by_segment)))
    for model in (masked, decoder):
        assert not torch.allclose(model(tokens), model(tokens, segments=some_segments(2, 8)), atol=1e-3)
    cache = decoder.make_cache(2)
    decoder(tokens[:, :4], cache=cache, segments=some_segments(2, 4))
    with pytest.raises(ConfigError, match="a cache keeps no segments"):
        decoder(tokens[:, 4:], cache=cache, segments=some_segments(2, 4))
    unaware = scrambled(CausalLM(model_config(block({"position": RelativeContentConfig()}))))
    with pytest.raises(ConfigError, match="the model has none"):
        unaware(tokens, segments=some_segments(2, 8))


def test_scores_of_distances_are_laid_out_by_key() -> None:
    """Three queries at the end of five keys: the score of each says how far back the key is."""
    distances = torch.arange(5, -3, -1).expand(1, 1, 3, 8)
    assert by_distance(distances.float(), 5)[0, 0].tolist() == [
        [2, 1, 0, -1, -2],
        [3, 2, 1, 0, -1],
        [4, 3, 2, 1, 0],
    ]


@every_config
@pytest.mark.parametrize("start", ["scaled_normal", "zero_output"])
def test_a_seed_says_all_weights_and_all_of_them_learn(config: PermutationLMConfig, start: str) -> None:
    if start == "zero_output":
        config = config.model_copy(update={"init": ZeroOutputInit()})
    model, same, other = (build_model(config, seed) for seed in (1, 1, 2))
    pairs = list(zip(model.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert not all(torch.equal(one, three) for one, _, three in pairs)
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert 0.01 < first["query.weight"].std() < 0.03
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(4):
        optimizer.zero_grad()
        given = {"segments": segments_for(config, 2, 8), "order": ORDER}
        model.eval()(some_tokens(2, 8, seed=seed), **given)[..., 0].sum().backward()
        optimizer.step()
    stuck = [name for name, weight in model.named_parameters() if torch.equal(weight, first[name])]
    # A bias of keys adds the same to all scores of a query, which changes no share.
    assert [name for name in stuck if not name.endswith(".k.bias")] == []


@every_config
def test_both_streams_are_the_same_in_bfloat16_within_its_bound(config: PermutationLMConfig) -> None:
    model, tokens, segments = scrambled(PermutationLM(config)), some_tokens(2, 8), segments_for(config, 2, 8)
    for order in (None, ORDER):
        with torch.no_grad():
            whole = model(tokens, segments=segments, order=order)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = model(tokens, segments=segments, order=order).float()
        assert (rounded - whole).square().mean() < (0.06 * whole.std()) ** 2


def test_dropout_falls_on_both_streams() -> None:
    """The first in the order sees nothing but where its own stream starts."""
    dropped = EmbeddingConfig(dropout=0.5)
    config = PERMUTATIONS["as published"].model_copy(update={"embedding": dropped})
    model, tokens = scrambled(PermutationLM(config)), some_tokens(1, 8)
    torch.manual_seed(0)
    one, two = (model.train()(tokens, order=ORDER[:1]) for _ in range(2))
    assert (ORDER[0].argsort()[:2]).tolist() == [1, 3]
    assert not torch.allclose(one[0, 1], two[0, 1], atol=1e-3)
    assert not torch.allclose(one[0, 3], two[0, 3], atol=1e-3)


@every_config
def test_a_config_survives_json_and_builds_its_shape(config: PermutationLMConfig) -> None:
    assert parse(PermutationLMConfig, to_dict(config)) == config
    assert type(build_model(config)) is PermutationLM


def test_two_orders_and_another_direction_are_refused() -> None:
    model, tokens = PermutationLM(PERMUTATIONS["as published"]), some_tokens(2, 8)
    with pytest.raises(ConfigError, match="the mask has an order of its own"):
        model(tokens, Mask(causal=False, order=ORDER), order=ORDER)
    with pytest.raises(ConfigError, match="causal=False"):
        model(tokens, Mask(), order=ORDER)
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12"):
        model(some_tokens(2, 13), order=some_tokens(2, 13))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: PermutationLMConfig(**stack(POST_NORM, embedding=PLAIN)), "relative_content"),
        (
            lambda: PermutationLMConfig(**stack(PUBLISHED, embedding=EmbeddingConfig(scale=2.0))),
            "nothing but tokens is embedded",
        ),
        (
            lambda: PermutationLMConfig(**stack(PUBLISHED, embedding=EmbeddingConfig(norm=LAYER))),
            "nothing but tokens is embedded",
        ),
        (
            lambda: PermutationLMConfig(
                **stack(PUBLISHED.model_copy(update={"stream_mix": StreamMixConfig()}), embedding=PLAIN)
            ),
            "stream_mix must be null",
        ),
        (lambda: block({"position": BY_SEGMENT, "softcap": 2.0}), "softcap must be null"),
        (lambda: MaskedLMConfig(**stack(block({"position": BY_SEGMENT}))), "n_segments must be null"),
        (
            lambda: ModelConfig(
                **stack(block({"position": BY_SEGMENT, "head_dim": 4}), embedding=PLAIN, d_model=15)
            ),
            "d_model 15 is odd",
        ),
    ],
)
def test_impossible_models_are_refused(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()
