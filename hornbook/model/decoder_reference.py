"""The decoder of Radford et al. 2019 to read, whole: token ids in, a score for every possible next token out.

    model = Decoder(vocab_size=256, d_model=64, n_layers=4, n_heads=4, max_seq_len=128)
    initialise(model, torch.Generator().manual_seed(0))
    loss(model(tokens[:, :-1]), tokens[:, 1:]).backward()

Each part is made of those above it, and the whole comes last. One vector for each position runs through the
model, and every branch adds to it: attention what other positions know, the feed-forward what follows from
it. The weights have the names of the fast `CausalLM`, to which the tests prove it equal. It has no dropout.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class LayerNorm(nn.Module):
    """Each vector brought to mean zero and variance one, then a learned gain and bias (Ba et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return self.weight * centred / torch.sqrt(variance + 1e-5) + self.bias


class MultiHeadAttention(nn.Module):
    """Each position asks those it may see, in several ways at once (Vaswani et al. 2017, section 3.2).

    It sends out a query, and every position has a key and a value. The better a query agrees with a key, the
    larger the share of that key's value in the answer. Each head does so for itself, with its own part of the
    width; `out` makes one vector of their answers.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.q, self.k, self.v, self.out = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        seen: Bool[Tensor, "#batch #query key"],
        asked: Float[Tensor, "batch key d_model"] | None = None,
    ) -> Float[Tensor, "batch query d_model"]:
        """`seen` is True where a query may see a key; `asked` are the positions asked, None: those of x."""
        asked = x if asked is None else asked
        q, k, v = self.split(self.q(x)), self.split(self.k(asked)), self.split(self.v(asked))
        # Products of unrelated numbers around one, n of them, sum up to about sqrt(n): back to one.
        scores = q @ k.mT / math.sqrt(q.size(-1))
        shares = scores.masked_fill(~seen.unsqueeze(1), -math.inf).softmax(-1)
        return self.out((shares @ v).transpose(1, 2).flatten(2))

    def split(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch heads seq head_dim"]:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def gelu(x: Float[Tensor, "*rest"]) -> Float[Tensor, "*rest"]:
    """About x times the share of a normal distribution that lies below x (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class FeedForward(nn.Module):
    """Each position thinks for itself: to a greater width, through an activation, and back."""

    def __init__(self, d_model: int, d_ff: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
        return self.down(self.activation(self.up(x)))


class PreNorm(nn.Module):
    """x + layer(norm(x)): a layer reads a normalised copy of the stream, and adds to the stream itself."""

    def __init__(self, layer: nn.Module, d_model: int) -> None:
        super().__init__()
        self.input_norm, self.layer = LayerNorm(d_model), layer

    def forward(self, x: Float[Tensor, "*rest d_model"], *context: Tensor) -> Float[Tensor, "*rest d_model"]:
        return x + self.layer(self.input_norm(x), *context)


class Block(nn.Module):
    """What has been said before that matters here? Then: what follows from it?"""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.attention = PreNorm(MultiHeadAttention(d_model, n_heads), d_model)
        self.feed_forward = PreNorm(FeedForward(d_model, 4 * d_model, gelu), d_model)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], seen: Bool[Tensor, "#batch seq seq"]
    ) -> Float[Tensor, "batch seq d_model"]:
        return self.feed_forward(self.attention(x, seen))


class Decoder(nn.Module):
    """The whole model. Its weights mean nothing before `initialise` draws them or somebody loads them."""

    def __init__(self, vocab_size: int, d_model: int, n_layers: int, n_heads: int, max_seq_len: int) -> None:
        super().__init__()
        tokens, positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_seq_len, d_model)
        self.embedding = nn.ModuleDict({"tokens": tokens, "positions": positions})
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))
        self.final_norm = LayerNorm(d_model)
        self.head = nn.Linear(d_model, vocab_size, bias=False)
        self.head.weight = tokens.weight  # One matrix for both ends (Press and Wolf 2017).

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab"]:
        """Scores of the next token at every position; each position sees itself and those before it."""
        place = torch.arange(tokens.size(1), device=tokens.device)
        x = self.embedding["tokens"](tokens) + self.embedding["positions"](place)
        seen = (place <= place[:, None])[None]
        for block in self.blocks:
            x = block(x, seen)
        return self.head(self.final_norm(x))


@torch.no_grad()
def initialise(model: Decoder, generator: torch.Generator) -> None:
    """Draw matrices with a standard deviation of 0.02; biases become zero, and gains are one already.

    Each layer adds two branches to the stream. The matrices that end them are drawn smaller by the root of
    their number, so that the sum is about as large in a deep model as in a shallow one (section 2.3).
    """
    std_of_ends = 0.02 / math.sqrt(2 * len(model.blocks))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            std = std_of_ends if name.endswith(("out.weight", "down.weight")) else 0.02
            parameter.copy_(std * torch.randn(parameter.shape, generator=generator))
        elif name.endswith("bias"):
            parameter.zero_()


def loss(logits: Float[Tensor, "batch seq vocab"], targets: Int[Tensor, "batch seq"]) -> Float[Tensor, ""]:
    """How surprised the model is by what comes, in nats per token: minus the log of its probability."""
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()
