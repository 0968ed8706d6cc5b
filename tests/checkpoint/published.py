"""Configurations of published families, tiny and odd: grouped heads, tied or not, windows, scaled positions.

Each is a function that returns a `transformers` configuration; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
