"""The page of the road since 2021: its tables, its figure and the results they are made of.

    python benchmarks/since_2021_page.py WORK        # take over what since_2021.py has trained, and draw
    python benchmarks/since_2021_page.py             # draw what is in docs/results again

What stands between the markers of docs/from-2021-to-today.md is written here and nowhere else; the rest of
the page is written by hand. Scatter over seeds is estimated once, from all configurations together, as if it
were the same for all: three seeds of one alone would say little about it.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from since_2021 import BUDGET_STEPS, STEPS_FILE, TUNING_SEED, everything, results, steps_of
from since_2021_figure import figure
from since_2021_switches import BESIDE, ROAD, Switch, cost, differences, identity, trials, tuning

from hornbook.base.files import atomic_write, read_json, write_json
from hornbook.base.student import student_reach

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "from-2021-to-today.md"
RESULTS = DOCS / "results" / "since-2021.json"
FIGURE = DOCS / "images" / "since-2021.svg"
CERTAINTY = 0.99
"""How sure a difference must be: one of a hundred that are none would still be taken for one."""
END = f"road/{ROAD[-1].name}"


def collect(work: Path) -> dict[str, Any]:
    """The results of all configurations as they are now, at the steps that the measured times give them."""
    times, done = read_json(STEPS_FILE), results(work)
    found: dict[str, Any] = {}
    for name, config in everything().items():
        is_tuning = name.startswith("tune/")
        steps = steps_of(config, times["relative"])
        part = "valid" if is_tuning else "test"
        # What was tried before was done with the times of then.
        key = {"config": identity(config), "part": part} | ({} if is_tuning else {"steps": steps})
        own = sorted((each for each in done if key.items() <= each.items()), key=lambda each: each["seed"])
        if not own:
            print(f"{name} is not trained")
            continue
        found[name] = {
            "relative": times["relative"][cost(config)],
            "steps": own[0]["steps"],
            "tokens": own[0]["tokens"],
            "parameters": own[0]["parameters"],
            "bits_per_byte": {str(each["seed"]): round(each["bits_per_byte"], 5) for each in own},
        }
    budget = {"steps": BUDGET_STEPS, "seconds": round(BUDGET_STEPS * times["baseline_seconds"], 1)}
    return {"budget": budget, "machine": times["machine"], "trials": found}


class Scores:
    """Bits per byte of all configurations over seeds, and what their differences are worth."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.values = {name: list(trial["bits_per_byte"].values()) for name, trial in found.items()}
        measured = [v for name, v in self.values.items() if not name.startswith("tune/")]
        self.freedom = sum(len(v) - 1 for v in measured)
        squares = sum((value - mean(v)) ** 2 for v in measured for value in v)
        self.scatter = math.sqrt(squares / self.freedom) if self.freedom else math.nan

    def error(self, name: str) -> float:
        """The standard error of a configuration's mean."""
        return self.scatter / math.sqrt(len(self.values[name]))

    def difference(self, name: str, other: str) -> tuple[float, float]:
        """How much higher a mean is than another, and the standard error of that."""
        apart = mean(self.values[name]) - mean(self.values[other])
        return apart, math.hypot(self.error(name), self.error(other))

    def is_sure(self, name: str, other: str) -> bool:
        """Whether two means differ by more than chance would have it, on both sides."""
        apart, error = self.difference(name, other)
        return self.freedom > 0 and abs(apart) > student_reach(1 - CERTAINTY, self.freedom) * error

    def told(self, name: str) -> str:
        """Mean and standard error, where several seeds tell one."""
        middle = f"{mean(self.values[name]):.4f}"
        return f"{middle} ± {self.error(name):.4f}" if self.freedom else middle

    def change(self, name: str, other: str) -> str:
        """The difference from another, bold where it is sure."""
        apart, error = self.difference(name, other)
        text = f"{apart:+.4f} ± {error:.4f}" if self.freedom else f"{apart:+.4f}"
        return f"**{text}**" if self.is_sure(name, other) else text


def road_table(found: dict[str, Any], scores: Scores) -> list[str]:
    """The road: each line has all switches above it turned on."""
    lines = [
        "| | time of a step | steps | parameters | bits per byte | change by this switch |",
        "|---|---|---|---|---|---|",
    ]
    before = ""
    for name, title in [("baseline", "the recipe of 2021"), *((s.name, s.title) for s in ROAD)]:
        trial = f"road/{name}"
        if trial in found:
            change = scores.change(trial, before) if before else ""
            lines.append(f"| {title} | {_cells(found[trial])} | {scores.told(trial)} | {change} |")
            before = trial
    return lines


