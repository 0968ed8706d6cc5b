"""Shortcuts compute what their formulas say, written out for one token at a time."""

from __future__ import annotations

import pytest
import torch
from model.small_models import CONFIGS, block, model_config, scrambled, some_tokens

from hornbook.model.config import StreamMixConfig
from hornbook.model.part_config import ValueEmbeddingConfig
from hornbook.model.shortcuts import StreamMix, ValueEmbedding


def test_a_value_embedding_adds_a_weighed_row_to_each_head() -> None:
    torch.manual_seed(0)
    extra = ValueEmbedding(ValueEmbeddingConfig(gate_width=3), vocab_size=7, n_heads=2, head_dim=4)
    x, tokens = torch.randn(1, 5, 6), torch.tensor([[3, 0, 6, 3, 1]])
    added = extra(x, tokens)
    assert added.shape == (1, 2, 5, 4)
    for place, token in enumerate(tokens[0]):
        for head in range(2):
            weight = 2 / (1 + torch.exp(-(extra.gate.weight[head] * x[0, place, :3]).sum()))
            row = extra.table.weight[token, 4 * head : 4 * head + 4]
            torch.testing.assert_close(added[0, head, place], weight * row)


def test_a_stream_mix_weighs_stream_and_embeddings() -> None:
    mix = StreamMix(StreamMixConfig(stream=0.5, embeddings=2.0))
    x, embedded = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    torch.testing.assert_close(mix(x, embedded), 0.5 * x + 2 * embedded)


def test_every_shortcut_matters_to_the_model() -> None:
    model, tokens = scrambled(CONFIGS["shortcuts"]), some_tokens(1, 8)
    whole = model(tokens)
    names = [name for name, _ in model.named_parameters() if "stream_mix" in name or "value_emb" in name]
    assert len(names) == 4
    for name in names:
        changed = scrambled(CONFIGS["shortcuts"])
        with torch.no_grad():
            dict(changed.named_parameters())[name].add_(0.5)
        assert not torch.allclose(changed(tokens), whole, atol=1e-3), name


def test_without_effect_they_leave_the_model_as_it_is() -> None:
    """A mix of all stream and no embeddings is the identity."""
    plain = scrambled(model_config(block()))
    mixed = scrambled(model_config(block(stream_mix=StreamMixConfig())))
    mixed.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for layer in mixed.blocks:
            layer.stream_mix.weights.copy_(torch.tensor([1.0, 0.0]))
    tokens = some_tokens(1, 8)
    torch.testing.assert_close(mixed(tokens), plain(tokens))


def test_a_gate_wider_than_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match="gate_width 17 is more than d_model 16"):
        model_config(block({"value_embedding": ValueEmbeddingConfig(gate_width=17)}))
