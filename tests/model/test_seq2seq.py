"""Encoder-decoders: blind to the future, to padding and to other documents, and equal with a cache.

That they are the one to read is shown in `test_seq2seq_reference.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model.small_encoders import POST_NORM, scrambled, stack
from model.small_models import block, some_tokens
from model.small_seq2seq import SEQ2SEQ, by_distance, reading, seq2seq
from model.test_decoder import Lookup

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.model.config import (
    BlockConfig,
    EmbeddingConfig,
    ModelConfig,
    ParallelWiring,
    ZeroOutputInit,
)
from hornbook.model.mask import Mask
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    RelativeBiasConfig,
    RotaryConfig,
    StridedConfig,
)
from hornbook.model.position import relative_bucket
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shapes import build_model

every_config = pytest.mark.parametrize("config", list(SEQ2SEQ.values()), ids=list(SEQ2SEQ))


def some_texts(
    config: Seq2SeqConfig, n_source: int, n_target: int, batch: int = 2, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources, and the beginnings of their targets."""
    return (
        some_tokens(batch, n_source, config.encoder.vocab_size, seed),
        some_tokens(batch, n_target, config.decoder.vocab_size, seed + 1),
    )


def looked_up(side: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """The vectors of a side's tokens, each of which gets a gradient of its own from now on."""
    embedding: Any = side.embedding
    vectors = embedding.tokens.weight[tokens].detach().requires_grad_()
    embedding.tokens = Lookup(vectors)
    return vectors


@every_config
def test_no_gradient_comes_from_the_future_or_from_padding(config: Seq2SeqConfig) -> None:
    """Not the least dependence, whatever rounding would swallow; every real token of the source counts."""
    model = scrambled(Seq2SeqLM(config))
    source, target = some_texts(config, 9, 8, batch=1)
    real = torch.tensor([[True] * 6 + [False] * 3])
    vectors = looked_up(model.encoder, source), looked_up(model.decoder, target)
    logits = model(source, target, Mask(causal=False, padding=real))
    for place in range(8):
        gradients = torch.autograd.grad(logits[0, place].square().sum(), vectors, retain_graph=True)
        of_source, of_target = (gradient[0].abs().sum(-1) > 0 for gradient in gradients)
        assert torch.equal(of_source, real[0])
        assert of_target[place]
        assert not of_target[place + 1 :].any()


@every_config
def test_padding_of_source_or_target_never_moves_logits(config: Seq2SeqConfig) -> None:
    model = scrambled(Seq2SeqLM(config))
    source, target = some_texts(config, 9, 8)
    real_source, real_target = (torch.ones_like(each, dtype=torch.bool) for each in (source, target))
    real_source[1, 6:], real_target[1, 5:] = False, False
    masks = Mask(causal=False, padding=real_source), Mask(padding=real_target)
    changed = (
        torch.where(real_source, source, (source + 1) % 23),
        torch.where(real_target, target, target // 2),
    )
    before, after = model(source, target, *masks)[real_target], model(*changed, *masks)[real_target]
    assert torch.equal(before, after)
    torch.testing.assert_close(before[8:], model(source[1:, :6], target[1:, :5])[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(source, target)[1], model(*changed)[1], atol=1e-3), (
        "without a mask it should"
    )


@every_config
def test_a_packed_document_is_what_it_is_alone(config: Seq2SeqConfig) -> None:
    """On both sides, whatever the others are, and whichever stands first there."""
    model = scrambled(Seq2SeqLM(config)).double()
    source, target = some_texts(config, 9, 8)
    masks = (
        Mask(causal=False, documents=torch.tensor([[1, 1, 1, 1, 2, 2, 2, 0, 0], [0] * 9])),
        Mask(documents=torch.tensor([[2, 2, 2, 1, 1, 1, 1, 1], [0] * 8])),
    )
    of_source = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 1], list(range(9))])
    of_target = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4], list(range(8))])
    packed = model(source, target, *masks, of_source, of_target)
    for row, parts in (
        (0, (slice(4, 7), slice(0, 3))),
        (0, (slice(0, 4), slice(3, 8))),
        (1, (slice(9), slice(8))),
    ):
        alone = model(source[row, None, parts[0]], target[row, None, parts[1]])
        torch.testing.assert_close(packed[row, parts[1]], alone[0], atol=1e-5, rtol=1e-5)
    changed = source.clone()
    changed[0, :4] = (source[0, :4] + 1) % 23
    changed[0, 7:] = (source[0, 7:] + 1) % 23
    after = model(changed, target, *masks, of_source, of_target)
    assert torch.equal(packed[0, :3], after[0, :3])
    assert not torch.allclose(packed[0, 3:], after[0, 3:], atol=1e-3)


