"""The encoder-decoder of Vaswani et al. 2017 to read: it reads one text, and writes another token by token.

    model = EncoderDecoder(vocab_size=256, d_model=64, d_ff=256, n_layers=2, n_heads=4)
    initialise(model, torch.Generator().manual_seed(0))
    logits = model(source, source != padding, target[:, :-1])
    decoder_reference.loss(logits, target[:, 1:]).backward()

Attention and feed-forward are those of `decoder_reference.py`; read that first. New are an encoder, which
sees all of its text at once, and a second attention in the decoder, which asks the encoder. Norms stand after
the sums, and positions are fixed. A row of the target begins with a start token. The weights have the names
of the fast `Seq2SeqLM`, to which the tests prove it equal. It has no dropout, and its attention has biases,
which the paper's formulas have not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hornbook.model.decoder_reference import FeedForward, LayerNorm, MultiHeadAttention


def sinusoids(seq_len: int, d_model: int) -> Float[Tensor, "seq_len d_model"]:
    """A fixed vector for each position, like the hands of many clocks, each slower than the one before.

    A hand goes round once in 2 pi to 10000 * 2 pi positions (section 3.5; the paper interleaves sines and
    cosines, and here all sines come first, which is another order of the same numbers).
    """
    speed = 10_000 ** (-torch.arange(0, d_model, 2) / d_model)
    angle = torch.arange(seq_len)[:, None] * speed
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


class Embedding(nn.Module):
    """What a token is, and where it stands; one table serves the source, the target and the scores."""

    def __init__(self, vocab_size: int, d_model: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, d_model)

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        # The rows of the table are about one long, as the scores need them; the factor makes their numbers
        # about as large as those of the positions (section 3.4).
        x = self.tokens(tokens) * math.sqrt(self.tokens.embedding_dim)
        return x + sinusoids(x.size(1), x.size(2)).to(x.device)


class PostNorm(nn.Module):
    """norm(x + layer(x)): the sum itself is normalised, where `PreNorm` leaves it as it is."""

    def __init__(self, layer: nn.Module, d_model: int) -> None:
        super().__init__()
        self.layer, self.residual_norm = layer, LayerNorm(d_model)

    def forward(self, x: Float[Tensor, "*rest d_model"], *context: Tensor) -> Float[Tensor, "*rest d_model"]:
        return self.residual_norm(x + self.layer(x, *context))


class EncoderBlock(nn.Module):
    """What do the others say, before and after? Then: what follows from it?"""

    def __init__(self, d_model: int, d_ff: int, n_heads: int) -> None:
        super().__init__()
        self.attention = PostNorm(MultiHeadAttention(d_model, n_heads), d_model)
        self.feed_forward = PostNorm(FeedForward(d_model, d_ff, torch.relu), d_model)

    def forward(
        self, x: Float[Tensor, "batch source d_model"], real: Bool[Tensor, "batch 1 source"]
    ) -> Float[Tensor, "batch source d_model"]:
        return self.feed_forward(self.attention(x, real))


class DecoderBlock(nn.Module):
    """What has been written? What was read that matters here? Then: what follows from both?"""

    def __init__(self, d_model: int, d_ff: int, n_heads: int) -> None:
        super().__init__()
        self.attention = PostNorm(MultiHeadAttention(d_model, n_heads), d_model)
        self.cross_attention = PostNorm(MultiHeadAttention(d_model, n_heads), d_model)
        self.feed_forward = PostNorm(FeedForward(d_model, d_ff, torch.relu), d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        seen: Bool[Tensor, "1 seq seq"],
        memory: Float[Tensor, "batch source d_model"],
        real: Bool[Tensor, "batch 1 source"],
    ) -> Float[Tensor, "batch seq d_model"]:
        x = self.attention(x, seen)
        return self.feed_forward(self.cross_attention(x, real, memory))


class Stack(nn.Module):
    """Blocks one after the other, on top of an embedding."""

    def __init__(self, embedding: Embedding, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.embedding, self.blocks = embedding, nn.ModuleList(blocks)

    def forward(
        self, tokens: Int[Tensor, "batch seq"], *context: Tensor
    ) -> Float[Tensor, "batch seq d_model"]:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, *context)
        return x


class EncoderDecoder(nn.Module):
    """The whole model. Its weights mean nothing before `initialise` draws them or somebody loads them."""

    def __init__(self, vocab_size: int, d_model: int, d_ff: int, n_layers: int, n_heads: int) -> None:
        super().__init__()
        embedding, sizes = Embedding(vocab_size, d_model), (d_model, d_ff, n_heads)
        self.encoder = Stack(embedding, [EncoderBlock(*sizes) for _ in range(n_layers)])
        self.decoder = Stack(embedding, [DecoderBlock(*sizes) for _ in range(n_layers)])

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        real: Bool[Tensor, "batch source"],
        target: Int[Tensor, "batch seq"],
    ) -> Float[Tensor, "batch seq vocab"]:
        """Scores of what follows each token of the target; `real` is False where the source is padding."""
        place = torch.arange(target.size(1), device=target.device)
        seen, real = (place <= place[:, None])[None], real[:, None]
        memory = self.encoder(source, real)
        return self.decoder(target, seen, memory, real) @ self.decoder.embedding.tokens.weight.T


@torch.no_grad()
def initialise(model: EncoderDecoder, generator: torch.Generator) -> None:
    """Draw the table with a standard deviation of 1 / sqrt(d_model), and matrices by Glorot and Bengio 2010.

    Biases become zero, and gains are one already. The paper does not tell how its weights start.
    """
    for name, parameter in model.named_parameters():
        if name.endswith("tokens.weight"):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter.size(1)))
        elif parameter.ndim == 2:
            # Uniform, and as wide as best keeps the size both of vectors and of the gradients that come back.
            bound = math.sqrt(6 / sum(parameter.shape))
            parameter.copy_(bound * (2 * torch.rand(parameter.shape, generator=generator) - 1))
        elif name.endswith("bias"):
            parameter.zero_()
