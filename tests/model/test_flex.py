"""FlexAttention as a compiler sees it: one graph, masks that are cut once, gradients, a kernel that is made.

It is made for a GPU, and this is what a CPU can prove. Each script is a process of its own, since it changes
when FlexAttention is taken, and since no compiler can follow the run-time checks of tensor shapes.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MODELS = """
import torch
from model.every_config import EVERY
from model.small_encoders import scrambled
from model.small_models import some_tokens
from hornbook.model import attend, flex, tiling
from hornbook.model.mask import Mask
from hornbook.model.shapes import build_model

attend.allows_flex = lambda case: case.compiled and case.n_query > 1 and not case.dropping
attend.prefers_products = lambda case: False
n_cut = []
cut = flex.tiles_of
tiling.tiles_of = flex.tiles_of = lambda *args: n_cut.append(1) or cut(*args)
SHARED = "rotary", "encoder-decoder, as first published"  # with layers that see alike; of others one round
tokens, documents = some_tokens(2, 10, 23), torch.arange(10).expand(2, 10) // 4
for name, expected in {
    "rotary": 1,
    "local and global": 2,
    "distance": 1,
    "bent scores": 1,
    "block-local": 2,
    "masked, sparse": 1,
    "masked, relative bias": 1,
    "any order, as published": 1,
    "encoder-decoder, as first published": 3,
}.items():
    torch.compiler.reset()
    config = EVERY[name]
    if name not in SHARED:
        config = config.model_copy(update={"n_layers": len(config.pattern)})
    model = scrambled(build_model(config)).eval().requires_grad_(False)
    if hasattr(model, "encoder"):
        args = tokens, tokens, Mask(causal=False, documents=documents), Mask(documents=documents)
    else:
        args = tokens, Mask(causal=getattr(model, "sees", Mask()).causal, documents=documents)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    n_cut.clear()
    torch.testing.assert_close(compiled(*args), model(*args), atol=1e-5, rtol=1e-5)
    assert len(n_cut) == expected, (name, len(n_cut))
    print(name)
"""

GRADIENTS = """
import torch
import torch.nn.attention.flex_attention as theirs
from hornbook.model.attend import attend_by_products
from hornbook.model.flex import attend_by_tiles
from hornbook.model.mask import Mask

theirs._validate_device = lambda *args: None  # or it refuses to learn on a CPU
N = 150
generator = torch.Generator().manual_seed(0)
rows = torch.arange(N).expand(2, N)
for name, mask in {
    "window": Mask(window=40),
    "nothing to see at first": Mask(padding=rows >= torch.tensor([[140], [0]])),
    "another row": Mask(causal=False, documents=rows[:, :90] // 40, query_documents=rows // 40),
}.items():
    torch.compiler.reset()
    n_key = 90 if name == "another row" else N
    shapes = (2, 4, N, 16), (2, 2, n_key, 16), (2, 2, n_key, 16), (1, 4, N, n_key)
    given = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    seen = mask.dense(N, n_key, rows.device).any(-1).expand(2, 4, N)
    found = []
    for attend in (torch.compile(attend_by_tiles, fullgraph=True, backend="aot_eager"), attend_by_products):
        mixed = attend(*given[:3], mask, softcap=2.0, bias=given[3])
        found.append([mixed[seen], *torch.autograd.grad(mixed[seen].square().sum(), given)])
    assert all(each.isfinite().all() for each in found[0])
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
    print(name)
"""

KERNEL = """
import torch
from hornbook.model.attend import attend_by_products
from hornbook.model.flex import attend_by_tiles
from hornbook.model.mask import Mask

generator = torch.Generator().manual_seed(0)
q, k, v = (torch.randn(2, heads, 300, 16, generator=generator) for heads in (4, 2, 2))
bias = torch.randn(1, 4, 300, 300, generator=generator)
mask = Mask(window=100, documents=torch.arange(300).expand(2, 300) // 130)
compiled = torch.compile(attend_by_tiles, fullgraph=True)
with torch.no_grad():
    for scoring in ({}, {"softcap": 2.0, "bias": bias, "scale": 0.2}):
        ours, wanted = (attend(q, k, v, mask, **scoring) for attend in (compiled, attend_by_products))
        torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
print("made")
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_models_are_one_graph_and_layers_that_see_alike_share_tiles() -> None:
    """The script counts how often a mask is cut: once for each window or pattern, and for what is read."""
    child = run(MODELS)
    assert child.returncode == 0, child.stderr
    assert len(child.stdout.splitlines()) == 9


@pytest.mark.slow
def test_gradients_are_those_of_products() -> None:
    child = run(GRADIENTS)
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines() == ["window", "nothing to see at first", "another row"]


@pytest.mark.slow
@pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64" or shutil.which("g++") is None,
    reason="PyTorch makes this kernel with g++, on x86-64",
)
def test_a_kernel_is_made_and_computes_the_same() -> None:
    """Lengths are no multiple of a tile."""
    child = run(KERNEL)
    assert child.stdout.splitlines() == ["made"], child.stderr
