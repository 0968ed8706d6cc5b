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
from hornbook.generate.text import Writer, generate_text
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.models import CausalLM
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shapes import AnyModel
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
    model: AnyModel
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
        """Write after a prompt and return what was written. The same seed gives the same text.

        A decoder goes on with the prompt, an encoder-decoder answers it, and other models write no text.
        `temperature` 0 always takes the likeliest token; `top_k` and `top_p` leave out unlikely ones.
        """
        sampling = parse(
            SamplingConfig, {"temperature": temperature, "top_k": top_k, "top_p": top_p}, "generate"
        )
        return generate_text(
            writer(self),
            self.tokenizer,
            prompt,
            sampling=sampling,
            max_new_tokens=max_new_tokens,
            seed=seed,
        )


def writer(run: Run) -> Writer:
    """The model of a run, if it writes text; if not, a `ConfigError` says what it is for."""
    match run.model:
        case CausalLM() | Seq2SeqLM():
            return run.model
        case MaskedLM():
            use = "fills in masked tokens", "run.model(tokens) gives the scores of all tokens at every place"
        case Classifier():
            use = "puts texts into classes", "run.model(tokens) gives the scores of the classes"
        case PermutationLM():
            use = (
                "predicts the tokens of a text in any order",
                "run.model(tokens, order=order) gives the scores of all tokens at every place",
            )
    purpose, call = use
    raise ConfigError(
        f"{run.path} holds a {run.config.model.kind}, which {purpose} and writes no text; in Python, {call}"
    )


def continuer(run: Run) -> CausalLM:
    """The model of a run, if it goes on with a text; if not, a `ConfigError` says what to use instead."""
    model = writer(run)
    if isinstance(model, CausalLM):
        return model
    raise ConfigError(
        f"{run.path} holds a {run.config.model.kind}, which answers one text with another and goes on with "
        "none; give it texts by hornbook generate"
    )


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    step: int | None = None,
) -> Run:
    """Open a run folder. `device` None: the fastest there is; `dtype` None: float32, as saved.

    `step` takes the weights of a save instead of the finished ones.
    """
    files = RunFolder(folder)
    config = parse(RunConfig, files.read_config(), str(files.config_path))
    model = files.read_model(config.model, step).eval()
    chosen = resolve_device(str(device) if device is not None else "auto")
    model = model.to(device=chosen, dtype=_dtype(dtype))
    return Run(files.path, config, files.read_tokenizer(), model)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    if isinstance(dtype, str):
        if dtype not in PRECISIONS:
            raise ConfigError(f"unknown dtype {dtype!r}; choose one of {', '.join(PRECISIONS)}")
        return PRECISIONS[dtype]
    return dtype or torch.float32
