"""The model is one graph: torch.compile finds nothing in it that it must leave to Python.

Compiled in another process, because the run-time checks of tensor shapes that the tests switch on are
Python of their own, which no compiler can follow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from model.small_encoders import ENCODERS
from model.small_models import CONFIGS
from model.small_permutations import PERMUTATIONS

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import torch
from model.small_encoders import ENCODERS, scrambled as scrambled_encoder
from model.small_models import CONFIGS, scrambled, some_tokens
from model.small_permutations import PERMUTATIONS
from hornbook.model.mask import Mask
from hornbook.model.shapes import build_model

tokens = some_tokens(2, 10)
documents = Mask(documents=torch.arange(10).expand(2, 10) // 4)
for name, config in CONFIGS.items():
    torch.compiler.reset()
    model = scrambled(config)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for args in ((tokens,), (tokens, documents)):
        torch.testing.assert_close(compiled(*args), model(*args), atol=1e-6, rtol=1e-6)
    print(name)
for name, config in ENCODERS.items():
    torch.compiler.reset()
    model = scrambled_encoder(build_model(config))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    padded = Mask(causal=model.sees.causal, padding=torch.arange(10).expand(2, 10) < 7)
    segments = None if model.embedding.segments is None else tokens % 2
    for mask in (None, padded):
        out, wanted = (each(tokens, mask, segments=segments) for each in (compiled, model))
        torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-6)
    print(name)
for name, config in PERMUTATIONS.items():
    torch.compiler.reset()
    model = scrambled_encoder(build_model(config))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    segments = tokens % 2 if config.compares_segments else None
    for order in (None, torch.arange(10).expand(2, 10) * 7 % 10):
        out, wanted = (each(tokens, segments=segments, order=order) for each in (compiled, model))
        torch.testing.assert_close(out, wanted, atol=1e-6, rtol=1e-6)
    print(name)
"""


@pytest.mark.slow
def test_forward_is_one_graph() -> None:
    """`fullgraph` makes a break an error; the eager backend needs no compiler on the machine."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.splitlines() == [*CONFIGS, *ENCODERS, *PERMUTATIONS], child.stderr
