"""What a run asked of its model, in words: for the report, and for the terminal.

Everything is read off plain JSON data, as a run folder has it; a run that says nothing of an objective
learned to predict the next token.
"""

from __future__ import annotations

from typing import NamedTuple

from hornbook.recipes.report_text import at, number


class Words(NamedTuple):
    """How an objective is spoken of."""

    guesses: str
    """What the model guesses at every step: `... of a batch of text`."""
    asked_for: str
    """What it was asked for in the end, on text that it had never seen."""


WORDS = {
    "next_token": Words("each next token of a batch of text", "each next token"),
    "masked": Words("the hidden tokens of a batch of text", "hidden tokens, from what stands around them"),
    "masked_pairs": Words(
        "the hidden tokens of pairs of texts, and whether the second follows the first",
        "hidden tokens, from what stands around them",
    ),
    "span_denoising": Words(
        "the missing spans of a batch of text", "missing spans, from what was left of the text"
    ),
    "prefix": Words("how each text of a batch goes on", "how a text goes on, from its beginning"),
    "permutation": Words(
        "tokens of a batch of text in a random order",
        "tokens in a random order, from those before them in it",
    ),
    "weighted": Words(
        "what is missing in a batch of text", "what was missing, in each way that it had learned"
    ),
}


def objective_of(config: object) -> str:
    """The kind of objective that a configuration names."""
    kind = at(config, "train", "objective", "kind")
    return kind if isinstance(kind, str) and kind in WORDS else "next_token"


def is_decoder(config: object) -> bool:
    """Whether the model is one that is measured as a compressor would be."""
    return at(config, "model", "kind") in (None, "causal_lm")


def writes(config: object) -> bool:
    """Whether the model learned to go on with a text."""
    kinds = {objective_of(config)}
    if kinds == {"weighted"}:
        parts = at(config, "train", "objective", "parts")
        kinds = {at(part, "objective", "kind") for part in parts} if isinstance(parts, list) else set()
    prompted = {"prefix"} if at(config, "model", "kind") == "seq2seq" else {"next_token", "prefix"}
    return bool(kinds & prompted)


def verdict(config: object, bits: float) -> str:
    """What the bits per byte say of a model that is no decoder."""
    return (
        f"On text that it had never seen, the model was asked for {WORDS[objective_of(config)].asked_for}. "
        f"It needs {number(bits)} bits for each byte of them. A compressor knows only what came before: "
        "compare this with models of the same objective, and not with a compressor."
    )
