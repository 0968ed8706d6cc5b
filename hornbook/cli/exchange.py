"""Telling what an import and an export did."""

from __future__ import annotations

from pathlib import Path

from hornbook.model.count import count_parameters
from hornbook.model.models import CausalLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.recipes.lesson import Lesson, console
from hornbook.train.exchange import export, import_hf
from hornbook.train.run import Run, load

AUTO_CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "classifier": "AutoModelForSequenceClassification",
    "permutation_lm": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
}
"""What reads a model of each kind in transformers."""


def bring_in(folder: Path, out: Path) -> None:
    """Make a run of a folder of Hugging Face, and say what came."""
    run = import_hf(folder, out)
    lesson = Lesson(console())
    lesson.title(f"{folder.name} is now {out}")
    model = run.config.model
    size = (
        f"{model.encoder.n_layers} and {model.decoder.n_layers} layers, width {model.decoder.d_model}"
        if isinstance(model, Seq2SeqConfig)
        else f"{model.n_layers} layers, width {model.d_model}"
    )
    lesson.fact("model", f"{model.kind}, {count_parameters(run.model):,} parameters, {size}")
    lesson.fact("tokens", f"{model.vocab_size:,} ids, {model.max_seq_len:,} at once at most")
    lesson.say(_next_step(run, out), "bold")


def _next_step(run: Run, out: Path) -> str:
    """What to type after an import."""
    if isinstance(run.model, CausalLM):
        return f'Write with it: hornbook generate {out} "Once"'
    if isinstance(run.model, Seq2SeqLM):
        return f'Let it answer: hornbook generate {out} "a text"'
    return f"Use it from Python: hornbook.load({str(out)!r}).model(tokens)"


def send_out(run: Path, out: Path, format: str, family: str | None) -> None:
    """Write a run for other libraries, and say as what."""
    whole = load(run, device="cpu")
    written_as = export(whole, out, format, family)
    lesson = Lesson(console())
    lesson.title(f"{run} is now {out}")
    lesson.fact("written as", f"{written_as}; read again, its logits are the same")
    if isinstance(whole.model, CausalLM) and whole.tokenizer.end_of_text is not None:
        first = whole.tokenizer.decode([whole.tokenizer.end_of_text])
        lesson.fact("prompts", f"Hornbook puts {first} before each; do so there, too")
    reader = AUTO_CLASSES[whole.config.model.kind]
    lesson.say(f"transformers reads it: {reader}.from_pretrained({str(out)!r})", "bold")
