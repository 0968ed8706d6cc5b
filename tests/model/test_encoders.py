"""Encoders: equal to the one to read, open to both sides, blind to padding and to other documents."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from model.small_encoders import CLASSIFIERS, ENCODERS, MASKED, POST_NORM, ROTARY, scrambled, stack
from model.small_models import RMS, block, model_config, some_tokens

from hornbook.base.config import parse, to_dict
from hornbook.base.errors import ConfigError
from hornbook.model import encoder_reference as reference
from hornbook.model.config import EmbeddingConfig, ModelConfig, StackConfig, ZeroOutputInit
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM, pool
from hornbook.model.mask import Mask
from hornbook.model.models import CausalLM
from hornbook.model.shapes import build_model

CROSSED = stack(POST_NORM.model_copy(update={"cross_attention": POST_NORM.attention}))

LOCAL = MaskedLMConfig(
    **stack(block({"window": 3}), block(), n_layers=3, embedding=EmbeddingConfig(), final_norm=RMS)
)
"""Two of three layers see two positions back and two ahead."""
ALL_MASKED = MASKED | {"local and global": LOCAL}
ALL_ENCODERS: dict[str, StackConfig] = ENCODERS | {"masked, local and global": LOCAL}

every_masked = pytest.mark.parametrize("config", list(ALL_MASKED.values()), ids=list(ALL_MASKED))
every_classifier = pytest.mark.parametrize("config", list(CLASSIFIERS.values()), ids=list(CLASSIFIERS))
every_encoder = pytest.mark.parametrize("config", list(ALL_ENCODERS.values()), ids=list(ALL_ENCODERS))


def open_mask(config: StackConfig, **conditions: Any) -> Mask:
    """A mask in the direction of a model."""
    return Mask(causal=getattr(config, "causal", False), **conditions)


def test_encoders_are_the_reference() -> None:
    masked, classifier = (
        scrambled(MaskedLM(MASKED["as published"])),
        scrambled(Classifier(CLASSIFIERS["as published"])),
    )
    tokens, segments = some_tokens(1, 9)[0], torch.tensor([0] * 4 + [1] * 5)
    with torch.no_grad():
        for model, head in ((masked, reference.masked_lm), (classifier, reference.classifier)):
            weights = model.state_dict()
            features = reference.encoder(weights, MASKED["as published"], tokens, segments)
            ours = model(tokens[None], segments=segments[None])[0]
            torch.testing.assert_close(ours, head(weights, features), atol=1e-5, rtol=1e-5)


@every_masked
def test_every_position_sees_before_and_after(config: MaskedLMConfig) -> None:
    model, tokens = scrambled(MaskedLM(config)), some_tokens(1, 8)
    for changed_at, seen_at in ((7, 1), (0, 6)):
        changed = tokens.clone()
        changed[:, changed_at] = (tokens[:, changed_at] + 1) % 31
        assert not torch.allclose(model(tokens)[:, seen_at], model(changed)[:, seen_at], atol=1e-3)


def test_a_window_is_as_wide_ahead_as_back() -> None:
    """Two layers of window 3 carry what stands at a position four places, and no further."""
    config = MaskedLMConfig(**stack(block({"window": 3}), embedding=EmbeddingConfig(), final_norm=RMS))
    model, tokens = scrambled(MaskedLM(config)), some_tokens(1, 12)
    changed = tokens.clone()
    changed[:, 6] = (tokens[:, 6] + 1) % 31
    moved = (model(tokens) != model(changed)).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 10]


@every_encoder
def test_padding_never_moves_logits(config: StackConfig) -> None:
    model, tokens = scrambled(build_model(config)), some_tokens(2, 10)
    real = torch.ones(2, 10, dtype=torch.bool)
    real[1, 6:] = False
    changed = torch.where(real, tokens, (tokens + 3) % 31)
    mask = open_mask(config, padding=real)
    before, after = model(tokens, mask), model(changed, mask)
    alone = model(tokens[1:, :6])
    if isinstance(config, MaskedLMConfig):
        before, after, alone = before[real], after[real], alone[0]
        torch.testing.assert_close(before[10:], alone, atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(before[1:], alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(before, after)
    assert not torch.allclose(model(tokens)[1], model(changed)[1], atol=1e-3), "without a mask it should"


@every_encoder
def test_no_document_sees_another(config: StackConfig) -> None:
    model, tokens = scrambled(build_model(config)), some_tokens(1, 10)
    mask = open_mask(config, documents=torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]]))
    changed = tokens.clone()
    changed[:, :4] = (tokens[:, :4] + 1) % 31
    changed[:, 7:] = (tokens[:, 7:] + 1) % 31
    before, after = model.features(tokens, mask), model.features(changed, mask)
    assert torch.equal(before[:, 4:7], after[:, 4:7])
    assert not torch.allclose(before[:, :4], after[:, :4], atol=1e-3)
    assert not torch.allclose(model.features(tokens)[:, 4:7], model.features(changed)[:, 4:7], atol=1e-3)
    if isinstance(model, MaskedLM):
        assert torch.equal(model(tokens, mask)[:, 4:7], model(changed, mask)[:, 4:7])


@every_masked
def test_a_document_in_a_packed_row_is_what_it_is_alone(config: MaskedLMConfig) -> None:
    model, tokens = scrambled(MaskedLM(config)), some_tokens(1, 10)
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5]])
    mask = Mask(causal=False, documents=torch.tensor([[0] * 4 + [1] * 6]))
    packed = model(tokens, mask, positions)
    torch.testing.assert_close(packed[:, 4:], model(tokens[:, 4:]), atol=1e-5, rtol=1e-5)


def test_pooling() -> None:
    x = torch.arange(12.0).reshape(2, 3, 2)
    real = torch.tensor([[True, True, False], [False, True, True]])
    assert pool(x, "first", None).tolist() == [[0, 1], [6, 7]]
    assert pool(x, "last", None).tolist() == [[4, 5], [10, 11]]
    assert pool(x, "mean", None).tolist() == [[2, 3], [8, 9]]
    assert pool(x, "first", real).tolist() == [[0, 1], [8, 9]]
    assert pool(x, "last", real).tolist() == [[2, 3], [10, 11]]
    assert pool(x, "mean", real).tolist() == [[1, 2], [9, 10]]


def test_a_head_without_bias_is_a_matrix_over_the_last_real_token() -> None:
    config = CLASSIFIERS["causal, last"]
    model, tokens = scrambled(Classifier(config)), some_tokens(2, 8)
    mask = Mask(padding=torch.arange(8) < torch.tensor([[8], [3]]))
    ends = model.features(tokens, mask)[[0, 1], [7, 2]]
    assert model.head.bias is None
    torch.testing.assert_close(model(tokens, mask), ends @ model.head.weight.T)


def test_segments_count_and_none_is_the_first() -> None:
    model, tokens = scrambled(MaskedLM(MASKED["as published"])), some_tokens(2, 6)
    zeros = torch.zeros_like(tokens)
    torch.testing.assert_close(model(tokens), model(tokens, segments=zeros))
    assert not torch.allclose(model(tokens), model(tokens, segments=zeros + 1), atol=1e-3)
    with pytest.raises(ConfigError, match="the model has none"):
        scrambled(MaskedLM(MASKED["rotary"]))(tokens, segments=zeros)
    decoder = scrambled(CausalLM(model_config(embedding=EmbeddingConfig(n_segments=2))))
    assert not torch.allclose(decoder(tokens), decoder(tokens, segments=zeros + 1), atol=1e-3)


@every_encoder
def test_a_mask_of_the_other_direction_is_refused(config: StackConfig) -> None:
    wrong = not getattr(config, "causal", False)
    with pytest.raises(ConfigError, match=f"causal={not wrong}"):
        build_model(config)(some_tokens(1, 4), Mask(causal=wrong))


@every_classifier
def test_a_classifier_takes_one_document_a_row(config: ClassifierConfig) -> None:
    mask = open_mask(config, documents=torch.tensor([[0, 0, 1, 1]]))
    with pytest.raises(ConfigError, match="pad rows, do not pack them"):
        Classifier(config)(some_tokens(1, 4), mask)


def test_too_many_tokens_are_refused() -> None:
    with pytest.raises(ConfigError, match="13 tokens, but the model takes at most 12"):
        MaskedLM(MASKED["rotary"])(some_tokens(1, 13))


@every_encoder
def test_a_config_survives_json_and_builds_its_shape(config: StackConfig) -> None:
    assert parse(type(config), to_dict(config)) == config
    shape = MaskedLM if isinstance(config, MaskedLMConfig) else Classifier
    assert type(build_model(config)) is shape
    assert type(build_model(model_config())) is CausalLM


@every_encoder
@pytest.mark.parametrize("start", ["scaled_normal", "zero_output"])
def test_a_seed_says_all_weights_and_all_of_them_learn(config: StackConfig, start: str) -> None:
    """A head that starts at zero is the only thing that moves first; everything else must move then."""
    if start == "zero_output":
        config = config.model_copy(update={"init": ZeroOutputInit()})
    model, same, other = (build_model(config, seed) for seed in (1, 1, 2))
    pairs = list(zip(model.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert not all(torch.equal(one, three) for one, _, three in pairs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for seed in range(4):
        segments = None if model.embedding.segments is None else some_tokens(4, 12, 2, seed)
        optimizer.zero_grad()
        model.eval()(some_tokens(4, 12, seed=seed), segments=segments)[..., 0].sum().backward()
        optimizer.step()
    stuck = [name for name, weight in model.named_parameters() if torch.equal(weight, first[name])]
    # A bias of keys adds the same to all scores of a query, which changes no share.
    assert [name for name in stuck if not name.endswith(".k.bias")] == []


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ClassifierConfig(**ROTARY, n_classes=2, causal=True), "pooling must be last or mean"),
        (lambda: ClassifierConfig(**stack(), n_classes=3, class_names=("a", "b")), "2 class_names for 3"),
        (lambda: ClassifierConfig(**CROSSED, n_classes=2), "cross attention reads another text"),
        (lambda: MaskedLMConfig(**CROSSED), "cross attention reads another text"),
    ],
)
def test_impossible_encoders_are_refused(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def test_a_decoder_of_old_loads() -> None:
    """A saved configuration without what came later is read as it was."""
    config = model_config()
    saved = to_dict(config)
    del saved["embedding"]["n_segments"]
    assert parse(ModelConfig, saved) == config