@every_config
@pytest.mark.parametrize("steps", [[10], [1] * 10, [4, 1, 1, 3, 1], [3, 7]], ids=str)
def test_cached_is_full(config: Seq2SeqConfig, steps: list[int]) -> None:
    model = scrambled(Seq2SeqLM(config))
    source, target = some_texts(config, 8, 10)
    mask = Mask(causal=False, padding=torch.tensor([[True] * 8, [True] * 3 + [False] * 5]))
    cache = model.make_cache(2, 10)
    with torch.no_grad():
        memory = model.encode(source, mask)
        pieces = [model.decode(piece, memory, cache=cache) for piece in target.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), model(source, target, mask), atol=1e-5, rtol=1e-5)
    assert cache.length == cache.capacity == 10


def test_the_source_is_projected_once_for_a_cache() -> None:
    model = scrambled(Seq2SeqLM(SEQ2SEQ["as first published"]))
    source, target = some_texts(SEQ2SEQ["as first published"], 8, 4)
    memory, cache, n_calls = model.encode(source), model.make_cache(2), 0

    def count(*_: object) -> None:
        nonlocal n_calls
        n_calls += 1

    for each in model.decoder.layers:
        assert each.cross_attention is not None
        each.cross_attention.layer.k.register_forward_hook(count)
    for piece in target.split(1, dim=1):
        model.decode(piece, memory, cache=cache)
    assert n_calls == len(model.decoder.layers)


def test_a_cache_begun_with_another_source_is_refused() -> None:
    model = scrambled(Seq2SeqLM(SEQ2SEQ["by distance"]))
    source, target = some_texts(SEQ2SEQ["by distance"], 8, 4)
    memory, cache = model.encode(source), model.make_cache(2)
    model.decode(target[:, :2], memory, cache=cache)
    with pytest.raises(ConfigError, match="begun with another source; make a new one with make_cache"):
        model.decode(target[:, 2:3], model.encode((source + 1) % 31), cache=cache)


def test_documents_of_one_side_alone_are_refused() -> None:
    model = scrambled(Seq2SeqLM(SEQ2SEQ["by distance"]))
    source, target = some_texts(SEQ2SEQ["by distance"], 4, 4)
    documents = torch.tensor([[0, 0, 1, 1]] * 2)
    for masks in (
        (Mask(causal=False, documents=documents), Mask()),
        (Mask(causal=False), Mask(documents=documents)),
    ):
        with pytest.raises(ConfigError, match="number those of both, or of neither"):
            model(source, target, *masks)


@every_config
def test_what_a_side_cannot_do_is_refused(config: Seq2SeqConfig) -> None:
    model = Seq2SeqLM(config, seed=0)
    source, target = some_texts(config, 12, 13)
    assert model.max_seq_len == 12
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12"):
        model(source, target)
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12"):
        model(some_tokens(2, 13, 23), target[:, :4])
    with pytest.raises(ConfigError, match="sees both ways"):
        model.encode(source, Mask(causal=True))
    with pytest.raises(ConfigError, match="give it the memory that encode returns"):
        model.decoder(target[:, :4])


