"""Configurations of published families, tiny and odd: grouped heads, tied or not, windows, scaled positions.

Each is a function that returns a `transformers` configuration; nothing is downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint.published_first import gpt2, llama, qwen3
from checkpoint.published_gpt import bloom, gpt_neo, gpt_neox, gptj, opt
from checkpoint.published_llama import (
    gemma,
    gemma2,
    gemma3_text,
    mistral,
    mixtral,
    olmo2,
    qwen2,
    qwen3_moe,
    smollm3,
)

from hornbook.checkpoint.hugging_face import read_model
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel

CASES: dict[str, Callable[[], Any]] = {
    **gpt2(),
    **llama(),
    **qwen3(),
    **mistral(),
    **qwen2(),
    **olmo2(),
    **smollm3(),
    **gemma(),
    **gemma2(),
    **gemma3_text(),
    **mixtral(),
    **qwen3_moe(),
    **gpt_neo(),
    **gpt_neox(),
    **gptj(),
    **opt(),
    **bloom(),
}
"""By family and setting."""


def drawn(model: Any) -> Any:
    """A model with every parameter that learns drawn, gains and biases too, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in filter(lambda each: each.requires_grad, model.parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.2 * noise if parameter.ndim > 1 else parameter + 0.2 * noise)
    return model.eval()


def pairs(
    published: Callable[[str], Any], folders: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, AnyConfig, AnyModel, Path]]:
    """The model of each case, ours read from the folder that it was saved in, and the folder; made once."""

    @functools.cache
    def both(case: str) -> tuple[Any, AnyConfig, AnyModel, Path]:
        theirs = published(case)
        folder = folders.mktemp("published") / "theirs"
        theirs.save_pretrained(folder)
        config, ours = read_model(folder)
        return theirs, config, ours.eval(), folder

    return both
