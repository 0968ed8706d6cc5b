"""Whole models: `CausalLM`, a decoder that predicts each token from those before it, and a way to all shapes.

    model = CausalLM(config, seed=0)
    logits = model(tokens)                      # training, evaluation
    cache = model.make_cache(1, 256)
    logits = model(prompt, cache=cache)         # generation: the prompt, then one token at a time

    model = build_model(config)                 # the shape that a configuration is of

The encoders are in `encoders.py`, what all are made of in `stack.py`. A model knows ids and shapes; text,
files and devices are other rooms' business.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.cache import KVCache
from hornbook.model.config import ModelConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.stack import Stack

CAUSAL = Mask(causal=True)


class CausalLM(Stack):
    """A decoder-only transformer with a language-model head.

    With a `seed` the weights are drawn from that seed alone; without one they are left for a caller who
    loads them.
    """

    def __init__(self, config: ModelConfig, seed: int | None = None) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=config.head.bias)
        if config.head.tied:
            self.head.weight = self.embedding.tokens.weight
        self.logit_scale, self.logit_cap = config.head.scale, config.head.softcap
        if seed is not None:
            initialise(self, config, seed)

    def features(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Everything but the head; the arguments are those of `Stack.run`."""
        return self.run(tokens, mask, cache, positions, segments)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the next token at every position; the arguments are those of `features`."""
        return self.logits(self.features(tokens, mask, cache, positions, segments))

    def logits(self, features: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest vocab"]:
        """The head alone."""
        logits: Tensor = self.head(features)
        if self.logit_scale is not None:
            logits = logits * self.logit_scale
        if self.logit_cap is not None:
            logits = self.logit_cap * torch.tanh(logits / self.logit_cap)
        return logits

    def make_cache(self, batch_size: int, length: int | None = None) -> KVCache:
        """An empty cache for `length` positions (None: as many as the model takes)."""
        length = length or self.max_seq_len
        return KVCache([block.attention.layer.make_cache(batch_size, length) for block in self.layers])


def build_model(
    config: ModelConfig | MaskedLMConfig | ClassifierConfig, seed: int | None = None
) -> CausalLM | MaskedLM | Classifier:
    """Return a model of the shape that a configuration is of; `seed` as in `CausalLM`."""
    if isinstance(config, MaskedLMConfig):
        return MaskedLM(config, seed)
    if isinstance(config, ClassifierConfig):
        return Classifier(config, seed)
    return CausalLM(config, seed)
