"""The small configurations of every shape of model, under one roof."""

from __future__ import annotations

from model.small_encoders import ENCODERS
from model.small_models import CONFIGS
from model.small_permutations import PERMUTATIONS
from model.small_seq2seq import SEQ2SEQ

from hornbook.model.shape_config import AnyConfig

EVERY: dict[str, AnyConfig] = {
    **CONFIGS,
    **ENCODERS,  # type: ignore[dict-item]
    **{f"any order, {name}": config for name, config in PERMUTATIONS.items()},
    **{f"encoder-decoder, {name}": config for name, config in SEQ2SEQ.items()},
}
