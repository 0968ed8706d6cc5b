"""The decoder to read is the fast one and the published one; it starts as it says, and sees no future."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model.small_models import GPT2_LIKE, LAYER, model_config, scrambled, some_tokens
from torch.nn import functional

from hornbook.base.randomness import stream_seed
from hornbook.checkpoint.hugging_face import read_model
from hornbook.model import decoder_reference as reference
from hornbook.model.config import BlockConfig, EmbeddingConfig, HeadConfig, ModelConfig
from hornbook.model.models import CausalLM
from hornbook.model.part_config import FeedForwardConfig, LearnedPositionConfig


def config_of(n_heads: int, n_layers: int = 2, d_model: int = 16, vocab_size: int = 31) -> ModelConfig:
    """What the decoder to read is, as data for the fast one."""
    block = BlockConfig(
        attention=GPT2_LIKE.attention.model_copy(update={"n_heads": n_heads}),
        feed_forward=FeedForwardConfig(d_ff=4 * d_model, activation="gelu_tanh", bias=True),
        norms=GPT2_LIKE.norms,
    )
    return model_config(
        block,
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        embedding=EmbeddingConfig(position=LearnedPositionConfig()),
        final_norm=LAYER,
        head=HeadConfig(tied=True),
    )


def readable(config: ModelConfig) -> reference.Decoder:
    """The decoder to read of the same size, without weights."""
    n_heads = config.pattern[0].attention.n_heads
    return reference.Decoder(config.vocab_size, config.d_model, config.n_layers, n_heads, config.max_seq_len)


def twin(fast: CausalLM, config: ModelConfig) -> reference.Decoder:
    """The decoder to read with the weights of a fast one, whose names it shares."""
    slow = readable(config)
    slow.load_state_dict(fast.state_dict(), strict=True)
    return slow


@pytest.mark.parametrize(("n_heads", "n_layers", "seq"), [(1, 1, 1), (2, 2, 12), (4, 3, 7)])
def test_the_fast_decoder_is_the_reference(n_heads: int, n_layers: int, seq: int) -> None:
    config = config_of(n_heads, n_layers)
    fast = scrambled(config)
    slow, tokens = twin(fast, config), some_tokens(3, seq + 1)
    logits = [model(tokens[:, :-1]) for model in (fast, slow)]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)
    for model, theirs in zip((fast, slow), logits, strict=True):
        reference.loss(theirs, tokens[:, 1:]).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    gradients = [{name: p.grad for name, p in model.named_parameters()} for model in (fast, slow)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_the_published_decoder_is_the_reference(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 37, "n_positions": 20, "n_embd": 24, "n_layer": 2, "n_head": 3}
    published = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    ).eval()
    with torch.no_grad():
        for parameter, seed in zip(published.parameters(), range(1000), strict=False):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            parameter.copy_(0.2 * noise if parameter.ndim > 1 else parameter + 0.2 * noise)
    published.save_pretrained(tmp_path)
    config, ours = read_model(tmp_path)
    assert isinstance(config, ModelConfig) and isinstance(ours, CausalLM)
    slow, tokens = twin(ours, config), some_tokens(2, 20, vocab_size=37)
    logits = [slow(tokens), published(tokens).logits]
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)
    for theirs in logits:
        reference.loss(theirs[:, :-1], tokens[:, 1:]).backward()
    embeddings = (slow.embedding["tokens"].weight.grad, published.transformer.wte.weight.grad)
    torch.testing.assert_close(*embeddings, atol=1e-5, rtol=1e-5)


def test_the_start_is_the_stated_one() -> None:
    config = config_of(n_heads=4, n_layers=8, d_model=128, vocab_size=300)
    model = readable(config)
    reference.initialise(model, torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == float("norm.weight" in name)).all(), name
            continue
        ends = ("attention.layer.out.weight", "feed_forward.layer.down.weight")
        stated = 0.02 / 16**0.5 if name.endswith(ends) else 0.02
        # The spread of n draws is known to about 1 / sqrt(2 n), and the smallest matrix has 1536 numbers.
        assert parameter.std().item() == pytest.approx(stated, rel=0.08), name
        assert abs(parameter.mean().item()) < 4 * stated / parameter.numel() ** 0.5, name


def test_the_start_is_that_of_the_fast_decoder_and_of_the_generator_alone() -> None:
    config = config_of(n_heads=2, n_layers=3)
    fast = CausalLM(config, seed=7)
    for disturbed in (1, 2):
        torch.manual_seed(disturbed)
        slow = readable(config)
        reference.initialise(slow, torch.Generator().manual_seed(stream_seed(7, "init")))
        torch.testing.assert_close(slow.state_dict(), fast.state_dict(), atol=1e-8, rtol=1e-6)


def test_no_gradient_comes_from_the_future() -> None:
    """Not the least dependence: the vectors of later tokens have no gradient, those before have one."""
    config = config_of(n_heads=2)
    slow = twin(scrambled(config), config)
    vectors: list[torch.Tensor] = []

    def remember(module: torch.nn.Module, given: object, vector: torch.Tensor) -> None:
        vector.retain_grad()
        vectors.append(vector)

    slow.embedding["tokens"].register_forward_hook(remember)
    slow(some_tokens(2, 9))[:, 4].square().sum().backward()
    assert vectors[0].grad is not None
    reached = vectors[0].grad.abs().sum(-1) > 0
    assert reached.tolist() == [[True] * 5 + [False] * 4] * 2


def test_the_loss_is_the_mean_cross_entropy() -> None:
    logits = 3 * torch.randn(2, 5, 31, generator=torch.Generator().manual_seed(0))
    targets = some_tokens(2, 5)
    wanted = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(reference.loss(logits, targets), wanted)


def test_it_learns() -> None:
    """From the surprise of pure chance to knowing four lines by heart, save for how they begin."""
    config = config_of(n_heads=2)
    model, lines = readable(config), some_tokens(4, 12)
    reference.initialise(model, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    surprises = []
    for _ in range(60):
        surprise = reference.loss(model(lines[:, :-1]), lines[:, 1:])
        optimizer.zero_grad()
        surprise.backward()
        optimizer.step()
        surprises.append(surprise.item())
    assert surprises[0] == pytest.approx(torch.tensor(31.0).log().item(), abs=0.1)
    assert surprises[-1] < 0.2
