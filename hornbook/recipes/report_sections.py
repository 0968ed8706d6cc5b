"""The chapters of the run report as plain data: one function for each, from a run's files to its view.

A view is a dictionary that the macro of the same name in `report_sections.html.jinja` turns into HTML; None
leaves the chapter out. `SECTIONS` lists them in the order of the page. Nothing here touches the disk or
knows HTML, and nothing trusts a value to be there: a run that was killed early has a report as well.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

from hornbook.recipes import report_objective as objective
from hornbook.recipes import report_story as story
from hornbook.recipes import report_text as text
from hornbook.recipes.report_chart import Line, draw, smooth
from hornbook.recipes.report_files import RunFiles
from hornbook.recipes.report_history import History, band_outline, first_not_a_number, points
from hornbook.recipes.report_text import at, finite, rows

View = dict[str, Any]
UNITS = {"bits_per_byte": "bits per byte", "loss": "nats per token"}
N_HOVER = 200
"""Most places of a curve that answer to the pointer; more only make the page heavy."""
MARK_WIDTH = 0.05
"""Room that the mark of an event takes, as a share of the curve's width."""
N_LESSONS = 6
"""Most steps at which one prompt's continuation is shown."""
PACES = (
    ("learning_rate", "Learning rate", "How large a correction each step makes: warmed up, then let down."),
    ("tokens_per_second", "Tokens per second", "How fast the machine reads."),
    ("grad_norm", "Gradient norm", "How strongly the text pulls at the weights; lone spikes are harmless."),
)
MACHINE = {
    "system": "System", "processor": "Processor", "cores": "Cores", "threads": "Threads used",
    "memory_gib": "Memory (GiB)", "device": "Trained on", "precision": "Precision",
    "python": "Python", "torch": "PyTorch",
}  # fmt: skip


def front(files: RunFiles) -> View:
    """The head of the page: name, size, key figures, what happened, what to beware of."""
    run, last = files.run, files.history.last
    batches, held_out = points(files.history.train, files.unit), points(files.history.validation, files.unit)
    bits = finite(at(files.results, "held_out", "bits_per_byte"))
    final = bits if files.unit == "bits_per_byte" else finite(at(files.results, "held_out", "loss"))
    end = final if final is not None or not held_out else held_out[-1][1]
    return {
        "name": files.folder.resolve().name,
        "parameters": finite(at(run, "parameters", "total")),
        "created": at(run, "created"),
        "version": at(run, "hornbook"),
        "status": at(run, "status"),
        "steps": last.get("step"),
        "tokens": finite(last.get("tokens")),
        "seconds": finite(at(run, "seconds", "training")) or finite(last.get("seconds")),
        "bits": bits,
        "summary": story.summary(run, last, batches[0] if batches else None, end, UNITS[files.unit]),
        "cautions": story.cautions(
            run,
            last.get("step"),
            at(files.config, "train", "steps"),
            first_not_a_number(files.history),
            files.history.unreadable,
        ),
    }


def _score(files: RunFiles) -> View | None:
    """Held-out bits per byte beside those of the compressors, as bars."""
    held_out = at(files.results, "held_out")
    bits = finite(at(held_out, "bits_per_byte"))
    if bits is None:
        return None
    bars = {"this model": bits, **files.yardsticks}
    top = max(bars.values()) or 1.0
    verdict = story.verdict(bits, files.yardsticks, finite(at(held_out, "bytes")))
    return {
        "verdict": verdict if objective.is_decoder(files.config) else objective.verdict(files.config, bits),
        "bars": [{"name": name, "bits": value, "share": 100 * value / top} for name, value in bars.items()],
        "documents": finite(at(held_out, "documents")),
        "of_documents": finite(at(held_out, "of_documents")),
        "loss": finite(at(held_out, "loss")),
        "perplexity": finite(at(held_out, "perplexity")),
        "pairs_right": finite(at(held_out, "pairs_right")),
    }


def _curve(files: RunFiles) -> View | None:
    """The loss curve: every logged batch, their running average, the held-out points."""
    unit, history = files.unit, files.history
    batches, held_out = points(history.learned, unit), points(history.validation, unit)
    average = smooth(batches)
    lines = [
        Line(story.band_name(files.band), "band", band_outline(files.band, unit)),
        Line("each batch", "raw", batches),
        Line("running average", "average", average),
        Line("", "between", held_out),
        Line("held-out text", "dots", held_out),
    ]
    levels = [(bits, f"{name} {bits:.2f}") for name, bits in files.yardsticks.items()]
    chart = draw(
        UNITS[unit],
        lines,
        _curve_hover(history, unit),
        levels=levels if unit == "bits_per_byte" else [],
        events=_event_marks(history),
    )
    if chart is None:
        return None
    return {
        "chart": chart,
        "unit": UNITS[unit],
        "events": history.occasions,
        "guesses": objective.WORDS[objective.objective_of(files.config)].guesses,
        "verdict": history.verdict.get("text"),
        "reading": story.reading(average, held_out),
        "has_held_out": bool(held_out),
    }


