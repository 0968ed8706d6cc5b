"""`hornbook show`: the drawing, the arithmetic, the kernels, the memory, the configuration, at one glance."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from model.small_shapes import shaped_configs
from recipes.tiny_runs import hornbook

from hornbook.base.config import to_dict
from hornbook.recipes.lesson import size_in_bytes
from hornbook.recipes.needs import Needs
from hornbook.recipes.shapes import resolve

TINY = ["size=1", "vocab_size=300", "data.seq_len=32", "data.batch_size=4"]
SET = ["train.device=cpu", "train.precision=float32"]


def shown(*words: str | Path) -> str:
    said = hornbook("show", *words)
    assert said.code == 0, said.err
    return said.out


def cells(line: str) -> list[str]:
    """The columns of a line of a table."""
    return re.split(r" {2,}", line.strip())


def section(text: str, heading: str) -> list[list[str]]:
    """The lines under a heading, cut into columns."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"  {heading}"))
    return [cells(line) for line in lines[start + 1 : lines.index("", start)] if "come on top" not in line]


def test_the_optimizer_s_groups_are_shown() -> None:
    rows = section(shown("quickstart", *TINY, *SET), "optimizer")
    assert rows[0] == ["weights of", "rule", "tensors", "numbers", "rate", "decay"]
    assert [row[:2] for row in rows[1:]] == [
        ["matrices", "muon"],
        ["embeddings", "adamw"],
        ["head", "adamw"],
        ["vectors", "adamw"],
    ]
    assert [row[4] for row in rows[1:]] == ["0.02", "0.03", "0.006", "0.006"]


def test_a_recipe_is_shown_with_what_it_needs() -> None:
    given = [*TINY, *SET, "train.recompute=selective"]
    text, needs = shown("quickstart", *given), Needs(resolve("quickstart", given))
    learning = section(text, "memory to learn")
    assert learning[0] == ["weights", size_in_bytes(needs.at_rest.weights)]
    assert [row[:2] for row in learning[4:]] == [
        ["4", "none"], ["4", "selective"], ["4", "block"], ["1", "selective"]
    ]  # fmt: skip
    own = needs.learning(4, "selective")
    peak = size_in_bytes(needs.step_peak(own))
    assert learning[5] == ["4", "selective", size_in_bytes(own.kept), peak, "this run"]
    assert text.count("this run") == 1
    writing = section(text, "memory to write  after 256 tokens")
    reading = needs.writing(torch.bfloat16)
    assert writing[2][2] == size_in_bytes(reading.lasting)
    assert writing[3] == [
        "most at any moment",
        writing[3][1],
        size_in_bytes(needs.at_rest.weights // 2 + reading.peak),
    ]
    kernels = section(text, "kernels of attention  on the CPU")
    assert kernels == [
        ["learning in float32", "a prompt in float32", "the next token"],
        ["attention", "fused, masked", "fused, causal", "fused, open"],
    ]
    assert "kFLOP to read one token" in text
    assert json.loads(text[text.index("{") :])["train"]["recompute"] == "selective"


def test_one_row_at_a_time_is_shown_once() -> None:
    rows = section(shown("quickstart", *TINY, *SET, "train.micro_batch_size=1"), "memory to learn")[4:]
    assert [row[:2] for row in rows] == [["1", "none"], ["1", "selective"], ["1", "block"]]


@pytest.mark.parametrize("kind", list(shaped_configs()))
def test_every_shape_is_shown(kind: str, tmp_path: Path) -> None:
    config = resolve("quickstart", [*TINY, *SET, "data.seq_len=12"])
    config = config.model_copy(update={"model": shaped_configs()[kind]})
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_dict(config)), encoding="utf-8")
    text = shown(file)
    writes = kind in ("causal_lm", "seq2seq")
    assert ("memory to write" in text) == writes and ("memory to read" in text) == (not writes)
    assert ("cache" in text.split("configuration")[0]) == writes
    assert ("cross attention" in text) == ("token ids of the target" in text) == (kind == "seq2seq")
    assert ("for a token of each text" in text) == (kind == "seq2seq")
