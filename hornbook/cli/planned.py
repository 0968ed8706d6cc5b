"""Telling a plan and a law on the terminal."""

from __future__ import annotations

import math
from pathlib import Path

from hornbook.base.amounts import short_amount
from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, on_meta
from hornbook.plan.dial import Choice
from hornbook.plan.law_file import CHINCHILLA, Expected, KnownLaw, shipped_law
from hornbook.plan.scaling import typical_error
from hornbook.recipes.lesson import Lesson, size_in_bytes
from hornbook.recipes.planner import Planned, Rented, short_flops
from hornbook.recipes.report_text import duration

BYTES_PER_TOKEN = 4
"""Bytes of English in a token of a usual vocabulary, to tell about how much text is wanted."""
FAR = 3.0
"""From how many times beyond its runs on a law is said to guess."""


def show_plan(planned: Planned, price: float | None, lesson: Lesson) -> None:
    """Print what to train, what it takes, what to expect, and the command."""
    lesson.title("What to train")
    lesson.choices([*_machine(planned), *_model(planned), *_needs(planned, price)])
    lesson.heading("What to expect")
    lesson.choices(list(_expectations(planned)))
    lesson.commands([(planned.command, "train it")])
    for sentence in _cautions(planned):
        lesson.say(sentence, "dim")


def show_law(known: KnownLaw, out: Path, lesson: Lesson) -> None:
    """Print a law with its uncertainty, and where it lies."""
    file, law = known.file, known.law
    assert file is not None
    lesson.title(f"A law of {len(file.runs)} runs")
    lesson.say(
        f"L = {law.E:.3f} + {law.A:.4g} / N^{law.alpha:.3f} + {law.B:.4g} / D^{law.beta:.3f} nats a token",
        "bold",
    )
    for name in ("E", "alpha", "beta"):
        values = sorted(getattr(other, name) for other in known.others)
        low, high = values[len(values) // 20], values[-1 - len(values) // 20]
        lesson.fact(name, f"{getattr(law, name):.3f}, nine times of ten between {low:.3f} and {high:.3f}")
    lesson.fact("error", f"{typical_error(file.runs, law):.2%} of the loss, typically, on its own runs")
    (n_low, n_high), (d_low, d_high) = known.span.parameters, known.span.tokens
    lesson.fact(
        "made for",
        f"{short_amount(n_low)} to {short_amount(n_high)} weights, "
        f"{short_amount(d_low)} to {short_amount(d_high)} tokens",
    )
    flops = known.span.flops[1]
    n, d = law.optimum(flops)
    lesson.fact(
        "best split",
        f"of {short_flops(flops)}: {short_amount(n)} weights, {short_amount(d)} tokens, {d / n:.1f} each",
    )
    lesson.say(f"The law is in {out}, its plots are in {out.with_suffix('.html')}. Plan by it:")
    lesson.say(f"hornbook plan --hours 8 --law {out}", "bold")


def _machine(planned: Planned) -> list[Choice]:
    name, _, story = planned.machine.story().partition(": ")
    return [Choice("machine", name, story)]


def _model(planned: Planned) -> list[Choice]:
    """Shape, vocabulary, batch, steps, tokens."""
    config, data = planned.config, planned.config.data
    total = count_parameters(on_meta(config.model))
    weights = planned.aim.rung.parameters
    return [
        Choice(
            "model",
            f"{short_amount(total)} parameters",
            f"{_shape(planned)}; {short_amount(weights)} in matrices",
        ),
        Choice("vocabulary", f"{config.tokenizer.vocab_size:,} tokens", f"rows of {data.seq_len:,}"),
        Choice("batch", f"{planned.batch:,} tokens", f"{data.batch_size:,} rows, {planned.rows:,} at once"),
        Choice("steps", f"{config.train.steps:,}", _rates(planned)),
        Choice(
            "tokens",
            short_amount(planned.tokens),
            f"{planned.tokens / weights:.1f} for each weight; about "
            f"{size_in_bytes(BYTES_PER_TOKEN * planned.tokens)} of English, read once",
        ),
    ]


def _shape(planned: Planned) -> str:
    model = planned.config.model
    if not isinstance(model, ModelConfig):
        return planned.wish.recipe
    return f"{model.n_layers} layers of width {model.d_model}, {model.pattern[0].attention.n_heads} heads"


def _rates(planned: Planned) -> str:
    optimizer, schedule = planned.config.train.optimizer, planned.config.train.schedule
    return f"{optimizer.kind}, rate {optimizer.learning_rate:g}, {schedule.kind.replace('_', ' ')}"


def _needs(planned: Planned, price: float | None) -> list[Choice]:
    """Compute, time, memory, cost."""
    per_card = isinstance(planned.machine, Rented)
    memory = planned.machine.memory
    of = "" if memory is None else f"of {size_in_bytes(memory)} {'on each card' if per_card else 'free'}; "
    found = [
        Choice("compute", short_flops(planned.tokens * planned.aim.rung.flops_per_token), "in all"),
        Choice("time", duration(planned.seconds), "of training"),
        Choice("memory", size_in_bytes(planned.needed), f"{of}a step, counted on the code that will run"),
    ]
    if price is not None:
        cards = planned.machine.cards.count if isinstance(planned.machine, Rented) else 1
        cost = price * cards * planned.seconds / 3600
        found.append(
            Choice("cost", f"{cost:,.2f}", f"{cards} x {duration(planned.seconds)} at {price:g} an hour")
        )
    return found


def _expectations(planned: Planned) -> list[Choice]:
    """What the laws say; the one that was planned by first."""
    if not planned.is_foreseen:
        about = "decoders that predict the next token, of more than bytes"
        return [Choice("loss", "not known", f"the laws are about {about}")]
    second = [known for known in (*planned.wish.laws, shipped_law(), CHINCHILLA) if known is not planned.law]
    return [
        *_expectation(planned, planned.law, "loss"),
        *_expectation(planned, second[0], "second opinion"),
    ]


def _expectation(planned: Planned, known: KnownLaw, name: str) -> list[Choice]:
    """What a law says; first in bits per byte, which compare across vocabularies, where its own is known."""
    expected = planned.expected(known)
    nats, by = f"{_spread(expected)} nats a token", f"by {known.name}; {_reach(planned, known)}"
    if known.file is None:
        return [Choice(name, nats, f"{by}; of its own vocabulary and text")]
    factor = 1 / (math.log(2) * known.file.bytes_per_token)
    scaled = Expected(*(factor * x for x in (expected.loss, expected.low, expected.high)))
    about = f"on text like {known.file.text}, in tokens of a vocabulary of {known.file.vocab_size:,}"
    return [Choice(name, f"{_spread(scaled)} bits per byte", by), Choice("", nats, about)]


def _spread(expected: Expected) -> str:
    """A number and how sure it is."""
    if expected.low == expected.high:
        return f"{expected.loss:.2f}"
    return f"{expected.loss:.2f} ({expected.low:.2f} to {expected.high:.2f})"


def _reach(planned: Planned, known: KnownLaw) -> str:
    reach = planned.reach(known)
    if reach <= 1:
        return "within its runs"
    return f"{reach:,.3g} times beyond its runs" + (", so a guess" if reach > FAR else "")


def _cautions(planned: Planned) -> list[str]:
    found = []
    if isinstance(planned.machine, Rented):
        found.append("Memory is counted with the kernels of a CPU, which hold more than a card's.")
        if planned.machine.cards.count > 1:
            found.append(
                "Hornbook trains on one device as yet; the time is what many would take that never wait for "
                "each other."
            )
    return found
