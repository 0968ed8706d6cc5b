"""The model is one graph: torch.compile finds nothing in it that it must leave to Python.

Small configurations of every kind are compiled and run forward; a model of every published family is run
forward and backward. The backend counts the graphs, and needs no compiler on the machine. `fullgraph`, which
makes a break an error, also lets a mixture of experts have its counts of tokens as numbers of the graph:
compiled without it, a mixture is a break, and nothing else is.

All this is done in another process, because the run-time checks of tensor shapes that the tests switch on are
Python of their own, which no compiler can follow. It prints what it has done. Tracing takes long, layer by
layer, so every path is traced once: models have one round of their pattern (what layers share is traced where
that has several), published families read plain tokens, and the small models documents and padding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint.published import CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.published_permutation import PERMUTATION_CASES
from checkpoint.published_seq2seq import SEQ2SEQ_CASES
from model.small_encoders import ENCODERS
from model.small_encoders import scrambled as scrambled_model
from model.small_models import CONFIGS, scrambled, some_tokens
from model.small_permutations import PERMUTATIONS
from model.small_seq2seq import SEQ2SEQ

from hornbook.model.families.family import load_families, read_config
from hornbook.model.mask import Mask
from hornbook.model.mixture import Mixture
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import build_model

ROOT = Path(__file__).resolve().parents[2]
TOKENS = some_tokens(2, 10)
FAMILIES: dict[str, str] = {}
"""The first case of every published family."""
for _case in (*CASES, *ENCODER_CASES, *SEQ2SEQ_CASES, *PERMUTATION_CASES):
    FAMILIES.setdefault(_case.split()[0].rstrip(","), _case)


@pytest.fixture(scope="module")
def compiled() -> dict[str, list[str]]:
    """The names of what each function below has compiled in another process."""
    child = subprocess.run(
        [sys.executable, "-c", "from model import test_compile; test_compile.compile_all()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    names = defaultdict(list)
    for function, name in (line.split(": ", 1) for line in child.stdout.splitlines()):
        names[function].append(name)
    assert child.returncode == 0, f"after {dict(names)}: {child.stderr}"
    return names


@pytest.mark.slow
def test_forward_is_one_graph(compiled: dict[str, list[str]]) -> None:
    assert compiled["small"] == [*CONFIGS, *ENCODERS, *PERMUTATIONS, *SEQ2SEQ]


@pytest.mark.slow
def test_published_families_learn_in_one_graph(compiled: dict[str, list[str]]) -> None:
    assert compiled["published"] == list(FAMILIES)


@pytest.mark.slow
def test_a_mixture_is_a_break_without_fullgraph(compiled: dict[str, list[str]]) -> None:
    """Everything else was compiled without it above, to one graph each."""
    assert int(compiled["graphs of a mixture"][0]) > 1


def compile_all() -> None:
    """What the other process does."""
    compile_small()
    compile_published()
    graphs = list[object]()
    counting(scrambled(shortest(CONFIGS["experts"])), graphs)(TOKENS)
    print(f"graphs of a mixture: {len(graphs)}")


def counting(model: torch.nn.Module, graphs: list[object], **how: Any) -> Callable[..., torch.Tensor]:
    """A model compiled by a backend that puts down the graphs it gets, and runs them as they are."""

    def keep(graph: torch.fx.GraphModule, inputs: object) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled: Callable[..., torch.Tensor] = torch.compile(model, backend=keep, **how)
    return compiled


@contextmanager
def one_graph(model: torch.nn.Module) -> Iterator[Callable[..., torch.Tensor]]:
    """A model to be called compiled, which must be one graph by then."""
    graphs = list[object]()
    yield counting(model, graphs, fullgraph=any(isinstance(each, Mixture) for each in model.modules()))
    assert len(graphs) == 1, f"{len(graphs)} graphs"


def compile_small() -> None:
    """Compile every small configuration and compare what it computes; print their names."""
    documents = Mask(documents=torch.arange(10).expand(2, 10) // 4)
    for name, config in CONFIGS.items():
        run_small(name, scrambled(shortest(config)), {"mask": documents})
    for name, encoder in ENCODERS.items():
        model: Any = scrambled_model(build_model(shortest(encoder)))
        padded = Mask(causal=model.sees.causal, padding=torch.arange(10).expand(2, 10) < 7)
        segments = None if model.embedding.segments is None else TOKENS % 2
        run_small(name, model, {"mask": padded, "segments": segments})
    for name, permutation in PERMUTATIONS.items():
        segments = TOKENS % 2 if permutation.compares_segments else None
        order = torch.arange(10).expand(2, 10) * 7 % 10
        model = scrambled_model(build_model(shortest(permutation)))
        run_small(name, model, {"segments": segments, "order": order})
    for name, seq2seq in SEQ2SEQ.items():
        padded = Mask(causal=False, padding=torch.arange(10).expand(2, 10) < 7)
        model = scrambled_model(build_model(shortest(seq2seq)))
        beside = {"tokens": TOKENS.flip(1), "source_mask": padded}
        run_small(name, model, beside, tokens=TOKENS % seq2seq.encoder.vocab_size)


def run_small(
    name: str, model: torch.nn.Module, beside: dict[str, Any], tokens: torch.Tensor = TOKENS
) -> None:
    """Compile a model, compare it on tokens and what is given beside them, and print its name."""
    with one_graph(model) as compiled:
        found = compiled(tokens, **beside)
    torch.testing.assert_close(found, model(tokens, **beside), atol=1e-6, rtol=1e-6)
    print(f"small: {name}")


def compile_published() -> None:
    """Compile a model of every family, compare its logits and gradients; print the families."""
    tokens = some_tokens(2, 10) + 4  # The first ids are those of padding.
    for family, case in FAMILIES.items():
        model = scrambled_model(build_model(published(case)))
        inputs = (tokens, tokens.flip(1)) if case in SEQ2SEQ_CASES else (tokens,)
        wanted = logits_and_gradients(model, model, inputs)
        with one_graph(model) as compiled:
            found = logits_and_gradients(compiled, model, inputs)
        for ours, theirs in zip(found, wanted, strict=True):
            # Norms round otherwise there, and a gradient's small numbers are what is left of large ones.
            scale = 1.0 if theirs is None else max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(ours, theirs, atol=1e-5 * scale, rtol=1e-5)
        print(f"published: {family}")


def published(case: str) -> AnyConfig:
    """A published configuration as we read it, with one round of its pattern of layers."""
    encoders = {name: make for name, (_, make) in ENCODER_CASES.items()}
    makers = CASES | encoders | PERMUTATION_CASES | SEQ2SEQ_CASES
    attributes = json.loads(makers[case]().to_json_string())
    family = load_families(attributes["model_type"])[0]
    return shortest(read_config(family, attributes, case))


def shortest(config: Any) -> Any:
    """The same model with one round of its pattern of layers."""
    if isinstance(config, Seq2SeqConfig):
        sides = {"encoder": shortest(config.encoder), "decoder": shortest(config.decoder)}
        return config.model_copy(update=sides)
    return config.model_copy(update={"n_layers": len(config.pattern)})


def logits_and_gradients(
    compute: Callable[..., torch.Tensor], model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]
) -> list[torch.Tensor | None]:
    """What a model computes, compiled or not, and the gradients of the sum of squares."""
    model.zero_grad()
    logits = compute(*inputs)
    logits.square().sum().backward()
    return [logits.detach(), *(parameter.grad for parameter in model.parameters())]
