"""The model is one graph: torch.compile finds nothing in it that it must leave to Python.

Small configurations of every kind are compiled and run forward; a model of every published family is run
forward and backward. `fullgraph` makes a break an error, and the eager backends need no compiler on the
machine. It also lets a mixture of experts have its counts of tokens as numbers of the graph: compiled without
it, each mixture is a break, and only mixtures are (`test_only_mixtures_need_fullgraph`).

All this is done in other processes, because the run-time checks of tensor shapes that the tests switch on are
Python of their own, which no compiler can follow. Such a process prints what it has done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint.published import CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.published_permutation import PERMUTATION_CASES
from checkpoint.published_seq2seq import SEQ2SEQ_CASES
from checkpoint.published_seq2seq import published as published_seq2seq
from model.small_encoders import ENCODERS
from model.small_encoders import scrambled as scrambled_model
from model.small_models import CONFIGS, scrambled, some_tokens
from model.small_permutations import PERMUTATIONS
from model.small_seq2seq import SEQ2SEQ

from hornbook.checkpoint.hugging_face import read_model
from hornbook.model.mask import Mask
from hornbook.model.shapes import build_model

ROOT = Path(__file__).resolve().parents[2]
TOKENS = some_tokens(2, 10)
FAMILIES: dict[str, str] = {}
"""The first case of every published family."""
for _case in (*CASES, *ENCODER_CASES, *SEQ2SEQ_CASES, *PERMUTATION_CASES):
    FAMILIES.setdefault(_case.split()[0].rstrip(","), _case)
MIXTURES = {name for name in CONFIGS if "experts" in name}


@pytest.mark.slow
def test_forward_is_one_graph() -> None:
    names, errors = printed("compile_small")
    assert names == [*CONFIGS, *ENCODERS, *PERMUTATIONS, *SEQ2SEQ], errors


@pytest.mark.slow
def test_published_families_learn_in_one_graph() -> None:
    names, errors = printed("compile_published")
    assert names == list(FAMILIES), errors


@pytest.mark.slow
def test_only_mixtures_need_fullgraph() -> None:
    names, errors = printed("compile_with_breaks")
    assert set(names) == MIXTURES, errors


def printed(function: str) -> tuple[list[str], str]:
    """The lines that a function of this file prints in another process, and the errors there."""
    child = subprocess.run(
        [sys.executable, "-c", f"from model import test_compile; test_compile.{function}()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    return child.stdout.splitlines(), child.stderr


def compile_small() -> None:
    """Compile every small configuration and compare what it computes; print their names."""
    documents = Mask(documents=torch.arange(10).expand(2, 10) // 4)
    for name, config in CONFIGS.items():
        run_small(name, scrambled(config), {}, {"mask": documents})
    for name, encoder in ENCODERS.items():
        model: Any = scrambled_model(build_model(encoder))
        padded = Mask(causal=model.sees.causal, padding=torch.arange(10).expand(2, 10) < 7)
        segments = None if model.embedding.segments is None else TOKENS % 2
        run_small(name, model, {"segments": segments}, {"mask": padded, "segments": segments})
    for name, permutation in PERMUTATIONS.items():
        segments = TOKENS % 2 if permutation.compares_segments else None
        order = torch.arange(10).expand(2, 10) * 7 % 10
        model = scrambled_model(build_model(permutation))
        run_small(name, model, {"segments": segments}, {"segments": segments, "order": order})
    for name, seq2seq in SEQ2SEQ.items():
        padded = Mask(causal=False, padding=torch.arange(10).expand(2, 10) < 7)
        model = scrambled_model(build_model(seq2seq))
        written = {"tokens": TOKENS.flip(1)}
        inputs = [written, written | {"source_mask": padded}]
        run_small(name, model, *inputs, tokens=TOKENS % seq2seq.encoder.vocab_size)


def run_small(
    name: str, model: torch.nn.Module, *inputs: dict[str, Any], tokens: torch.Tensor = TOKENS
) -> None:
    """Compile a model, compare it on inputs beside the tokens, and print its name."""
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for beside in inputs:
        torch.testing.assert_close(compiled(tokens, **beside), model(tokens, **beside), atol=1e-6, rtol=1e-6)
    print(name)


def compile_published() -> None:
    """Compile a model of every family, compare its logits and gradients; print the families."""
    tokens = some_tokens(2, 10) + 4  # The first ids are those of padding.
    for family, case in FAMILIES.items():
        torch.compiler.reset()
        model = read_published(case)
        inputs = (tokens, tokens.flip(1)) if case in SEQ2SEQ_CASES else (tokens,)
        wanted = logits_and_gradients(model, model, inputs)
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        found = logits_and_gradients(compiled, model, inputs)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        print(family)


def read_published(case: str) -> torch.nn.Module:
    """Our model, from the folder in which transformers saved one of its own."""
    import transformers

    torch.manual_seed(0)
    if case in SEQ2SEQ_CASES:
        theirs = published_seq2seq(case)
    elif case in ENCODER_CASES:
        name, config = ENCODER_CASES[case]
        theirs = getattr(transformers, name)(config())
    else:
        theirs = transformers.AutoModelForCausalLM.from_config((CASES | PERMUTATION_CASES)[case]())
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return read_model(folder)[1].eval()


def logits_and_gradients(
    compute: Callable[..., torch.Tensor], model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]
) -> list[torch.Tensor | None]:
    """What a model computes, compiled or not, and the gradients of the sum of squares."""
    model.zero_grad()
    logits = compute(*inputs)
    logits.square().sum().backward()
    return [logits.detach(), *(parameter.grad for parameter in model.parameters())]


def compile_with_breaks() -> None:
    """Compile every small decoder as torch.compile does by itself; print those with more than one graph."""
    for name, config in CONFIGS.items():
        torch.compiler.reset()
        graphs = []

        def keep(graph: torch.fx.GraphModule, inputs: object, graphs: list[Any] = graphs) -> Any:
            graphs.append(graph)
            return graph.forward

        torch.compile(scrambled(config), backend=keep)(TOKENS)
        if len(graphs) > 1:
            print(name)
