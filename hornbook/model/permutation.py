"""`PermutationLM`, an encoder that predicts the tokens of a text in any order (Yang et al. 2019).

    model = PermutationLM(config, seed=0)
    logits = model(tokens, order=order)                         # each token from those before it in an order
    logits = model(tokens, Mask(causal=False, padding=real))    # as an encoder, from all tokens

An order gives every position a place: 0 for the one that is predicted first. Two streams go through the same
blocks. The content stream knows the tokens; in it a position sees the places up to its own. The query stream
knows where a position is and not which token stands there; it sees the places before its own, so that its
vectors can be asked for the token. Several positions may share a place: their tokens know one another and are
predicted without.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hornbook.base.errors import ConfigError
from hornbook.model.context import BlockContext
from hornbook.model.encoders import Encoder, Transform
from hornbook.model.init import initialise
from hornbook.model.mask import Mask
from hornbook.model.permutation_config import PermutationLMConfig


class PermutationLM(Encoder):
    """An encoder with a second stream of queries, which starts from one learned vector at every position.

    `seed` as in `CausalLM`.
    """

    def __init__(self, config: PermutationLMConfig, seed: int | None = None) -> None:
        super().__init__(config, Mask(causal=False))
        self.query = nn.Embedding(1, config.d_model)
        transform = config.head.transform
        self.transform = nn.Identity() if transform is None else Transform(transform, config.d_model)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=config.head.bias)
        if config.head.tied:
            self.head.weight = self.embedding.tokens.weight
        if seed is not None:
            initialise(self, config, seed)

    def features(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        order: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Everything but the head: the last vectors of the query stream, or without an order of the content.

        `order` has the place of every position; the others are as in `Encoder.features`. Where the mask has
        the order instead, the content stream goes by it, alone.
        """
        if order is None:
            return super().features(tokens, mask, positions, segments)
        mask = self.sight(mask)
        if mask.order is not None:
            raise ConfigError("the mask has an order of its own: leave out the one or the other")
        self._check_length(tokens.size(1), None)
        if positions is None:
            positions = torch.arange(tokens.size(1), device=tokens.device)
        content = self.embedding(tokens, positions)
        query = self.embedding.dropout(self.query.weight.to(content.dtype).expand_as(content))
        context = BlockContext(
            mask=replace(mask, order=order),
            query_mask=replace(mask, order=order, query_order=order - 1),
            positions=positions,
            tokens=tokens,
            embedded=content,
            segments=segments,
        )
        return self.through(torch.cat((content, query), dim=1), context)[:, tokens.size(1) :]

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        mask: Mask | None = None,
        positions: Int[Tensor, "*batch seq"] | None = None,
        segments: Int[Tensor, "batch seq"] | None = None,
        order: Int[Tensor, "batch seq"] | None = None,
    ) -> Float[Tensor, "batch seq vocab"]:
        """Logits of the token at every position; the arguments are those of `features`."""
        return self.logits(self.features(tokens, mask, positions, segments, order))

    def logits(self, features: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest vocab"]:
        """The head alone; predicted positions are few, so that it may be given theirs only."""
        return self.head(self.transform(features))
