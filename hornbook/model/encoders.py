"""Encoders: stacks in which every position sees all others, before it and after it.

    model = MaskedLM(config, seed=0)
    logits = model(tokens, Mask(causal=False, padding=real))        # of the vocabulary, at every position

    model = Classifier(config, seed=0)
    logits = model(tokens, Mask(causal=False, padding=real), segments=segments)    # of the classes, per row

A mask must say which way the model sees, so that no encoder is run as a decoder by oversight. There is no
cache: one more token would change what all others have computed.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.config import StackConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig, Pooling, TransformConfig
from hornbook.model.feed_forward import ACTIVATIONS
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.norm import build_norm
from hornbook.model.stack import Stack


class Encoder(Stack):
    """A stack with a direction of its own."""

    def __init__(self, config: StackConfig, sees: Mask) -> None:
        super().__init__(config)
        self.sees = sees

    def features(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Everything but the head: the normalised output of the last block.

        `mask` None: all tokens are real and of one document. The others are as in `Stack.run`.
        """
        return self.run(tokens, self.sight(mask), positions=positions, segments=segments)

    def sight(self, mask: Mask | None) -> Mask:
        """The mask that is meant by what `features` is given; one of the other direction is an error."""
        if mask is not None and mask.causal != self.sees.causal:
            way = "only what is before" if self.sees.causal else "both ways"
            raise ConfigError(f"this model sees {way}: give it Mask(causal={self.sees.causal}, ...)")
        return mask or self.sees


class MaskedLM(Encoder):
    """An encoder that predicts every token from all of its text (Devlin et al. 2019).

    `seed` as in `CausalLM`.
    """

    def __init__(self, config: MaskedLMConfig, seed: int | None = None) -> None:
        super().__init__(config, Mask(causal=False))
        transform = config.head.transform
        self.transform = nn.Identity() if transform is None else Transform(transform, config.d_model)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=config.head.bias)
        if config.head.tied:
            self.head.weight = self.embedding.tokens.weight
        self.pairs = None if config.pairs is None else PairHead(config.d_model, config.pairs.dropout)
        if seed is not None:
            initialise(self, config, seed)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the token at every position; the arguments are those of `features`."""
        return self.logits(self.features(tokens, mask, positions, segments))

    def logits(self, features: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest vocab"]:
        """The head alone; masked positions are few, so that it may be given theirs only."""
        return self.head(self.transform(features))


class PairHead(nn.Module):
    """Judges of two texts in a row whether the second follows the first, by the first vector."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.pooler = Pooler(d_model, dropout)
        self.head = nn.Linear(d_model, 2)

    def forward(self, features: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch 2"]:
        """Logits: it follows, it is a stranger."""
        return self.head(self.pooler(features[:, 0]))


class Transform(nn.Module):
    """norm(act(dense(x)))."""

    def __init__(self, config: TransformConfig, d_model: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]
        self.norm = build_norm(config.norm, d_model)

    def forward(self, x: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
        return self.norm(self.activation(self.dense(x)))


class Classifier(Encoder):
    """A stack that puts each row into a class, by one vector that stands for the row.

    `seed` as in `CausalLM`.
    """

    def __init__(self, config: ClassifierConfig, seed: int | None = None) -> None:
        super().__init__(config, Mask(causal=config.causal))
        self.pooling = config.pooling
        pooler = config.pooler
        self.pooler = nn.Identity() if pooler is None else Pooler(config.d_model, pooler.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.d_model, config.n_classes, bias=config.bias)
        if seed is not None:
            initialise(self, config, seed)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch n_classes"]:
        """Logits of the classes, one line for each row; the arguments are those of `features`."""
        if mask is not None and mask.documents is not None:
            raise ConfigError("a row gets one class, so it holds one document: pad rows, do not pack them")
        features = self.features(tokens, mask, positions, segments)
        return self.logits(pool(features, self.pooling, None if mask is None else mask.padding))

    def logits(self, pooled: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest n_classes"]:
        """The head alone, on vectors that stand for rows."""
        return self.head(self.dropout(self.pooler(pooled)))


class Pooler(nn.Module):
    """tanh(dense(dropout(x)))."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(d_model, d_model)

    def forward(self, x: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
        return torch.tanh(self.dense(self.dropout(x)))


def pool(
    features: Float[Tensor, "batch seq d_model"], pooling: Pooling, real: Bool[Tensor, "batch seq"] | None
) -> Float[Tensor, "batch d_model"]:
    """One vector for each row; `real` is True where a token is no padding, None: everywhere."""
    if real is None:
        real = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    if pooling == "mean":
        share = real / real.sum(1, keepdim=True).clamp(min=1)
        return (features * share.to(features.dtype).unsqueeze(-1)).sum(1)
    from_the_left = real.int().argmax(1)
    from_the_right = real.size(1) - 1 - real.flip(1).int().argmax(1)
    place = from_the_left if pooling == "first" else from_the_right
    return features[torch.arange(len(features), device=features.device), place]