def back_table(found: dict[str, Any], scores: Scores) -> list[str]:
    """The end of the road, and what each switch is worth there."""
    if END not in found:
        return ["Not trained yet."]
    lines = [
        "| today's recipe, but with | time of a step | steps | parameters | bits per byte | what it costs |",
        "|---|---|---|---|---|---|",
        f"| (as it is) | {_cells(found[END])} | {scores.told(END)} | |",
    ]
    rows = [(f"back/{s.name}", s.without) for s in ROAD] + [(f"beside/{s.name}", s.without) for s in BESIDE]
    rows = [row for row in rows if row[0] in found]
    for trial, title in sorted(rows, key=lambda row: -scores.difference(row[0], END)[0]):
        change = scores.change(trial, END)
        lines.append(f"| {title} | {_cells(found[trial])} | {scores.told(trial)} | {change} |")
    return lines


def tuning_table(found: dict[str, Any]) -> list[str]:
    """What was tried to find the rates and sizes."""
    lines = ["| tried | steps | bits per byte |", "|---|---|---|"]
    for name in tuning():
        if trial := found.get(f"tune/{name}"):
            lines.append(f"| {name} | {trial['steps']} | {trial['bits_per_byte'][str(TUNING_SEED)]:.4f} |")
    return lines


def _cells(trial: dict[str, Any]) -> str:
    return f"{trial['relative']:.2f} | {trial['steps']} | {trial['parameters'] / 1e6:.2f}M"


def meanings() -> list[str]:
    """What each switch is, where it is from, and the fields it changes."""
    lines, configs = [], trials()
    before = configs["road/baseline"]
    for switch in ROAD:
        lines += _meaning(switch, differences(before, configs[f"road/{switch.name}"]))
        before = configs[f"road/{switch.name}"]
    for switch in BESIDE:
        lines += _meaning(switch, differences(before, configs[f"beside/{switch.name}"]))
    return lines


def _meaning(switch: Switch, changed: dict[str, tuple[Any, Any]]) -> list[str]:
    shown = {
        place.removeprefix("model.").replace("pattern.0.", ""): values for place, values in changed.items()
    }
    fields = "; ".join(f"`{place}` {_plain(a)} to {_plain(b)}" for place, (a, b) in shown.items())
    return [f"- **{switch.title}.** {switch.what} ({switch.source}) <br><sub>{fields}</sub>"]


def _plain(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def facts(data: dict[str, Any], scores: Scores) -> list[str]:
    """What was measured, how far chance reaches, and the whole road in one number."""
    machine, budget = data["machine"], data["budget"]
    counts = {len(v) for name, v in scores.values.items() if not name.startswith("tune/")}
    seeds = " to ".join(f"{count}" for count in sorted({min(counts), max(counts)}))
    lines = [
        f"- Each configuration has the time of {budget['steps']} steps of the recipe of 2021: about "
        f"{budget['seconds']:.0f} seconds of one thread of an {machine['processor']} "
        f"({machine['precision']}, torch {machine['torch']}).",
        f"- Runs of each configuration, all with different seeds: {seeds}.",
    ]
    if scores.freedom:
        lines.append(
            f"- One run scatters by {scores.scatter:.4f} bits per byte: the standard deviation over seeds, "
            f"from all configurations, with {scores.freedom} degrees of freedom."
        )
    else:
        lines.append("- One run of each does not tell a difference from chance: no line is marked as sure.")
    if END in scores.values:
        share = scores.difference(END, "road/baseline")[0] / mean(scores.values["road/baseline"])
        lines.append(f"- The whole road: {scores.change(END, 'road/baseline')} bits per byte, {share:+.1%}.")
    if missing := sum(name not in scores.values for name in trials()):
        lines.append(f"- Not trained yet, and left out below: {missing} of {len(trials())} configurations.")
    return lines


def write_page(data: dict[str, Any]) -> None:
    """Put the newest numbers between the markers of the page, and draw its figure."""
    found = data["trials"]
    scores = Scores(found)
    blocks = {
        "facts": facts(data, scores),
        "road": road_table(found, scores),
        "back": back_table(found, scores),
        "tuning": tuning_table(found),
        "switches": meanings(),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        page = replaced(page, name, lines)
    _write(PAGE, page)
    stages = [("road/baseline", "the recipe of 2021"), *((f"road/{s.name}", s.title) for s in ROAD)]
    drawn = [(title, scores.values[name], scores.error(name)) for name, title in stages if name in found]
    _write(FIGURE, figure(drawn))


def replaced(page: str, name: str, lines: list[str]) -> str:
    """The page with other lines between the markers of one block."""
    begin, end = f"<!-- {name}: written by benchmarks/since_2021_page.py -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{PAGE} lacks the markers {begin} and {end}")
    return "\n".join([before + begin, "", *lines, "", end + after])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text.encode())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write the page of the road since 2021.")
    parser.add_argument("work", nargs="?", type=Path, help="the folder that since_2021.py trained in")
    options = parser.parse_args()
    if options.work is not None:
        write_json(RESULTS, collect(options.work))
    write_page(read_json(RESULTS))


if __name__ == "__main__":
    main()
