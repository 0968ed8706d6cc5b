"""Telling what an import and an export did."""

from __future__ import annotations

from pathlib import Path

from hornbook.model.count import count_parameters
from hornbook.recipes.lesson import Lesson, console
from hornbook.train.exchange import export, import_hf
from hornbook.train.run import load


def bring_in(folder: Path, out: Path) -> None:
    """Make a run of a folder of Hugging Face, and say what came."""
    run = import_hf(folder, out)
    lesson = Lesson(console())
    lesson.title(f"{folder.name} is now {out}")
    model = run.config.model
    lesson.fact(
        "model", f"{count_parameters(run.model):,} parameters, {model.n_layers} layers, width {model.d_model}"
    )
    lesson.fact("tokens", f"{model.vocab_size:,} ids, {model.max_seq_len:,} at once at most")
    lesson.say(f'Write with it: hornbook generate {out} "Once"', "bold")


def send_out(run: Path, out: Path, format: str, family: str | None) -> None:
    """Write a run for other libraries, and say as what."""
    whole = load(run, device="cpu")
    written_as = export(whole, out, format, family)
    lesson = Lesson(console())
    lesson.title(f"{run} is now {out}")
    lesson.fact("written as", f"{written_as}; read again, its logits are the same")
    if whole.tokenizer.end_of_text is not None:
        first = whole.tokenizer.decode([whole.tokenizer.end_of_text])
        lesson.fact("prompts", f"Hornbook puts {first} before each; do so there, too")
    lesson.say(f"transformers reads it: AutoModelForCausalLM.from_pretrained({str(out)!r})", "bold")
