"""The encoder-decoder to read is the fast one; it starts as it says, sees no future, and no padding."""

from __future__ import annotations

import math

import pytest
import torch
from model.small_encoders import scrambled
from model.small_models import LAYER, some_tokens

from hornbook.model import decoder_reference
from hornbook.model import seq2seq_reference as reference
from hornbook.model.config import (
    BlockConfig,
    DecoderConfig,
    EmbeddingConfig,
    HeadConfig,
    NormSlotsConfig,
    StackConfig,
)
from hornbook.model.mask import Mask
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, SinusoidalPositionConfig
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig

SIZES = {"vocab_size": 31, "d_model": 16, "d_ff": 24}


def fast(n_heads: int, n_layers: int) -> Seq2SeqLM:
    """The encoder-decoder of the paper, made of the parts of the room; every parameter is drawn."""
    attention = AttentionConfig(n_heads=n_heads, qkv_bias=True, out_bias=True)
    feed_forward = FeedForwardConfig(d_ff=24, activation="relu", bias=True)
    norms = NormSlotsConfig(residual=LAYER)
    reads = BlockConfig(attention=attention, feed_forward=feed_forward, norms=norms)
    stack = StackConfig(
        vocab_size=31,
        d_model=16,
        n_layers=n_layers,
        max_seq_len=12,
        pattern=(reads,),
        embedding=EmbeddingConfig(position=SinusoidalPositionConfig(), scale=4.0),  # sqrt(d_model)
        final_norm=None,
    )
    writes = reads.model_copy(update={"cross_attention": attention})
    of_stack = {name: getattr(stack, name) for name in StackConfig.model_fields} | {"pattern": (writes,)}
    decoder = DecoderConfig(**of_stack, head=HeadConfig(tied=True))
    return scrambled(Seq2SeqLM(Seq2SeqConfig(encoder=stack, decoder=decoder)))


def readable(n_heads: int = 2, n_layers: int = 2) -> reference.EncoderDecoder:
    """The one to read with weights that hide nothing."""
    return scrambled(reference.EncoderDecoder(**SIZES, n_heads=n_heads, n_layers=n_layers))


def twin(of: Seq2SeqLM, n_heads: int, n_layers: int) -> reference.EncoderDecoder:
    """The one to read with the weights of a fast one, whose names it shares; it has no name for the head."""
    slow = readable(n_heads, n_layers)
    unlike = slow.load_state_dict(of.state_dict(), strict=False)
    assert (unlike.missing_keys, unlike.unexpected_keys) == ([], ["decoder.head.weight"])
    return slow


def all_real(source: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(source, dtype=torch.bool)


@pytest.mark.parametrize(("n_heads", "n_layers", "padded"), [(1, 1, 0), (2, 2, 4), (4, 3, 7)])
def test_the_fast_encoder_decoder_is_the_reference(n_heads: int, n_layers: int, padded: int) -> None:
    model = fast(n_heads, n_layers)
    slow = twin(model, n_heads, n_layers)
    source, target = some_tokens(3, 8, seed=1), some_tokens(3, 12, seed=2)
    real = all_real(source)
    real[1, 8 - padded :] = False
    # The fast one takes no mask, as its users would not, where there is nothing to mask.
    mask = Mask(causal=False, padding=real) if padded else None
    logits = [model(source, target[:, :-1], mask), slow(source, real, target[:, :-1])]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)
    for theirs in logits:
        decoder_reference.loss(theirs, target[:, 1:]).backward()
    gradients = [{name: p.grad for name, p in each.named_parameters()} for each in (model, slow)]
    assert all(gradient is not None for gradient in gradients[1].values())
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_no_gradient_comes_from_the_future_and_all_of_the_source_is_read() -> None:
    """Not the least dependence on later tokens of the target, and some on each one of the source."""
    slow, vectors = readable(), []

    def remember(module: torch.nn.Module, given: object, vector: torch.Tensor) -> None:
        vector.retain_grad()
        vectors.append(vector)

    slow.encoder.embedding.tokens.register_forward_hook(remember)
    source = some_tokens(2, 6, seed=1)
    slow(source, all_real(source), some_tokens(2, 9))[:, 4].square().sum().backward()
    of_source, of_target = (vector.grad.abs().sum(-1) > 0 for vector in vectors)
    assert of_source.all()
    assert of_target.tolist() == [[True] * 5 + [False] * 4] * 2


def test_padding_of_the_source_changes_nothing() -> None:
    slow, target = readable(), some_tokens(2, 5)
    source = some_tokens(2, 9, seed=1)
    real = all_real(source)
    real[1, 6:] = False
    changed = torch.where(real, source, (source + 1) % 31)
    with torch.no_grad():
        before, after = slow(source, real, target), slow(changed, real, target)
        alone = slow(source[1:, :6], real[1:, :6], target[1:])
        assert torch.equal(before, after)
        torch.testing.assert_close(before[1:], alone, atol=1e-5, rtol=1e-5)
        unmasked = [slow(tokens, all_real(tokens), target) for tokens in (source, changed)]
    assert not torch.allclose(*unmasked, atol=1e-3), "without a mask it should"


def test_positions_turn_at_the_stated_speeds() -> None:
    """The formulas of the paper, number by number."""
    vectors = reference.sinusoids(7, 8)
    for place in range(7):
        for i in range(4):
            angle = place / 10_000 ** (2 * i / 8)
            assert vectors[place, i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert vectors[place, 4 + i].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_start_is_the_stated_one_and_of_the_generator_alone() -> None:
    models = []
    for disturbed in (1, 2):
        torch.manual_seed(disturbed)
        models.append(reference.EncoderDecoder(vocab_size=500, d_model=64, d_ff=256, n_layers=1, n_heads=4))
        reference.initialise(models[-1], torch.Generator().manual_seed(0))
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), atol=0, rtol=0)
    for name, parameter in models[0].named_parameters():
        if parameter.ndim == 1:
            assert (parameter == float("norm.weight" in name)).all(), name
        elif name == "encoder.embedding.tokens.weight":
            assert parameter.std().item() == pytest.approx(1 / 8, rel=0.03)
        else:
            # A uniform draw spreads by its bound over sqrt(3); Glorot and Bengio 2010, equation 12.
            spread = math.sqrt(2 / (parameter.size(0) + parameter.size(1)))
            assert parameter.std().item() == pytest.approx(spread, rel=0.05), name
            assert parameter.abs().max().item() <= spread * math.sqrt(3), name


def test_it_learns_to_write_backwards() -> None:
    """Four lines, each to be written from its end; how they begin, only the source can tell."""
    model = reference.EncoderDecoder(**SIZES, n_layers=1, n_heads=2)
    reference.initialise(model, torch.Generator().manual_seed(0))
    source = some_tokens(4, 6)
    target = torch.cat((torch.zeros(4, 1, dtype=torch.long), source.flip(1)), dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        surprise = decoder_reference.loss(model(source, all_real(source), target[:, :-1]), target[:, 1:])
        optimizer.zero_grad()
        surprise.backward()
        optimizer.step()
    assert surprise.item() < 0.1
    with torch.no_grad():
        elsewhere = model(source.roll(1, 0), all_real(source), target[:, :-1])
        assert decoder_reference.loss(elsewhere, target[:, 1:]).item() > 1