def _event_marks(history: History) -> list[tuple[float, str]]:
    """Where the curve has a mark for an event, and its number; events too near for a mark each share one."""
    marks: list[tuple[float, int, int]] = []
    for i, event in enumerate(history.occasions, 1):
        step, room = float(event["step"]), MARK_WIDTH * float(history.last.get("step", 0))
        if marks and step - marks[-1][0] < room:
            marks[-1] = (marks[-1][0], marks[-1][1], i)
        else:
            marks.append((step, i, i))
    return [(step, str(i) if i == last else f"{i}–{last}") for step, i, last in marks]  # noqa: RUF001


def _curve_hover(history: History, unit: str) -> list[tuple[float, list[str]]]:
    """What the pointer tells over the loss curve, by step."""
    told: dict[float, list[str]] = {}
    for name, lines in (("this batch", history.learned), ("held-out", history.validation)):
        for row in _some(lines):
            if finite(row.get(unit)) is None:
                continue
            said = told.setdefault(float(row["step"]), [f"step {text.count(row['step'])}"])
            said.append(f"{name} {text.number(row[unit])} {UNITS[unit]}")
            if unit != "loss" and finite(row.get("loss")) is not None:
                said.append(f"{text.number(row['loss'])} nats per token")
            if finite(row.get("tokens")) is not None:
                said.append(f"{text.count(row['tokens'])} tokens read")
    return sorted(told.items())


