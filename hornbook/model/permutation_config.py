"""What a model that predicts in any order is, as data: a stack that has two streams, and a head."""

from __future__ import annotations

from typing import Literal

import pydantic

from hornbook.model.config import StackConfig
from hornbook.model.encoder_config import MaskedHeadConfig
from hornbook.model.part_config import RelativeContentConfig


class PermutationLMConfig(StackConfig):
    """An encoder that predicts the tokens of a text in any order, whole."""

    kind: Literal["permutation_lm"] = "permutation_lm"
    head: MaskedHeadConfig = MaskedHeadConfig(transform=None)
    """The output side."""

    @pydantic.model_validator(mode="after")
    def _streams_fit(self) -> PermutationLMConfig:
        if any(not isinstance(block.attention.position, RelativeContentConfig) for block in self.pattern):
            raise ValueError(
                "a stream that knows its place and not its token needs positions of kind relative_content: "
                "attention.position must be one in every block"
            )
        if any(block.cross_attention or block.stream_mix for block in self.pattern):
            raise ValueError(
                "a block of two streams reads no other text and no embeddings: cross_attention and "
                "stream_mix must be null"
            )
        embedding = self.embedding
        if embedding.position or embedding.n_segments or embedding.norm or embedding.scale:
            raise ValueError(
                "one stream starts from tokens and one from nothing, so nothing but tokens is embedded: "
                "position, n_segments, norm and scale of the embedding must be null"
            )
        return self
