"""`CausalLM`, a decoder that predicts each token from those before it.

    model = CausalLM(config, seed=0)
    logits = model(tokens)                      # training, evaluation
    cache = model.make_cache(1, 256)
    logits = model(prompt, cache=cache)         # generation: the prompt, then one token at a time

The encoders are in `encoders.py`, encoder-decoders in `seq2seq.py`, what all are made of in `stack.py`. A
model knows ids and shapes; text, files and devices are other rooms' business.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.model.cache import KVCache
from hornbook.model.config import DecoderConfig
from hornbook.model.context import Memory
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.stack import Stack

CAUSAL = Mask(causal=True)


class CausalLM(Stack):
    """A decoder with a language-model head.

    With a `seed` the weights are drawn from that seed alone; without one they are left for a caller who
    loads them.
    """

    def __init__(self, config: DecoderConfig, seed: int | None = None) -> None:
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
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Everything but the head; the arguments are those of `Stack.run`."""
        return self.run(tokens, mask, cache, positions, segments, memory)

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask = CAUSAL,
        cache: KVCache | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the next token at every position; the arguments are those of `features`."""
        return self.logits(self.features(tokens, mask, cache, positions, segments, memory))

    def logits(self, features: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest vocab"]:
        """The head alone."""
        logits: Tensor = self.head(features)
        if self.logit_scale is not None:
            logits = logits * self.logit_scale
        if self.logit_cap is not None:
            logits = self.logit_cap * torch.tanh(logits / self.logit_cap)
        return logits
