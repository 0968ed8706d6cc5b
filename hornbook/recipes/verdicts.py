"""Is my loss normal? A run judged by the band of its recipe, while it trains.

    judge_by_band(fit, train, held_out)     # from here on the run's metrics hold verdicts

    judge = BandJudge(band, config, text, by_frequency)
    judge.hear(line)                        # each line of metrics; at a measurement it returns a verdict

What is compared depends on how much of the run is the band's. The same text, steps and settings: the loss
lies in the band, above or below. Other settings: the same, and they are named first among the causes. Other
steps: a longer run should be no worse at the same share of its way, a shorter one no better. Another
vocabulary: bits per byte, if it is a decoder. Another text: there is no verdict, only what this recipe came
to on the texts that it was tried on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hornbook.base.amounts import short_amount
from hornbook.data.shards import TokenShards
from hornbook.data.sources import Texts
from hornbook.model.count import on_meta, training_flops_per_token
from hornbook.recipes.bands import Band, BandText, nearest_band, shipped_bands, text_of, trailing_mean
from hornbook.recipes.report_text import duration
from hornbook.train.config import RunConfig
from hornbook.train.fit import Fit
from hornbook.train.sanity import ORDERLESS, Line, is_number

LIKELY = (
    "train.optimizer.learning_rate", "train.optimizer", "train.schedule", "data.batch_size",
    "train.objective", "data.seq_len", "model", "tokenizer", "data", "train",
)  # fmt: skip
"""Where a difference explains a loss, the likeliest first."""
PUBLISHED = {
    "gpt2-124m": "about 2.85 nats a token of OpenWebText after some four days on eight A100s, as nanoGPT's "
    "README reports of its own GPT-2 of this size; not measured here, and not with this recipe"
}
"""What others report of recipes that are too large for a band of our own."""
MOST_NAMED = 3
"""Differences that are named; of more the number is told."""


def judge_by_band(fit: Fit, train: Texts, held_out: TokenShards) -> None:
    """Let the nearest band judge a run, and write the band into its folder where the report can draw it."""
    band = nearest_band(fit.config)
    if band is None:
        return
    text = text_of("this text", train, held_out) if isinstance(train, TokenShards) else None
    judge = BandJudge(band, fit.config, text, fit.checks.by_frequency)
    fit.judges.append(judge.hear)
    if judge.is_strict:
        fit.folder.update_run(band=judge.drawn())


class BandJudge:
    """One run beside its band."""

    def __init__(self, band: Band, config: RunConfig, text: BandText | None, by_frequency: float) -> None:
        self.band, self.config, self.by_frequency = band, config, by_frequency
        differing = band.differing(config)
        self.same_steps = differing.pop("train.steps", None) is None
        self.differing = _sorted(differing)
        self.same_tokens = text is not None and text.tokens == band.text.tokens
        # In other tokens only a decoder is asked for the same: every byte of the text.
        self.in_bits = not self.same_tokens and config.model.kind == "causal_lm"
        self.same_text = text is not None and _sizes(text) == _sizes(band.text)
        self.train: list[tuple[float, float]] = []
        self.skipped = 0
        self.last_said = ""

    @property
    def is_strict(self) -> bool:
        """Whether the band's curves are those that this run should have."""
        return self.same_tokens and self.same_steps and not self.differing

    def drawn(self) -> dict[str, Any]:
        """What the report draws: between which losses the run is expected, step by step."""
        band, curve = self.band, self.band.validation
        return {
            "recipe": band.recipe,
            "text": band.text.name,
            "seeds": band.seeds,
            "steps": list(curve.steps),
            "low": list(curve.low),
            "high": list(curve.high),
            "bits_per_nat": band.bits_per_nat,
        }

    def hear(self, line: Line) -> list[Line]:
        """Take note of a line; judge a measurement."""
        if line["kind"] == "train" and is_number(line["loss"]):
            self.train.append((line["step"], line["loss"]))
        elif line["kind"] == "event" and line.get("what") == "skip":
            self.skipped += 1
        elif line["kind"] == "validation" and (self.same_tokens or self.in_bits):
            return self._judged(line) if self.same_text else self._elsewhere(line)
        return []

    def _judged(self, line: Line) -> list[Line]:
        """A verdict on the same text; none before the band begins."""
        step = line["step"]
        place = self.band.validation.at(step * self.band.steps / self.config.train.steps)
        if place is None:
            return []
        unit = self.band.bits_per_nat if self.in_bits else 1.0
        low, _, high = (value * unit for value in place)
        value = line["bits_per_byte" if self.in_bits else "loss"]
        if not is_number(value):
            verdict, value = "above", None
        else:
            verdict = self._verdict(value, low, high)
        what = "bits per byte" if self.in_bits else "nats a token"
        shown = "not a number" if value is None else f"{value:.3f} {what}"
        text = f"{self._named(verdict)}: {shown}, expected {self._bounds(low, high)}"
        is_last = step == self.config.train.steps
        if verdict in ("above", "below") and (is_last or verdict != self.last_said):
            causes = self._causes(verdict, line, place)
            text += f"; likely{', in order' if len(causes) > 1 else ''}: {'; '.join(causes)}"
        elif is_last and self.differing:
            text += f"; {self._differences()}"
        self.last_said = verdict
        return [_event(verdict, text, value=value, low=low, high=high)]

    def _verdict(self, value: float, low: float, high: float) -> str:
        longer = self.config.train.steps > self.band.steps
        if value > high and (self.same_steps or longer):
            return "above"
        if value < low and (self.same_steps or not longer):
            return "below"
        return "in" if self.same_steps else "fits"

    def _named(self, verdict: str) -> str:
        seeds = f"the band of {self.band.seeds} seeds"
        if not self.same_steps:
            seeds += f" ({self.band.steps:,} steps, this run {self.config.train.steps:,})"
        return f"{'as it should be beside' if verdict == 'fits' else verdict} {seeds}"

    def _bounds(self, low: float, high: float) -> str:
        if self.same_steps:
            return f"{low:.3f} to {high:.3f}"
        return f"at most {high:.3f}" if self.config.train.steps > self.band.steps else f"at least {low:.3f}"

    def _causes(self, verdict: str, line: Line, place: tuple[float, float, float]) -> list[str]:
        """What may have made the difference: what is known first, then what the losses say, then the rest."""
        causes = [self._differences()] if self.differing else []
        loss = line["loss"]
        if verdict == "above":
            orderless = loss is not None and loss > ORDERLESS * self.by_frequency
            if orderless and place[2] < ORDERLESS * self.by_frequency:
                causes.append(
                    "nothing is known but how often each token occurs "
                    f"({self.by_frequency:.2f}): targets that do not belong to their tokens, or attention "
                    "that sees nothing"
                )
            if self.skipped:
                causes.append(f"the guard left out {self.skipped:,} steps")
            if self._train_is_normal(line["step"]):
                causes.append("the training loss is as expected: it learns its text by heart")
        else:
            causes.append("the model sees what it is asked for (mask, targets, objective)")
        theirs, ours = self.band.config.train.precision, self.config.train.precision
        if theirs != ours:
            causes.append(f"precision: {ours}, the band's was {theirs}")
        if not self.differing:
            made = ", ".join(f"{name} {version}" for name, version in self.band.made_with.items())
            causes.append(f"code other than the band's ({made})")
        return causes

    def _train_is_normal(self, step: int) -> bool:
        """Whether the training loss lies in its own band."""
        place = self.band.train.at(step * self.band.steps / self.config.train.steps)
        own = trailing_mean(self.train, step, self.config.train.steps)
        return place is not None and self.is_strict and place[0] <= own <= place[2]

    def _differences(self) -> str:
        return differences(self.differing)

    def _elsewhere(self, line: Line) -> list[Line]:
        """On another text: in the end, what this recipe came to where it was tried."""
        if line["step"] != self.config.train.steps or not is_number(line["bits_per_byte"]):
            return []
        band, own = self.band, line["bits_per_byte"]
        low, high = (each[-1] * band.bits_per_nat for each in (band.validation.low, band.validation.high))
        text = (
            f"no band holds for this text: that of {band.recipe} is of {band.text.name}, where "
            f"{band.steps:,} steps end at {low:.2f} to {high:.2f} bits per byte"
        )
        others = [f"{each.bits_per_byte:.2f} on {each.text}" for each in band.elsewhere]
        text += f" (and at {', '.join(others)})" if others else ""
        text += f"; this run ends at {own:.2f}"
        changed = dict(self.differing)
        if not self.same_steps:
            changed["train.steps"] = (band.steps, self.config.train.steps)
        text += f"; {differences(changed)}" if changed else ""
        return [_event("unknown", text, value=own)]


