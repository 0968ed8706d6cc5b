"""The core computes what the published architectures compute: logits and gradients of tiny random models.

The other side is `transformers`, built from a config without any download. The copying of weights below
is the test's own: what belongs to a family is not in the core.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from model.small_models import LAYER, RMS, block, model_config
from torch import Tensor

from hornbook.model.config import (
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    LearnedPositionConfig,
    ModelConfig,
    NormSlotsConfig,
    RMSNormConfig,
    RotaryConfig,
)
from hornbook.model.models import CausalLM

Weights = dict[str, Tensor]


def gpt2() -> tuple[torch.nn.Module, ModelConfig, Weights]:
    """Layer norms, learned positions, biases everywhere, one matrix for both ends (Radford et al. 2019)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=31,
        n_positions=12,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_inner=24,
        bos_token_id=None,
        eos_token_id=None,
    )
    theirs = GPT2LMHeadModel(config)
    ours = model_config(
        block(
            {"position": None, "qkv_bias": True, "out_bias": True},
            feed_forward=FeedForwardConfig(d_ff=24, activation="gelu_tanh", bias=True),
            norms=NormSlotsConfig(input=LAYER),
        ),
        embedding=EmbeddingConfig(position=LearnedPositionConfig()),
        final_norm=LAYER,
        head=HeadConfig(tied=True),
    )
    randomise(theirs)
    return theirs, ours, gpt2_weights(theirs.state_dict(), n_layers=2)


def gpt2_weights(source: Weights, n_layers: int) -> Weights:
    """GPT-2 keeps its matrices transposed, and queries, keys and values in one."""
    weights = {
        "embedding.tokens.weight": source["transformer.wte.weight"],
        "embedding.positions.weight": source["transformer.wpe.weight"],
        "head.weight": source["lm_head.weight"],
    }
    names = {
        "attention.input_norm": "ln_1",
        "attention.layer.out": "attn.c_proj",
        "feed_forward.input_norm": "ln_2",
        "feed_forward.layer.up": "mlp.c_fc",
        "feed_forward.layer.down": "mlp.c_proj",
    }
    for end in ("weight", "bias"):
        weights[f"final_norm.{end}"] = source[f"transformer.ln_f.{end}"]
        for i in range(n_layers):
            for ours, theirs in names.items():
                weights[f"blocks.{i}.{ours}.{end}"] = source[f"transformer.h.{i}.{theirs}.{end}"].t()
            fused = source[f"transformer.h.{i}.attn.c_attn.{end}"].t()
            for name, part in zip("qkv", fused.chunk(3), strict=True):
                weights[f"blocks.{i}.attention.layer.{name}.{end}"] = part
    return weights


def llama() -> tuple[torch.nn.Module, ModelConfig, Weights]:
    """RMS norms, rotary positions, grouped heads, a gated feed-forward (Touvron et al. 2023)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=12,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    theirs = LlamaForCausalLM(config)
    norm = RMSNormConfig(eps=1e-5)
    attention = {"n_heads": 4, "n_kv_heads": 2, "position": RotaryConfig(theta=500.0)}
    ours = model_config(block(attention, norms=NormSlotsConfig(input=norm)), final_norm=norm)
    randomise(theirs)
    return theirs, ours, llama_weights(theirs.state_dict(), n_layers=2)


def qwen3() -> tuple[torch.nn.Module, ModelConfig, Weights]:
    """As Llama, with queries and keys normalised and a head width of its own (Qwen team 2025)."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=6,
        max_position_embeddings=12,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    theirs = Qwen3ForCausalLM(config)
    ours = model_config(block({"n_heads": 4, "n_kv_heads": 1, "head_dim": 6, "qk_norm": RMS}))
    randomise(theirs)
    return theirs, ours, llama_weights(theirs.state_dict(), n_layers=2)


def llama_weights(source: Weights, n_layers: int) -> Weights:
    """Llama and its kin differ from the core in names only."""
    weights = {
        "embedding.tokens.weight": source["model.embed_tokens.weight"],
        "final_norm.weight": source["model.norm.weight"],
        "head.weight": source["lm_head.weight"],
    }
    names = {
        "attention.input_norm": "input_layernorm",
        "attention.layer.q": "self_attn.q_proj",
        "attention.layer.k": "self_attn.k_proj",
        "attention.layer.v": "self_attn.v_proj",
        "attention.layer.out": "self_attn.o_proj",
        "attention.layer.q_norm": "self_attn.q_norm",
        "attention.layer.k_norm": "self_attn.k_norm",
        "feed_forward.input_norm": "post_attention_layernorm",
        "feed_forward.layer.gate": "mlp.gate_proj",
        "feed_forward.layer.up": "mlp.up_proj",
        "feed_forward.layer.down": "mlp.down_proj",
    }
    for i in range(n_layers):
        for ours, theirs in names.items():
            if (weight := source.get(f"model.layers.{i}.{theirs}.weight")) is not None:
                weights[f"blocks.{i}.{ours}.weight"] = weight
    return weights


def randomise(model: torch.nn.Module) -> None:
    """Draw every parameter, gains and biases too, so that none can be left out unseen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * noise if parameter.ndim > 1 else 1 + 0.2 * noise)


@pytest.mark.parametrize("family", [gpt2, llama, qwen3])
def test_logits_and_gradients_are_those_of_transformers(
    family: Callable[[], tuple[torch.nn.Module, ModelConfig, Weights]],
) -> None:
    theirs, config, weights = family()
    ours = CausalLM(config).eval()
    ours.load_state_dict(weights)  # strict: every weight of ours is given, and no other
    theirs.eval()
    tokens = torch.randint(31, (2, 12), generator=torch.Generator().manual_seed(1))
    direction = torch.randn(2, 12, 31, generator=torch.Generator().manual_seed(2)) / 12
    logits, wanted = ours(tokens), theirs(tokens).logits
    (logits * direction).sum().backward()
    (wanted * direction).sum().backward()
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)
    gradient, wanted_gradient = ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad
    assert wanted_gradient.abs().max() > 1e-2, "a gradient of nothing proves nothing"
    torch.testing.assert_close(gradient, wanted_gradient, atol=1e-5, rtol=1e-5)
