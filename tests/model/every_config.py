"""The small configurations of every shape of model, under one roof."""

from __future__ import annotations

from model.small_encoders import ENCODERS, stack
from model.small_models import CONFIGS, block
from model.small_permutations import PERMUTATIONS
from model.small_seq2seq import SEQ2SEQ

from hornbook.model.config import EmbeddingConfig
from hornbook.model.encoder_config import MaskedLMConfig
from hornbook.model.shape_config import AnyConfig

LOCAL = MaskedLMConfig(**stack(block({"window": 4}), block(), embedding=EmbeddingConfig()))
EVERY: dict[str, AnyConfig] = {
    **CONFIGS,
    **ENCODERS,  # type: ignore[dict-item]
    "masked, windowed": LOCAL,
    **{f"any order, {name}": config for name, config in PERMUTATIONS.items()},
    **{f"encoder-decoder, {name}": config for name, config in SEQ2SEQ.items()},
}