def differences(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """What differs from a band's configuration, in words: the likeliest causes by name."""
    named = [f"{key} is {ours!r}, the band's {theirs!r}" for key, (theirs, ours) in differing.items()]
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def expectations(recipe: str, config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield what is known of a recipe before it is trained, by name: its band, and what a run costs."""
    if recipe in PUBLISHED:
        yield "published", PUBLISHED[recipe]
    near = nearest_band(config)
    band = near or next((each for each in shipped_bands() if each.recipe == recipe), None)
    differing = {} if near is None else _sorted(near.differing(config))
    if band is not None:
        low, high, bits = band.validation.low[-1], band.validation.high[-1], band.bits_per_nat
        losses = f"{low:.3f} to {high:.3f} nats a token, {low * bits:.2f} to {high * bits:.2f} bits per byte"
        settings = f" with {' '.join(band.overrides)}" if band.overrides else ""
        runs = f"after {band.steps:,} steps{settings} ({band.seeds} seeds)"
        beside = f"; but {differences(differing)}" if differing else ""
        yield "expected", f"{losses}, held out of {band.text.name}, {runs}{beside}"
    tokens = config.train.steps * config.data.batch_size * config.data.seq_len
    flops = tokens * training_flops_per_token(on_meta(config.model), config.data.seq_len)
    work = f"{short_amount(tokens)} tokens of text, {flops:.1e} floating-point operations"
    time = f"; about {duration(near.cost.seconds)} on {near.cost.machine}" if near and not differing else ""
    yield "cost", work + time


def _sorted(differing: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Differences, the likeliest cause first."""
    return dict(sorted(differing.items(), key=lambda pair: _rank(pair[0])))


def _rank(key: str) -> int:
    return next(rank for rank, start in enumerate((*LIKELY, "")) if key.startswith(start))


def _sizes(text: BandText) -> tuple[int, int]:
    return text.train_bytes, text.held_out_bytes


def _event(verdict: str, text: str, **numbers: float | None) -> Line:
    return {"what": "verdict", "verdict": verdict, "text": text, **numbers}
