"""The ladder of small runs that the package's own scaling law is fitted to, made anew.

    HORNBOOK_DATA=folder python benchmarks/ladder.py --out ladder         # about an hour of one core
    hornbook plan fit ladder/runs/* --out ladder/law.json

Every run is the recipe `llama-style` at one size and one number of tokens, with all that follows from these
two: width, depth, batch, rates. All read the same text, English books and encyclopedia, cut by one vocabulary
of 2,048 tokens, and none reads any of it twice. Runs that are finished are left as they are, so the ladder
may be stopped and started again. The law's numbers are in `hornbook/plan/law.json`; docs/planner.md tells of
them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

TEXTS = ("gutenberg/clean/*.txt", "litbank_novels/*.txt", "wikitext2/train.txt")
"""Where the text lies in HORNBOOK_DATA."""
DOCUMENT = 4000
"""Letters in a document: books are cut, so that what is held out is from all over the text."""
VOCAB_SIZE = 2048
HELD_OUT_SHARE = 0.01
SMALL = (200_000, 400_000, 1_000_000, 2_000_000)
RUNGS = (
    *((tokens, size) for tokens in (500_000, 1_000_000, 2_000_000) for size in SMALL),
    *((4_000_000, size) for size in SMALL[:3]),
    (1_000_000, 4_000_000),
    (2_000_000, 4_000_000),
)
"""Tokens and size of each run, so ordered that a ladder that is cut short has all sizes."""


def main() -> None:
    """Make tokens of the text, then run after run."""
    parser = argparse.ArgumentParser(description="Train the small runs of the scaling law.")
    parser.add_argument("--out", type=Path, default=Path("ladder"), help="the folder of all runs")
    parser.add_argument("--precision", default="bfloat16", help="the same for all runs")
    options = parser.parse_args()
    tokens = made_tokens(options.out)
    for n_tokens, size in RUNGS:
        trained(
            options.out / "runs" / f"{size // 1000}k-{n_tokens // 1000}k",
            tokens,
            size,
            n_tokens,
            options.precision,
        )


def made_tokens(out: Path) -> Path:
    """The tokenized folder, made where it is not there yet."""
    from hornbook.data.tokenize import tokenize
    from hornbook.tokenizer.tokenizer import Tokenizer

    folder = out / "tokens"
    if (folder / "tokens.json").exists():
        return folder
    out.mkdir(parents=True, exist_ok=True)
    documents = list(read_documents())
    (out / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), "utf-8")
    tokenizer = Tokenizer.train(documents, vocab_size=VOCAB_SIZE)
    tokenize(out / "text.jsonl", tokenizer, folder, held_out_share=HELD_OUT_SHARE)
    return folder


def read_documents() -> Iterator[str]:
    """The texts in pieces that end where a line ends."""
    root = os.environ.get("HORNBOOK_DATA")
    if root is None:
        sys.exit("HORNBOOK_DATA names no folder of texts; the module's first lines tell which are read")
    for pattern in TEXTS:
        for path in sorted(Path(root).glob(pattern)):
            piece = ""
            for line in path.read_text("utf-8").splitlines(keepends=True):
                piece += line
                if len(piece) >= DOCUMENT:
                    yield piece
                    piece = ""
            yield piece


def trained(folder: Path, tokens: Path, size: int, n_tokens: int, precision: str) -> None:
    """One run, where it is not finished yet."""
    import hornbook as hb

    if (folder / "results.json").exists():
        return
    seldom = [f"train.{what}_every=1000000" for what in ("validate", "sample", "save")]
    hb.train(
        "llama-style",
        f"size={size}",
        f"tokens={n_tokens}",
        f"data.path={tokens}",
        f"train.precision={precision}",
        "train.compile=never",
        "train.micro_batch_size=null",
        "train.final_prompts=[]",
        *seldom,
        out=folder,
        resume=folder.exists(),
    )
    held_out = json.loads((folder / "results.json").read_text("utf-8"))["held_out"]
    print(
        f"{folder.name:>14}  loss {held_out['loss']:.4f}  {held_out['bits_per_byte']:.4f} bits per byte",
        flush=True,
    )


if __name__ == "__main__":
    main()
