"""XLNet: tied or not, distances that end early, heads of several widths, and memories that are not used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from checkpoint.published_first import made

SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "d_model": 24,
    "n_layer": 3,
    "n_head": 4,
    "d_inner": 40,
    "seq_length": 20,
}
"""A `seq_length` is no attribute of the class, which keeps it all the same."""


def xlnet() -> dict[str, Callable[[], Any]]:
    """XLNet."""
    of = partial(made, "XLNetConfig")
    return {
        "xlnet": of(**SIZES),
        "xlnet untied, near": of(
            **SIZES | {"n_head": 3}, tie_word_embeddings=False, clamp_len=4, ff_activation="relu",
            layer_norm_eps=1e-3,
        ),
        "xlnet one head": of(
            **SIZES | {"n_head": 1, "d_inner": 17}, ff_activation="swish", clamp_len=1, mem_len=0, dropout=0.3
        ),
        "xlnet with memory": of(
            **SIZES | {"vocab_size": 41, "d_model": 20, "n_head": 2, "n_layer": 1}, ff_activation="gelu_new",
            mem_len=4, reuse_len=2, use_mems_train=True, same_length=True,
        ),
    }  # fmt: skip


PERMUTATION_CASES: dict[str, Callable[[], Any]] = xlnet()
"""By setting."""
