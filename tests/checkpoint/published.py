"""Configurations of published families, tiny and odd: grouped heads, tied or not, windows, scaled positions.

Each is a function that returns a `transformers` configuration; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from checkpoint.published_first import gpt2, llama, qwen3

CASES: dict[str, Callable[[], Any]] = {**gpt2(), **llama(), **qwen3()}
"""By family and setting."""
