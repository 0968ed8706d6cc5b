"""Telling what became of documents that were tokenized."""

from __future__ import annotations

from pathlib import Path

from hornbook.data.tokenize import tokenize
from hornbook.recipes import words
from hornbook.recipes.at_hand import find_tokenizer
from hornbook.recipes.lesson import Lesson, console, size_in_bytes
from hornbook.tokenizer.tokenizer import n_threads


def tokenize_inputs(
    inputs: list[str], tokenizer: Path, out: Path, workers: int | None, column: str, held_out: float | None
) -> None:
    """Make a folder of token shards, and say what it holds and how to train on it."""
    lesson = Lesson(console())
    named = find_tokenizer(tokenizer)
    with lesson.bar("tokenizing") as progress:
        facts = tokenize(
            inputs,
            named.tokenizer,
            out,
            n_processes=n_threads(workers),
            column=column,
            held_out_share=held_out,
            progress=progress,
        )
    lesson.title(f"{out} holds tokens")
    lesson.fact("tokenizer", f"{named.name}, {named.tokenizer.vocab_size:,} ids")
    for part, counts in facts["parts"].items():
        text = f"{counts['documents']:,} documents, {size_in_bytes(counts['bytes'])}"
        density = counts["bytes"] / counts["tokens"]
        lesson.fact(
            part.replace("_", " "), f"{counts['tokens']:,} tokens of {text}: {density:.2f} bytes a token"
        )
    for reason, count in facts["left_out"].items():
        lesson.fact("left out", f"{count:,}: {reason}")
    command = words.typed("train", "quickstart", f"data.path={out}", "--out", "runs/first")
    lesson.say(f"Train on it: {command}", "bold")
