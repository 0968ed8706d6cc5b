"""Hornbook: build a large language model from the letter up.

    import hornbook as hb

    run = hb.load("runs/quickstart")
    print(run.generate("def", max_new_tokens=40))

The names below are the public surface. They are loaded when they are first used, so that importing the
package is instant.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbook.base.errors import HornbookError as HornbookError
    from hornbook.corpus.pipeline import build_corpus as build_corpus
    from hornbook.model.config import ModelConfig as ModelConfig
    from hornbook.model.models import CausalLM as CausalLM
    from hornbook.recipes.road import train as train
    from hornbook.tokenizer.tokenizer import Tokenizer as Tokenizer
    from hornbook.train.config import RunConfig as RunConfig
    from hornbook.train.exchange import export as export
    from hornbook.train.exchange import import_hf as import_hf
    from hornbook.train.run import Run as Run
    from hornbook.train.run import load as load

__version__ = "0.1.0"

_HOMES = {
    "CausalLM": "hornbook.model.models",
    "HornbookError": "hornbook.base.errors",
    "ModelConfig": "hornbook.model.config",
    "Run": "hornbook.train.run",
    "RunConfig": "hornbook.train.config",
    "Tokenizer": "hornbook.tokenizer.tokenizer",
    "build_corpus": "hornbook.corpus.pipeline",
    "export": "hornbook.train.exchange",
    "import_hf": "hornbook.train.exchange",
    "load": "hornbook.train.run",
    "train": "hornbook.recipes.road",
}

__all__ = [
    "CausalLM",
    "HornbookError",
    "ModelConfig",
    "Run",
    "RunConfig",
    "Tokenizer",
    "__version__",
    "build_corpus",
    "export",
    "import_hf",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hornbook' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Surface(ModuleType):
    """This package as a module where a public name stays what it is when a room of that name is imported.

    Importing `hornbook.train.fit` would otherwise put the room `train` in the place of the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Surface