def _some(lines: list[View]) -> list[View]:
    """At most about `N_HOVER` lines, evenly taken."""
    return lines[:: 1 + len(lines) // N_HOVER]


def _pace(files: RunFiles) -> View | None:
    """Small charts of learning rate, speed and gradient norm."""
    charts = []
    for key, title, meaning in PACES:
        curve = points(files.history.learned, key)
        hover = [
            (float(row["step"]), [f"step {text.count(row['step'])}", f"{row[key]:,.4g}"])
            for row in _some(files.history.learned)
            if finite(row.get(key)) is not None
        ]
        chart = draw(title, [Line(title, "plain", curve)], hover, floor=0.0)
        if chart is not None:
            charts.append((chart, meaning))
    return {"charts": charts} if charts else None


def _lessons(files: RunFiles) -> View | None:
    """Continuations of the same prompt at several steps, one list for each prompt."""
    by_prompt: dict[str, list[View]] = {}
    for row in files.history.samples:
        by_prompt.setdefault(str(row.get("prompt") or ""), []).append(row)
    shown = [
        {"prompt": prompt, "lines": [_sample(row) for row in text.spread(lines, N_LESSONS)], "n": len(lines)}
        for prompt, lines in by_prompt.items()
    ]
    return {"prompts": shown} if shown else None


def _writing(files: RunFiles) -> View | None:
    """The samples written when the run was over."""
    samples = [_sample(row) for row in rows(files.results.get("samples"))]
    return {"samples": samples} if samples else None


def _sample(row: View) -> View:
    """A sample as prompt and continuation, whether its text repeats the prompt or not."""
    prompt, written = str(row.get("prompt") or ""), str(row.get("text") or "")
    return {"step": row.get("step"), "prompt": prompt, "text": written.removeprefix(prompt)}


def _ledger(files: RunFiles) -> View | None:
    """What entered, left and was dropped at each step of the corpus."""
    steps = rows(files.ledger.get("steps"))
    if not steps:
        return None
    first = finite(at(steps[0], "in", "bytes")) or 0.0
    shown = [
        {**step, "dropped": rows(step.get("dropped")), "before": _share(at(step, "in", "bytes"), first),
         "after": _share(at(step, "out", "bytes"), first)}
        for step in steps
    ]  # fmt: skip
    return {
        "inputs": files.ledger.get("inputs") if isinstance(files.ledger.get("inputs"), list) else [],
        "steps": shown,
        "out": files.ledger.get("out"),
        "kept": rows(files.ledger.get("kept_examples")),
    }


def _tokenizer(files: RunFiles) -> View | None:
    """Vocabulary, bytes per token and one line cut into tokens."""
    tokenizer = at(files.run, "tokenizer")
    sample = at(tokenizer, "sample")
    tokens = [
        (str(token[0]), int(finite(token[1]) or 0) % 5)
        for token in (sample if isinstance(sample, list) else [])
        if isinstance(token, list) and len(token) == 2
    ]
    vocab_size, bytes_per_token = at(tokenizer, "vocab_size"), at(tokenizer, "bytes_per_token")
    if not tokens and finite(vocab_size) is None and finite(bytes_per_token) is None:
        return None
    return {"vocab_size": finite(vocab_size), "bytes_per_token": finite(bytes_per_token), "tokens": tokens}


def _model(files: RunFiles) -> View | None:
    """The model's parts from text to next token; neighbours of one `repeat` share a frame."""
    parts = rows(at(files.run, "parameters", "parts"))
    if not parts:
        return None
    total = finite(at(files.run, "parameters", "total"))
    total = total or sum(finite(part.get("parameters")) or 0.0 for part in parts)
    drawn = [{**part, "share": _share(part.get("parameters"), total)} for part in parts]
    frames = [
        {"repeat": repeat, "parts": list(group)}
        for repeat, group in itertools.groupby(drawn, lambda part: finite(part.get("repeat")))
    ]
    vocab_size = finite(at(files.run, "tokenizer", "vocab_size"))
    is_decoder = objective.is_decoder(files.config)
    return {"frames": frames, "total": total, "vocab_size": vocab_size, "is_decoder": is_decoder}


def _dial(files: RunFiles) -> View | None:
    choices = rows(files.run.get("dial"))
    return {"choices": choices} if choices else None


def _reproduce(files: RunFiles) -> View | None:
    command = files.run.get("reproduce") or files.run.get("command")
    if not command:
        return None
    return {"command": command, "seed": files.run.get("seed"), "commit": files.run.get("git_commit")}


def _machine(files: RunFiles) -> View | None:
    """The machine, the versions, and where the time went."""
    machine = at(files.run, "machine")
    facts = {MACHINE.get(k, k): v for k, v in machine.items()} if isinstance(machine, dict) else {}
    if files.run.get("hornbook"):
        facts["Hornbook"] = files.run["hornbook"]
    spent = at(files.run, "seconds")
    known = {k: s for k, v in spent.items() if (s := finite(v))} if isinstance(spent, dict) else {}
    total = sum(known.values())
    times = [{"name": name, "seconds": value, "share": 100 * value / total} for name, value in known.items()]
    return {"facts": facts, "times": times, "total": total} if facts or times else None


def _config(files: RunFiles) -> View | None:
    return {"json": json.dumps(files.config, indent=2, ensure_ascii=False)}


def _next(files: RunFiles) -> View | None:
    """Commands worth typing after this run."""
    folder = shlex.quote(str(files.folder))
    command = str(files.run.get("command") or "")
    verb = re.search(r" (quickstart|train)\b", command)
    program = command[: verb.start()] if verb else "hornbook"
    is_quickstart = verb is not None and verb[1] == "quickstart"
    steps = [(f"{program} show {folder}", "The model, its figures and its files in the terminal.")]
    writes = objective.writes(files.config)
    if writes:
        steps.insert(0, (f'{program} generate {folder} "def"', "One continuation, for scripts."))
    if writes and objective.is_decoder(files.config):
        steps.insert(0, (f"{program} chat {folder}", "Begin a text and let the model go on with it."))
    if at(files.run, "status") in ("interrupted", "running") and command:
        goes_on_by_itself = "--resume" in command or is_quickstart
        resume = command if goes_on_by_itself else f"{command} --resume"
        steps.insert(0, (resume, "Go on from where this run stopped."))
    if at(files.run, "status") == "diverged":
        go_back = f"{program} train {folder} --resume train.guard=roll_back"
        steps.insert(0, (go_back, "Go on from the last save, with a guard that goes back by itself."))
    if is_quickstart:
        steps += [
            (f"{program} quickstart --minutes 30 --out runs/longer", "With more time: a larger model."),
            (f"{program} quickstart --text my-texts/ --out runs/mine", "On your own text."),
        ]
    return {"steps": steps, "folder": str(files.folder), "writes": writes}


def _share(part: object, whole: float) -> float:
    """A part in percent of the whole, 0 where either is not known."""
    known = finite(part)
    return 100 * known / whole if known is not None and whole > 0 else 0.0


SECTIONS: tuple[tuple[str, str, Callable[[RunFiles], View | None]], ...] = (
    ("score", "How good it is", _score),
    ("curve", "How it learned", _curve),
    ("lessons", "What it wrote on the way", _lessons),
    ("writing", "What it writes now", _writing),
    ("pace", "The pace", _pace),
    ("ledger", "Where its text came from", _ledger),
    ("tokenizer", "How it reads", _tokenizer),
    ("model", "What is inside", _model),
    ("dial", "Why this size", _dial),
    ("reproduce", "Make it again", _reproduce),
    ("machine", "Machine and time", _machine),
    ("config", "Every setting", _config),
    ("next", "What to do next", _next),
)
"""The chapters in order: macro in the template, title, and the function that gathers its data."""
