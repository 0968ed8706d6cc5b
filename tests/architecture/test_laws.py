"""The laws hold in the house, and each law catches a small source that breaks it."""

from __future__ import annotations

import pytest
from architecture import laws
from architecture.house import FLOORS, fabricate, rooms

LAWS = [
    laws.floors,
    laws.surface_is_lazy,
    laws.forbidden_imports,
    laws.declared_imports,
    laws.no_pickle,
    laws.sizes,
    laws.reference_size,
    laws.names,
    laws.no_families,
    laws.documented,
    laws.quiet_import,
]

LONG_FUNCTION = '"""Doc."""\ndef _f() -> None:\n' + "    x = 1\n" * 80
LONG_MODULE = '"""Doc."""\n' + "X = 1\n" * 500

BREACHES = [
    (laws.floors, "hornbook.base.x", "import hornbook.model", "base on floor 0 imports model on floor 1"),
    (
        laws.floors,
        "hornbook.model.x",
        "from hornbook.tokenizer import Tokenizer",
        "imports tokenizer on floor 1",
    ),
    (laws.floors, "hornbook.data.x", "from hornbook import train", "imports train on floor 4"),
    (laws.floors, "hornbook.data.x", "from ..train import loop", "imports train on floor 4"),
    (laws.floors, "hornbook.data.x", "from .. import train", "imports train on floor 4"),
    (laws.floors, "hornbook.data.x", "def _f():\n    import hornbook.train.loop", "imports train on floor 4"),
    (
        laws.floors,
        "hornbook.base.x",
        "import importlib\nX = importlib.import_module('hornbook.cli')",
        "imports cli",
    ),
    (laws.floors, "hornbook.train.x", "from hornbook import Tokenizer", "the public surface"),
    (laws.floors, "hornbook.train.x", "import hornbook", "the public surface"),
    (laws.floors, "hornbook.train.x", "from hornbook.attic import y", "'attic', a room no floor knows"),
    (laws.floors, "hornbook.attic.x", "from hornbook.base import y", "attic on floor none imports base"),
    (
        laws.surface_is_lazy,
        "hornbook",
        "from hornbook.model import CausalLM",
        "imports hornbook.model.CausalLM",
    ),
    (laws.surface_is_lazy, "hornbook.__main__", "import hornbook.train", "imports hornbook.train"),
    (laws.forbidden_imports, "hornbook.tokenizer.x", "import torch", "tokenizer knows no torch"),
    (
        laws.forbidden_imports,
        "hornbook.corpus.x",
        "from safetensors.torch import save_file",
        "knows no torch",
    ),
    (laws.forbidden_imports, "hornbook.model.x", "from torch import distributed", "no torch.distributed"),
    (laws.forbidden_imports, "hornbook.train.x", "def _f():\n    import tiktoken", "tiktoken is an oracle"),
    (
        laws.forbidden_imports,
        "hornbook.tokenizer.x",
        "def _f():\n    import tokenizers",
        "tokenizers is an oracle",
    ),
    (
        laws.forbidden_imports,
        "hornbook.tokenizer.library",
        "def _f():\n    import tiktoken",
        "tiktoken is an oracle",
    ),
    (laws.declared_imports, "hornbook.train.x", "import requests", "requests is not declared"),
    (laws.declared_imports, "hornbook.evaluate.x", "import sklearn.metrics", "sklearn is optional"),
    (laws.no_pickle, "hornbook.data.x", "import pickle", "imports pickle"),
    (laws.no_pickle, "hornbook.data.x", "from torch import load", "imports torch.load"),
    (
        laws.no_pickle,
        "hornbook.data.x",
        "import torch\ndef _f(p):\n    torch.save({}, p)",
        "torch.save is pickle",
    ),
    (laws.no_pickle, "hornbook.data.x", "def _f(np):\n    np.load('x', allow_pickle=True)", "allow_pickle"),
    (laws.sizes, "hornbook.data.x", LONG_FUNCTION, "_f has 81 lines, 80 at most"),
    (laws.sizes, "hornbook.data.x", LONG_MODULE, "501 lines, 500 at most"),
    (laws.reference_size, "hornbook.data.reference", '"""Doc."""\n' + "X = 1\n" * 149, "stays under 150"),
    (laws.names, "hornbook.data.text_utils", "", "named 'utils'"),
    (laws.names, "hornbook.data.x", "def _f(n_hidden):\n    pass", "'n_hidden'"),
    (laws.names, "hornbook.data.x", "class HiddenState:\n    pass", "'HiddenState'"),
    (laws.names, "hornbook.data.x", "import os as hidden", "'hidden'"),
    (laws.no_families, "hornbook.model.x", "class LlamaBlock:\n    pass", "'LlamaBlock' names a family"),
    (laws.no_families, "hornbook.model.x", "KIND = 'gpt2'", "'gpt2' names a family"),
    (
        laws.no_families,
        "hornbook.model.x",
        "from hornbook.model.families import bert",
        "'bert' names a family",
    ),
    (laws.no_families, "hornbook.model.mistral", "", "names a family"),
    (laws.documented, "hornbook.data.x", "X = 1", "no docstring"),
    (laws.documented, "hornbook.data.x", '"""Doc."""\ndef f():\n    pass', "f has no docstring"),
    (laws.quiet_import, "hornbook.data.x", "print('hello')", "runs at import: print"),
    (
        laws.quiet_import,
        "hornbook.data.x",
        "import torch\nGPU = torch.cuda.is_available()",
        "runs at import: GPU",
    ),
    (laws.quiet_import, "hornbook.data.x", "import os\nHOME = os.environ['HOME']", "runs at import: HOME"),
    (laws.quiet_import, "hornbook.data.x", "for i in range(3):\n    pass", "runs at import: for"),
    (
        laws.quiet_import,
        "hornbook.data.x",
        "try:\n    import torch\nexcept ImportError:\n    torch = None",
        "try:",
    ),
]

