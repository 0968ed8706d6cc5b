"""The report's sentences: what the numbers of a run say, in words a newcomer can follow.

Each function takes plain values from the run folder and returns English, leaving out whatever is not
known. Judgements stay modest: a sentence claims only what its numbers show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hornbook.recipes.report_history import Point
from hornbook.recipes.report_text import at, count, duration, finite, number, size

NEAR = 0.005
"""Two values nearer than this share of each other are called equal."""


def summary(
    run: object, last: Mapping[str, object], start: Point | None, end: float | None, unit: str
) -> str:
    """Return one or two sentences on what the run did: text read, time taken, error from and to.

    `start` is the first step's (step, error), `end` the error at the end; both on text not seen before.
    """
    where = f" on {at(run, 'machine', 'device')}" if at(run, "machine", "device") else ""
    seconds = finite(at(run, "seconds", "training")) or finite(last.get("seconds"))
    said = []
    if finite(last.get("tokens")) is not None:
        said.append(f"It read {count(last['tokens'])} tokens of text in {count(last['step'])} steps")
    elif last:
        said.append(f"It took {count(last['step'])} steps")
    if said and seconds is not None:
        said[0] += f", which took {duration(seconds)}{where}"
    if start is not None and end is not None:
        way = "fell" if end < start[1] else "went"
        said.append(
            f"Its error on text it had not yet seen {way} from {number(start[1])} {unit} "
            f"at step {count(start[0])} to {number(end)}"
        )
    return " ".join(sentence + "." for sentence in said)


def verdict(bits: float, yardsticks: Mapping[str, float], bytes_: float | None) -> str:
    """Return how the model's bits per byte stand beside those of the yardsticks."""
    others = [f"{_compared(bits, other)} {name}" for name, other in yardsticks.items() if other > 0]
    beside = f": {', '.join(others)}" if others else ""
    squeezed = ""
    if bytes_ is not None:
        squeezed = f" Used as a compressor it would turn these {size(bytes_)} into {size(bytes_ * bits / 8)}."
    return f"On text it had never seen, the model needs {number(bits)} bits per byte{beside}.{squeezed}"


def band_name(band: object) -> str:
    """Return what a legend calls the band of a recipe, as `run.json` has it."""
    return f"expected on held-out text, from {count(at(band, 'seeds'))} runs"


def reading(train: Sequence[Point], validation: Sequence[Point]) -> str:
    """Return what the two curves say about the run; `train` is the running average.

    An end more than 2% above the best validation point counts as rising, an end more than 10% above
    the training curve as learning by heart.
    """
    if not train or not validation:
        return ""
    (best_step, best), (_, final), (_, own) = min(validation, key=lambda p: p[1]), validation[-1], train[-1]
    if final > best * 1.02:
        return (
            f"The held-out curve was lowest at step {count(best_step)} and has risen since: from there on "
            "the model learned its text by heart. More text, or fewer steps, would help."
        )
    if final > own * 1.1:
        return (
            f"At the end the held-out text is {_percent(final / own - 1)} harder for the model than the text "
            "it trains on: it begins to know that text by heart. More text would help more than more steps."
        )
    return (
        f"At the end the two curves lie close together ({number(own)} and {number(final)}): what the model "
        "learned holds for text it has never seen too. A longer run or a larger model can still gain."
    )


def cautions(run: object, last_step: object, planned: object, diverged: object, unreadable: int) -> list[str]:
    """Return what a reader must know before trusting the page: an unfinished or damaged run."""
    said, status = [], at(run, "status")
    reached = f"at step {count(last_step)}" if finite(last_step) is not None else "before its first step"
    of = f" of {count(planned)}" if finite(planned) is not None and finite(last_step) is not None else ""
    if status == "interrupted":
        said.append(f"This run was interrupted {reached}{of}; the page shows it up to there.")
    if status == "running":
        said.append(f"This run was still going, {reached}{of}, when the page was written, or it was killed.")
    if status == "diverged":
        said.append(
            f"Training broke down {reached}{of}: too many steps in a row were no numbers. What was saved "
            "before is whole; a smaller learning rate, or a guard that goes back, is the usual cure."
        )
    if finite(diverged) is not None:
        said.append(
            f"From step {count(diverged)} on the loss was not a number: training broke down. "
            "A smaller learning rate is the usual cure."
        )
    if unreadable:
        lines = "line" if unreadable == 1 else "lines"
        said.append(f"{unreadable} damaged {lines} of metrics.jsonl could not be read and are left out.")
    return said


def _compared(mine: float, other: float) -> str:
    """`6.1% fewer than`, `12% more than` or `as many as`."""
    if abs(mine / other - 1) < NEAR:
        return "as many as"
    return f"{_percent(abs(mine / other - 1))} {'fewer' if mine < other else 'more'} than"


def _percent(share: float) -> str:
    return f"{share * 100:.0f}%" if share >= 0.0995 else f"{share * 100:.1f}%"
