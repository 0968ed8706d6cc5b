"""Decoders as people write them for one shape and no other: what `benchmarks/model.py` runs beside ours.

One Linear for queries, keys and values, PyTorch's causal attention without a mask tensor, tables of angles
made once: GPT-2's shape after nanoGPT's manner, and Llama's in the same. `build` reads the numbers of a
`transformers` configuration and `load` the weights of its model; nothing else is configurable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class LearnedAttention(nn.Module):
    """Causal attention with biases, for positions that are learned vectors."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, seq, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=2)
        q, k, v = (each.view(batch, seq, self.heads, -1).transpose(1, 2) for each in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, seq, width))


class LearnedBlock(nn.Module):
    """Attention, then two Linears with a GELU between."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = LearnedAttention(width, heads)
        self.norm_2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class LearnedPositions(nn.Module):
    """GPT-2's shape: learned positions, LayerNorm, biases, the head tied to the embedding."""

    def __init__(self, vocab_size: int, seq_len: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(seq_len, width)
        self.blocks = nn.ModuleList(LearnedBlock(width, heads) for _ in range(layers))
        self.final = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.size(1), device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.final(x))


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, the first half of a head paired with the second."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).type_as(x)


class RotaryAttention(nn.Module):
    """Causal attention with turned queries and keys, and fewer key and value heads."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.sizes = [width, kv_heads * self.head_dim, kv_heads * self.head_dim]
        self.qkv = nn.Linear(width, sum(self.sizes), bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, seq, width = x.shape
        parts = self.qkv(x).split(self.sizes, dim=2)
        q, k, v = (part.view(batch, seq, -1, self.head_dim).transpose(1, 2) for part in parts)
        q, k = turned(q, cos, sin), turned(k, cos, sin)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=q.size(1) != k.size(1)
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, seq, width))


class RotaryBlock(nn.Module):
    """Attention, then a gated feed-forward."""

    def __init__(self, width: int, heads: int, kv_heads: int, ff_width: int, eps: float) -> None:
        super().__init__()
        self.norm_1 = nn.RMSNorm(width, eps=eps)
        self.attention = RotaryAttention(width, heads, kv_heads)
        self.norm_2 = nn.RMSNorm(width, eps=eps)
        self.gate = nn.Linear(width, ff_width, bias=False)
        self.up = nn.Linear(width, ff_width, bias=False)
        self.down = nn.Linear(ff_width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x), cos, sin)
        y = self.norm_2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class RotaryPositions(nn.Module):
    """Llama's shape: rotary positions, RMSNorm, grouped heads, gated feed-forward, no biases."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        vocab_size: int,
        seq_len: int,
        width: int,
        layers: int,
        heads: int,
        *,
        kv_heads: int,
        ff_width: int,
        theta: float,
        eps: float,
        tied: bool,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, width)
        self.blocks = nn.ModuleList(RotaryBlock(width, heads, kv_heads, ff_width, eps) for _ in range(layers))
        self.final = nn.RMSNorm(width, eps=eps)
        self.head = nn.Linear(width, vocab_size, bias=False)
        if tied:
            self.head.weight = self.tokens.weight
        head_dim = width // heads
        frequency = theta ** -(torch.arange(0, head_dim, 2) / head_dim)
        angle = torch.outer(torch.arange(seq_len), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        cos, sin = self.cos[: tokens.size(1)], self.sin[: tokens.size(1)]
        x = self.tokens(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.final(x))


def build(numbers: Mapping[str, Any]) -> LearnedPositions | RotaryPositions:
    """The model that the attributes of a `config.json` tell of."""
    if numbers["model_type"] == "gpt2":
        size = (numbers[name] for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"))
        return LearnedPositions(*size)
    names = (
        "vocab_size",
        "max_position_embeddings",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
    )
    return RotaryPositions(
        *(numbers[name] for name in names),
        kv_heads=numbers["num_key_value_heads"],
        ff_width=numbers["intermediate_size"],
        theta=numbers["rope_parameters"]["rope_theta"],
        eps=numbers["rms_norm_eps"],
        tied=numbers["tie_word_embeddings"],
    )


@torch.no_grad()
def load(model: LearnedPositions | RotaryPositions, theirs: Mapping[str, Tensor]) -> None:
    """Fill a model with the weights of the same model in `transformers`."""
    learned = isinstance(model, LearnedPositions)
    for name, parameter in model.named_parameters():
        parts = [theirs[there] for there in _names_there(name, OF_LEARNED if learned else OF_ROTARY)]
        # GPT-2 there holds the matrices of a block transposed.
        turn = learned and name.startswith("blocks") and parameter.ndim == 2
        parameter.copy_(torch.cat([part.T if turn else part for part in parts]))


OF_LEARNED = {
    "tokens.": "transformer.wte.",
    "positions.": "transformer.wpe.",
    "blocks.": "transformer.h.",
    "attention.qkv": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "norm_1": "ln_1",
    "norm_2": "ln_2",
    "up": "mlp.c_fc",
    "down": "mlp.c_proj",
    "final.": "transformer.ln_f.",
    "head.": "lm_head.",
}
OF_ROTARY = {
    "tokens.": "model.embed_tokens.",
    "blocks.": "model.layers.",
    "attention.qkv": "self_attn.{q,k,v}_proj",
    "attention.out": "self_attn.o_proj",
    "norm_1": "input_layernorm",
    "norm_2": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "final.": "model.norm.",
    "head.": "lm_head.",
}


def _names_there(name: str, renames: Mapping[str, str]) -> list[str]:
    """What a weight is called in `transformers`: one name, or the three that are one here."""
    for ours, theirs in renames.items():
        name = name.replace(ours, theirs)
    return [name.replace("{q,k,v}", part) for part in "qkv"] if "{q,k,v}" in name else [name]
