"""A finished run in the hand: model, tokenizer and configuration of a run folder.

run = load("runs/quickstart")
run.generate("def", max_new_tokens=40)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from hornbook.base.config import parse
from hornbook.base.errors import ConfigError
from hornbook.checkpoint.folder import RunFolder
from hornbook.generate.sampling import SamplingConfig
from hornbook.generate.text import generate_text
from hornbook.model.models import CausalLM
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, resolve_device


@dataclass(frozen=True)
class Run:
    """What a run folder holds, loaded."""

    path: Path
    """The folder."""
    config: RunConfig
    """How it was made."""
    tokenizer: Tokenizer
    """Text to ids and back."""
    model: CausalLM
    """The trained model, in evaluation mode."""

    def generate(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 100,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> str:
        """Continue a prompt and return the continuation. The same seed gives the same text.

        `temperature` 0 always takes the likeliest token; `top_k` and `top_p` leave out unlikely ones.
        """
        sampling = parse(
            SamplingConfig, {"temperature": temperature, "top_k": top_k, "top_p": top_p}, "generate"
        )
        return generate_text(
            self.model,
            self.tokenizer,
            prompt,
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            seed=seed,
        )


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> Run:
    """Open a run folder. `device` None: the fastest there is; `dtype` None: float32, as saved."""
    files = RunFolder(folder)
    config = parse(RunConfig, files.read_config(), str(files.config_path))
    model = files.read_model().eval()
    chosen = resolve_device(str(device) if device is not None else "auto")
    model = model.to(device=chosen, dtype=_dtype(dtype))
    return Run(files.path, config, files.read_tokenizer(), model)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if isinstance(dtype, str):
        if dtype not in PRECISIONS:
            raise ConfigError(f"unknown dtype {dtype!r}; choose float32 or bfloat16")
        return PRECISIONS[dtype]
    return dtype or torch.float32