ALLOWED = [
    (
        laws.floors,
        "hornbook.train.x",
        "from hornbook.data import loader\nfrom . import step\nimport hornbook.train.loop",
    ),
    (laws.floors, "hornbook", "def _f():\n    from hornbook.cli import main"),
    (laws.floors, "hornbook.checkpoint.x", "from hornbook import __version__"),
    (laws.surface_is_lazy, "hornbook", "def _f():\n    from hornbook.train import train"),
    (
        laws.surface_is_lazy,
        "hornbook",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hornbook.train",
    ),
    (laws.surface_is_lazy, "hornbook.__main__", "from hornbook.cli import main"),
    (laws.forbidden_imports, "hornbook.checkpoint.x", "def _f():\n    import transformers"),
    (laws.declared_imports, "hornbook.evaluate.x", "import os, numpy\ndef _f():\n    import sklearn.metrics"),
    (laws.no_pickle, "hornbook.data.x", "def _f(np):\n    np.load('x', allow_pickle=False)"),
    (laws.sizes, "hornbook.data.x", LONG_FUNCTION.replace("    x = 1\n", "", 1)),
    (laws.names, "hornbook.model.families.x", "def _f(config):\n    return config.hidden_size"),
    (laws.names, "hornbook.data.commons", ""),
    (laws.no_families, "hornbook.model.families.gpt2", "KIND = 'gpt2'"),
    (laws.no_families, "hornbook.model.x", '"""Grouped heads as in Llama 2."""\n'),
    (
        laws.quiet_import,
        "hornbook.data.x",
        '"""Doc."""\nimport re\nX = re.compile("a")\nif __name__ == "__main__":\n    X()',
    ),
    (laws.quiet_import, "hornbook.cli.x", "import typer\napp = typer.Typer()\napp.command('train')(print)"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_house_keeps_the_law(law: laws.Law) -> None:
    assert laws.broken(law) == []


@pytest.mark.parametrize(("law", "name", "source", "message"), BREACHES)
def test_the_law_sees_a_breach(law: laws.Law, name: str, source: str, message: str) -> None:
    found = law(fabricate(name, source))
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith(f"{name}:")


@pytest.mark.parametrize(("law", "name", "source"), ALLOWED)
def test_the_law_lets_the_rest_pass(law: laws.Law, name: str, source: str) -> None:
    assert law(fabricate(name, source, is_package=name == "hornbook")) == []


def test_a_package_resolves_its_relative_imports() -> None:
    """In a package's `__init__`, one dot is the package itself."""
    found = laws.floors(fabricate("hornbook.data", "from ..train import loop", is_package=True))
    assert found == ["hornbook.data:1 data on floor 2 imports train on floor 4"]
    assert laws.floors(fabricate("hornbook.data", "from .train import loop", is_package=True)) == []


def test_every_law_has_a_source_that_breaks_it() -> None:
    assert {law for law, *_ in BREACHES} == set(LAWS)


def test_every_room_has_its_floor() -> None:
    assert rooms() <= set(FLOORS)
