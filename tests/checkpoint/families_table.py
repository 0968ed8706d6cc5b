"""Writes the table of docs/families.md: what every case of every family differs by from transformers.

`make families` runs it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from checkpoint.published import CASES
from checkpoint.published_classifiers import CLASSIFIER_CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.published_permutation import PERMUTATION_CASES
from checkpoint.published_seq2seq import SEQ2SEQ_CASES
from checkpoint.published_seq2seq import published as published_seq2seq
from checkpoint.test_classifiers import published as published_classifier
from checkpoint.test_classifiers import some_texts
from checkpoint.test_encoders import published as published_encoder
from checkpoint.test_encoders import some_inputs
from checkpoint.test_hugging_face import published, some_tokens
from checkpoint.test_permutation import published as published_permutation
from checkpoint.test_seq2seq import some_pairs, tables

from hornbook.checkpoint.hugging_face import read_model

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


Draw = Callable[[Any, int], torch.Tensor | tuple[torch.Tensor, torch.Tensor]]
KINDS: list[tuple[dict[str, Any], Callable[[str], Any], Draw]] = [
    (CASES, published, some_tokens),
    (CLASSIFIER_CASES, published_classifier, lambda config, seq_len: some_texts(config, 2, seq_len)),
    (
        {case: config for case, (_, config) in ENCODER_CASES.items()},
        published_encoder,
        lambda config, seq_len: some_inputs(config, seq_len)[0],
    ),
    (PERMUTATION_CASES, published_permutation, some_tokens),
    (SEQ2SEQ_CASES, published_seq2seq, lambda config, seq_len: some_pairs(config, seq_len, seq_len)),
]
"""For each kind of model its configurations by case, the model of a case, and tokens for it: of one text, or
of a source and a target."""


def errors(theirs: Any, draw: Draw) -> tuple[float, float]:
    """The largest differences of logits and of gradients, as shares of the largest value."""
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        config, ours = read_model(folder)
    drawn = draw(config, config.max_seq_len)
    texts = drawn if isinstance(drawn, tuple) else (drawn,)
    logits = ours.eval()(*texts)
    wanted = theirs(**dict(zip(("input_ids", "decoder_input_ids"), texts, strict=False))).logits
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for out in (logits, wanted):
        (out * direction / texts[0].numel()).sum().backward()
    gradient, wanted_gradient = (tables(model)[0].weight.grad for model in (ours, theirs))
    return share(logits.detach(), wanted.detach()), share(gradient, wanted_gradient)


def share(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def rows() -> dict[str, list[str]]:
    """The lines of the table by family, the cases in their order."""
    lines = defaultdict(list)
    for configs, published_model, draw in KINDS:
        for case, config in configs.items():
            family = config().model_type
            logits, gradients = errors(published_model(case), draw)
            lines[family].append(f"| `{family}` | {case} | {logits:.0e} | {gradients:.0e} |")
    return lines


def main() -> None:
    """Write the page's table anew."""
    lines = [line for family in rows().values() for line in family]
    table = "\n".join(["| family | case | logits | gradients |", "|---|---|---|---|", *lines])
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(f"{BEGIN}.*{END}", f"{BEGIN}\n\n{table}\n\n{END}", page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write(f"{len(lines)} cases\n")


if __name__ == "__main__":
    main()