@every_config
@pytest.mark.parametrize("start", ["scaled_normal", "zero_output"])
def test_a_seed_says_all_weights_and_all_of_them_learn(config: Seq2SeqConfig, start: str) -> None:
    """A head that starts at zero is the only thing that moves first; everything else must move then."""
    if start == "zero_output":
        sides = {side: getattr(config, side) for side in ("encoder", "decoder")}
        config = config.model_copy(
            update={name: side.model_copy(update={"init": ZeroOutputInit()}) for name, side in sides.items()}
        )
    model, same, other = (Seq2SeqLM(config, seed) for seed in (1, 1, 2))
    pairs = list(zip(model.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert not all(torch.equal(one, three) for one, _, three in pairs)
    queries = [side.layers[0].attention.layer.q.weight for side in (model.encoder, model.decoder)]
    assert queries[0].shape != queries[1].shape or not torch.equal(*queries)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for seed in range(4):
        optimizer.zero_grad()
        model.eval()(*some_texts(config, 12, 12, seed=2 * seed))[..., 0].sum().backward()
        optimizer.step()
    stuck = [name for name, weight in model.named_parameters() if torch.equal(weight, first[name])]
    # A bias of keys adds the same to all scores of a query, which changes no share.
    assert [name for name in stuck if not name.endswith(".k.bias")] == []


@every_config
def test_a_shared_table_is_one_parameter(config: Seq2SeqConfig) -> None:
    model = Seq2SeqLM(config)
    tables = [model.encoder.embedding.tokens.weight, model.decoder.embedding.tokens.weight]
    assert (tables[0] is tables[1]) is config.shared_embedding
    assert (model.decoder.head.weight is tables[1]) is config.decoder.head.tied
    named = [name for name, _ in model.named_parameters() if "tokens" in name or "head.weight" in name]
    expected = ["encoder.embedding.tokens.weight"]
    expected += [] if config.shared_embedding else ["decoder.embedding.tokens.weight"]
    assert named == expected + ([] if config.decoder.head.tied else ["decoder.head.weight"])


@every_config
def test_a_config_survives_json_and_builds_its_shape(config: Seq2SeqConfig) -> None:
    assert parse(Seq2SeqConfig, to_dict(config)) == config
    model = build_model(config)
    assert type(model) is Seq2SeqLM
    assert model.start_token == config.start_token


DROPPED: dict[str, Any] = {
    "branches": {"dropout": 0.5},
    "attention": {"attention": AttentionConfig(n_heads=2, dropout=0.5)},
    "cross attention": {"cross_attention": AttentionConfig(n_heads=2, dropout=0.5)},
    "inside the feed-forward": {"feed_forward": FeedForwardConfig(d_ff=24, dropout=0.5)},
    "inside a gated one": {"feed_forward": FeedForwardConfig(d_ff=24, gated=True, dropout=0.5)},
    "embeddings": {},
}


@pytest.mark.parametrize("where", DROPPED)
def test_dropout_acts_in_training_only(where: str) -> None:
    kind = reading(block()).model_copy(update=DROPPED[where])
    embedding = EmbeddingConfig(dropout=0.0 if DROPPED[where] else 0.5)
    config = seq2seq(stack(block(), embedding=EmbeddingConfig()), stack(kind, embedding=embedding))
    model = scrambled(Seq2SeqLM(config))
    texts = some_texts(config, 8, 8)
    assert torch.equal(model(*texts), model(*texts))
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(*texts), model(*texts))


# Distances


def bucket(distance: int, n_buckets: int, max_distance: int, both_ways: bool) -> int:
    """The bucket of a distance in words: one each at first, then each reaches further than the one before.

    The far ones divide the way from there to `max_distance` so that each ends at the same multiple of where
    it begins, and the last one has no end. Keys ahead have buckets of their own, or count as being here.
    """
    first = 0
    if both_ways:
        n_buckets //= 2
        first = n_buckets if distance < 0 else 0
    distance = abs(distance) if both_ways else max(distance, 0)
    near = n_buckets // 2
    place, growth = min(distance, near), (max_distance / near) ** (1 / (n_buckets - near))
    end = near * growth
    while distance >= end * (1 + 1e-9) and near <= place < n_buckets - 1:
        place, end = place + 1, end * growth
    return first + place


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 130), (8, 20), (10, 13), (6, 1000), (4, 3)])
def test_distances_fall_into_the_buckets_of_the_definition(
    n_buckets: int, max_distance: int, both_ways: bool
) -> None:
    distances = range(-1200, 1201)
    found = relative_bucket(torch.tensor(distances), n_buckets, max_distance, both_ways).tolist()
    assert found == [bucket(each, n_buckets, max_distance, both_ways) for each in distances]
    # No key is ahead and no distance away: that bucket is never used.
    assert set(range(n_buckets)) - set(found) == ({n_buckets // 2} if both_ways else set())


# What is refused


ATTENDING = AttentionConfig(n_heads=2)


def alone(kind: BlockConfig) -> ModelConfig:
    return ModelConfig(vocab_size=31, d_model=16, n_layers=1, max_seq_len=12, pattern=(kind,))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: seq2seq(stack(d_model=12), stack(reading(POST_NORM))),
            "encoder.d_model 12 must be decoder.d_model 16",
        ),
        (
            lambda: seq2seq(stack(vocab_size=30), stack(reading(POST_NORM))),
            "30 must be decoder.vocab_size 31",
        ),
        (lambda: seq2seq(stack(), stack(reading(POST_NORM)), start_token=31), "start_token 31 is none of"),
        (
            lambda: seq2seq(stack(reading(POST_NORM)), stack(reading(POST_NORM))),
            "an encoder has no memory to read",
        ),
        (lambda: seq2seq(stack(), stack()), "no block of the decoder reads the encoder"),
        (lambda: alone(reading(block())), "a decoder alone has none"),
        (lambda: stack_of(reading(block(), n_heads=3)), "n_heads 3 does not divide"),
        (lambda: block(cross_attention=ATTENDING, wiring=ParallelWiring()), "wiring must be sequential"),
        *(
            (lambda said=said: block(cross_attention=AttentionConfig(n_heads=2, **said)), "must be null")
            for said in (
                {"position": RotaryConfig()},
                {"window": 3},
                {"sparse": StridedConfig(stride=2)},
            )
        ),
        (lambda: stack_of(by_distance(False), by_distance(True)), "share one bias of positions"),
        (lambda: RelativeBiasConfig(n_buckets=8, max_distance=4), "max_distance must be more: not 4"),
        (lambda: RelativeBiasConfig(n_buckets=16, max_distance=4, both_ways=True), "more: not 4"),
        (lambda: RelativeBiasConfig(n_buckets=7), "multiple of 2"),
    ],
)
def test_impossible_encoder_decoders_are_refused(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def stack_of(*pattern: BlockConfig) -> Seq2SeqConfig:
    """An encoder-decoder whose decoder has these blocks."""
    return seq2seq(stack(), stack(*pattern))
