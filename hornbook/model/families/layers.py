"""Layers that differ: which of them see a window, and the pattern that repeats over a model.

Published configurations name a type for every layer; ours has the shortest pattern that repeats to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbook.model.config import BlockConfig, ModelConfig
from hornbook.model.families.family import CannotHold
from hornbook.model.families.reading import Reading

FULL, SLIDING = "full_attention", "sliding_attention"


def read_windows(
    theirs: Reading, window: int | None, has_window: Callable[[int], bool]
) -> tuple[int | None, ...]:
    """The window of each layer, by `layer_types`; where that is absent, by a rule on the layer's number."""
    n_layers = theirs.take("num_hidden_layers")
    types = theirs.take("layer_types", [SLIDING if has_window(layer) else FULL for layer in range(n_layers)])
    if len(types) != n_layers or not {FULL, SLIDING}.issuperset(types):
        raise theirs.refusal("layer_types", types, f"{n_layers} times {FULL!r} or {SLIDING!r} is expected")
    if SLIDING in types and window is None:
        raise theirs.refusal("layer_types", types, "no window is given")
    return tuple(window if each == SLIDING else None for each in types)


def read_late_windows(theirs: Reading) -> tuple[int | None, ...]:
    """The window of each layer where `use_sliding_window` must be said, and the first layers have none."""
    window = theirs.given("sliding_window", 4096)
    window = window if theirs.take("use_sliding_window", False) else None
    first = theirs.take("max_window_layers", 28)
    return read_windows(theirs, window, lambda layer: window is not None and layer >= first)


def written_windows(config: ModelConfig) -> dict[str, Any]:
    """The attributes that tell which layers see a window."""
    windows = [block.attention.window for block in layers_of(config)]
    widths = sorted({window for window in windows if window is not None})
    if len(widths) > 1:
        raise CannotHold(f"its windows are all of one width, not {' and '.join(map(str, widths))}")
    return {
        "sliding_window": widths[0] if widths else None,
        "layer_types": [FULL if window is None else SLIDING for window in windows],
    }


def written_late_windows(config: ModelConfig) -> dict[str, Any]:
    """The same where `use_sliding_window` must be said; the number of first layers without is for readers
    that know no `layer_types`.
    """
    attributes = written_windows(config)
    types = attributes["layer_types"]
    n_first = types.index(SLIDING) if SLIDING in types else len(types)
    return {**attributes, "use_sliding_window": SLIDING in types, "max_window_layers": n_first}


def layers_of(config: ModelConfig) -> list[BlockConfig]:
    """The block of every layer."""
    return [config.pattern[layer % len(config.pattern)] for layer in range(config.n_layers)]


def repeating(blocks: Sequence[BlockConfig]) -> tuple[BlockConfig, ...]:
    """The shortest pattern that repeats to these blocks."""
    lengths = range(1, len(blocks) + 1)
    return next(
        tuple(blocks[:length])
        for length in lengths
        if all(block == blocks[layer % length] for layer, block in enumerate(blocks))
    )
