"""Writes the table of docs/families.md: what every case of every family differs by from transformers.

`make families` runs it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
from checkpoint.published import CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.test_encoders import published as published_encoder
from checkpoint.test_encoders import some_inputs
from checkpoint.test_hugging_face import published, some_tokens

from hornbook.checkpoint.hugging_face import read_model

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


def errors(case: str) -> tuple[float, float]:
    """The largest differences of logits and of gradients, as shares of the largest value."""
    theirs = published(case) if case in CASES else published_encoder(case)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        config, ours = read_model(folder)
    draw = some_tokens if case in CASES else lambda *size: some_inputs(*size)[0]
    tokens = draw(config, config.max_seq_len)
    logits, wanted = ours.eval()(tokens), theirs(tokens).logits
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for out in (logits, wanted):
        (out * direction / tokens.numel()).sum().backward()
    gradient, wanted_gradient = ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad
    assert gradient is not None
    return share(logits.detach(), wanted.detach()), share(gradient, wanted_gradient)


def share(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def rows() -> dict[str, list[str]]:
    """The lines of the table by family, the cases in their order."""
    lines = defaultdict(list)
    makers = CASES | {case: config for case, (_, config) in ENCODER_CASES.items()}
    for case in makers:
        family = makers[case]().model_type
        logits, gradients = errors(case)
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
