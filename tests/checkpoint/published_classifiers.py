"""Classifiers of decoders: configurations of `published.py`, with classes and an id of padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkpoint.published import CASES

PADDING = 2
"""The id that transformers looks for where a row ends; tests keep it out of texts."""
NAMES = ("no", "yes", "who knows")
"""What classes are called in the cases that have three."""

N_CLASSES = {
    "gpt2": 3,
    "gpt2 untied, odd": 1,
    "llama tied, biases, odd head": 3,
    "llama 3.1": 1,
    "qwen3 late windows": 2,
    "mistral window": 5,
    "qwen2 tied, late windows": 3,
    "olmo2 grouped, tied, biases": 2,
    "smollm3 by list, windows": 2,
    "gemma one key head, untied, biases": 3,
    "gemma2 low caps, own scale": 2,
    "gemma3_text every second, scaled": 1,
    "mixtral one of five, window, tied": 2,
    "qwen3_moe some layers, biases": 3,
    "gpt-neo": 2,
    "gpt-neox": 3,
    "gpt-neox in sequence, tied, no bias": 1,
    "gpt-j": 2,
    "opt": 3,
    "opt without last norm": 2,
    "bloom untied, odd": 2,
}
"""How many classes the classifier of a case has; 1 for a number."""


def with_classes(case: str) -> Callable[[], Any]:
    """A function that makes the configuration of a decoder, with classes."""

    def make() -> Any:
        config = CASES[case]()
        config.pad_token_id = PADDING
        config.num_labels = N_CLASSES[case]
        if config.num_labels == len(NAMES):
            config.id2label = dict(enumerate(NAMES))
            config.label2id = {name: number for number, name in enumerate(NAMES)}
        return config

    return make


CLASSIFIER_CASES = {f"{case}, classes": with_classes(case) for case in N_CLASSES}
"""By the decoder's case."""
