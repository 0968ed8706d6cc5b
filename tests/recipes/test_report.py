"""The run report: charts, histories with scars, sentences, and the page itself."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes.pages import Page

from hornbook.base.errors import RunFolderError
from hornbook.recipes import report_chart as chart
from hornbook.recipes import report_story as story
from hornbook.recipes import report_text as text
from hornbook.recipes.report import render, write_report
from hornbook.recipes.report_files import read_run
from hornbook.recipes.report_history import band_outline, first_not_a_number, points, read_history

EXAMPLE = runpy.run_path(str(Path(__file__).with_name("example_run.py")))
CHAPTERS = [
    "score", "curve", "lessons", "writing", "pace", "ledger", "tokenizer", "model", "dial", "reproduce",
    "machine", "config", "next",
]  # fmt: skip


def run_folder(folder: Path, **files: Any) -> Path:
    """Write a run folder with `config.json` and the named JSON files; `metrics` is text as it is."""
    folder.mkdir(exist_ok=True)
    metrics = files.pop("metrics", None)
    for name, value in {"config": {"format": 1}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    if metrics is not None:
        (folder / "metrics.jsonl").write_text(metrics, encoding="utf-8")
    return folder


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


# Charts


def test_scale_maps_ends_and_middle_and_can_point_down() -> None:
    down = chart.Scale(2.0, 4.0, start=100.0, end=0.0)
    assert [down(2.0), down(3.0), down(4.0)] == [100.0, 50.0, 0.0]


def test_path_and_dots_hold_every_point() -> None:
    x, y = chart.Scale(0, 10), chart.Scale(0, 1, 100, 0)
    assert chart.svg_path([(0, 0), (5, 0.25), (10, 1)], x, y) == "M0.00 100.00L50.00 75.00L100.00 0.00"
    assert chart.svg_dots([(5, 0.25)], x, y) == "M50.00 75.00h.001"
    assert chart.svg_path([], x, y) == ""


def test_smoothing_keeps_constants_and_the_start_and_calms_noise() -> None:
    flat = [(float(i), 3.0) for i in range(100)]
    assert [y for _, y in chart.smooth(flat)] == pytest.approx([3.0] * 100)
    noisy = [(float(i), 5.0 + (-1.0) ** i) for i in range(1000)]
    calm = chart.smooth(noisy)
    assert calm[0] == noisy[0] and [x for x, _ in calm] == [x for x, _ in noisy]
    assert max(abs(y - 5.0) for _, y in calm[400:]) < 0.05
    assert chart.smooth([]) == []


def test_thinning_keeps_the_ends_and_every_spike() -> None:
    curve = [(float(i), math.sin(i / 500)) for i in range(30_000)]
    curve[12_345] = (12_345.0, 99.0)
    few = chart.thin(curve)
    assert 1000 < len(few) <= 2000
    assert few[0] == curve[0] and few[-1] == curve[-1] and (12_345.0, 99.0) in few
    assert few == sorted(few)
    assert chart.thin(curve[:2000]) == curve[:2000]


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(2, 10))
def test_ticks_enclose_the_range_in_even_steps(low: float, width: float, about: int) -> None:
    found = chart.ticks(low, low + width, about)
    slack = 1e-6 * max(abs(low), width, 1e-300)
    assert found[0] <= low + slack and found[-1] >= low + width - slack
    assert 2 <= len(found) <= about + 3


def test_ticks_are_round_and_survive_a_range_of_no_width() -> None:
    assert chart.ticks(1.55, 3.9) == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0]
    assert chart.ticks(0, 0.004) == [0.0, 0.001, 0.002, 0.003, 0.004]
    for value in (0.0, 7.0, -7.0):
        assert chart.ticks(value, value)[0] < value < chart.ticks(value, value)[-1]
    assert [chart.tick_label(v) for v in (1e-5, 0.002, 3.0, 12_000.0)] == ["1e-05", "0.002", "3", "12,000"]


def test_a_chart_without_points_is_none_and_events_off_the_axis_are_not_drawn() -> None:
    assert chart.draw("loss", [chart.Line("a", "raw", [])]) is None
    drawn = chart.draw(
        "loss", [chart.Line("a", "raw", [(0, 2.0), (100, 4.0)])], floor=0.0, events=[(50, "1"), (101, "2")]
    )
    assert drawn is not None
    assert [(mark.place, mark.label) for mark in drawn.events] == [(50.0, "1")]
    assert drawn.y_ticks[0] == chart.Mark(100.0, "0")


# Histories


def test_after_a_resumption_the_later_line_counts(tmp_path: Path) -> None:
    train = [{"kind": "train", "step": step, "loss": float(step)} for step in (10, 20, 30)]
    again = [{"kind": "train", "step": step, "loss": -float(step)} for step in (20, 30, 40)]
    samples = [
        {"kind": "sample", "step": 20, "prompt": p, "text": t}
        for p, t in (("a", "1"), ("b", "2"), ("a", "3"))
    ]
    path = run_folder(tmp_path, metrics=lines(*train, *again, *samples)) / "metrics.jsonl"
    history = read_history(path)
    assert points(history.train, "loss") == [(10, 10.0), (20, -20.0), (30, -30.0), (40, -40.0)]
    assert [(row["prompt"], row["text"]) for row in history.samples] == [("a", "3"), ("b", "2")]


def test_a_half_last_line_is_left_out_and_a_damaged_one_is_counted(tmp_path: Path) -> None:
    good = lines({"kind": "train", "step": 1, "loss": 2.0})
    path = run_folder(tmp_path, metrics=good + '{"kind": "train", "step": 2, "lo') / "metrics.jsonl"
    assert (len(read_history(path).train), read_history(path).unreadable) == (1, 0)
    path.write_text(good + '{"kind": "tr' + good + "[1]\n\n" + good.strip(), encoding="utf-8")
    assert (len(read_history(path).train), read_history(path).unreadable) == (1, 2)
    assert "2 damaged lines of metrics.jsonl" in page_of(tmp_path).words


def test_values_that_are_no_numbers_are_not_drawn_but_told(tmp_path: Path) -> None:
    rows = [
        {"kind": "train", "step": s, "loss": v}
        for s, v in ((1, 5.0), (2, math.nan), (3, None), (4, math.inf))
    ]
    history = read_history(run_folder(tmp_path, metrics=lines(*rows)) / "metrics.jsonl")
    assert points(history.train, "loss") == [(1, 5.0)]
    assert first_not_a_number(history) == 2
    assert "From step 2 on the loss was not a number" in page_of(tmp_path).words


# Words


def test_figures_read_well() -> None:
    assert [text.count(v) for v in (0, 12_345, 5_242_880, 1.5e9)] == [
        "0",
        "12,345",
        "5.24 million",
        "1.50 billion",
    ]
    assert [text.size(v) for v in (812, 3_200, 41_300_000)] == ["812 bytes", "3.20 kB", "41.3 MB"]
    assert [text.duration(v) for v in (4.21, 59.7, 372, 7_500)] == [
        "4.2 s",
        "1 min 00 s",
        "6 min 12 s",
        "2 h 05 min",
    ]
    assert text.date("2026-03-07T14:02:11") == "7 March 2026, 14:02"
    assert text.date("yesterday") == "yesterday"
    absent: list[object] = [None, math.nan, math.inf, True, [], 10**400]
    for figure in (text.count, text.size, text.duration, text.number, text.date):
        assert {figure(value) for value in absent} == {text.ABSENT}


def test_nothing_stays_unseen() -> None:
    assert text.visible("a\0b\x1b\x7f\u202e\ud800\n\té") == "a\\x00b\\x1b\\x7f\\u202e\\ud800\n\té"


def test_a_few_of_many_keeps_first_and_last() -> None:
    few = text.spread(range(100), 6)
    assert len(few) == 6 and few[0] == 0 and few[-1] == 99 and few[1] < 20
    assert text.spread(range(4), 6) == [0, 1, 2, 3]


def test_the_verdict_compares_both_ways() -> None:
    said = story.verdict(1.5, {"gzip": 2.0, "xz": 1.25, "same": 1.501}, 1000.0)
    assert "1.50 bits per byte: 25% fewer than gzip, 20% more than xz, as many as same." in said
    assert "turn these 1.00 kB into 188 bytes" in said


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ([(1, 3.0), (2, 2.05)], "close together (2.00 and 2.05)"),
        ([(1, 3.0), (2, 2.4)], "20% harder"),
        ([(1, 2.0), (2, 2.4)], "lowest at step 1 and has risen"),
        ([], ""),
    ],
)
def test_the_curves_are_read_for_the_newcomer(validation: list[tuple[float, float]], said: str) -> None:
    assert said in story.reading([(1, 3.0), (2, 2.0)], validation)


# The page


def test_a_finished_run_has_every_chapter_and_its_figures(tmp_path: Path) -> None:
    page = page_of(EXAMPLE["write_example_run"](tmp_path / "quickstart"))
    assert page.chapters == CHAPTERS
    flat = " ".join(page.words.split())
    for words in ("7.48 million", "28% fewer than gzip", "interrupted by Ctrl-C; resumed", "8 layers, one",
                  "exact duplicate", "3.46 bytes of text", "the widest multiple of 64", "--steps 1240 --seed",
                  "AMD EPYC 7B13", "2.13.0", '"peak_learning_rate": 0.004', "hornbook chat"):  # fmt: skip
        assert words in flat
    assert "from 3.97 bits per byte at step 5 to 1.59" in flat
    drawn = [value for name, value in page.attributes if name == "d" and value.count("L") > 200]
    assert len(drawn) == 5, "batches, average, and three small charts, each step once"
    assert all(len(path.split("L")) == 248 for path in drawn)


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    folder = EXAMPLE["write_example_run"](tmp_path / "run")
    raw = write_report(folder).read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|//[a-z]+\.", raw)
    loads = [
        value for name, value in Page(raw).attributes if name in ("src", "href", "srcset", "action", "data")
    ]
    assert loads and all(value.startswith("#") for value in loads)


def test_only_the_config_is_needed(tmp_path: Path) -> None:
    page = page_of(run_folder(tmp_path / "bare"))
    assert page.chapters == ["config", "next"]
    assert "None" not in page.words and "nan" not in page.words


def test_a_plain_run_leaves_out_what_it_has_not(tmp_path: Path) -> None:
    folder = EXAMPLE["write_example_run"](tmp_path / "plain")
    (folder / "ledger.json").unlink()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del run["dial"], run["tokenizer"]
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    page = page_of(folder)
    assert page.chapters == [name for name in CHAPTERS if name not in ("ledger", "dial", "tokenizer")]


def test_text_of_the_run_is_never_markup(tmp_path: Path) -> None:
    evil = "</pre><script>alert('1')</script>&amp;\0\ud800"
    metrics = lines(
        {"kind": "sample", "step": 1, "prompt": evil, "text": evil},
        {"kind": "event", "step": 1, "text": evil},
        {"kind": "train", "step": 1, "loss": 1.0},
    )
    dropped = {"reason": evil, "examples": [{"excerpt": evil}]}
    folder = run_folder(
        tmp_path,
        metrics=metrics,
        config={"format": 1, "name": evil},
        run={"command": evil, "machine": {evil: evil}, "tokenizer": {"sample": [[evil, 3]]},
             "dial": [{"name": evil, "value": evil, "because": evil}],
             "parameters": {"parts": [{"name": evil, "shape": evil, "note": evil}]}},
        results={"held_out": {"bits_per_byte": 1.0, "yardsticks": {evil: 2.0}}, "samples": [{"text": evil}]},
        ledger={"inputs": [evil], "kept_examples": [{"source": evil, "excerpt": evil}],
                "steps": [{"name": evil, "note": evil, "dropped": [dropped]}]},
    )  # fmt: skip
    raw = write_report(folder).read_text(encoding="utf-8")
    page = Page(raw)
    assert page.chapters == [name for name in CHAPTERS if name != "pace"]
    assert raw.count("<script>") == 1
    shown = "</pre><script>alert('1')</script>&amp;\\x00\\ud800"
    assert page.words.count(shown) >= 18


def replaced(whole: Any, wrong: Any) -> Iterator[Any]:
    """Yield copies of JSON data, each with one value replaced; of a list only the first item is."""
    yield wrong
    if isinstance(whole, dict):
        for key, value in whole.items():
            yield from ({**whole, key: changed} for changed in replaced(value, wrong))
    if isinstance(whole, list) and whole:
        yield from ([changed, *whole[1:]] for changed in replaced(whole[0], wrong))


@pytest.mark.parametrize("wrong", [None, math.nan, "text", 3, [], {}, [None], [[1]], [{}], {"a": None}])
def test_a_value_of_any_kind_in_any_place_still_gives_a_page(tmp_path: Path, wrong: Any) -> None:
    folder = EXAMPLE["write_example_run"](tmp_path / "run")
    (folder / "metrics.jsonl").unlink()
    files = read_run(folder)
    for name in ("config", "run", "results", "ledger"):
        for changed in replaced(getattr(files, name), wrong):
            if isinstance(changed, dict):
                broken: dict[str, Any] = {name: changed}
                assert "next" in Page(render(dataclasses.replace(files, **broken))).chapters


@pytest.mark.parametrize("wrong", [None, math.nan, "text", [], {"a": 1}])
def test_metrics_of_any_kind_still_give_a_page(tmp_path: Path, wrong: Any) -> None:
    kinds = ("train", "validation", "sample", "event")
    keys = ("loss", "bits_per_byte", "tokens", "seconds", "learning_rate", "prompt", "text")
    rows = [{"kind": kind, "step": i, **dict.fromkeys(keys, wrong)} for kind in kinds for i in range(3)]
    assert "next" in page_of(run_folder(tmp_path, metrics=lines(*rows))).chapters


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_an_unfinished_run_says_so_and_how_to_go_on(tmp_path: Path, status: str) -> None:
    page = page_of(
        run_folder(
            tmp_path,
            config={"train": {"steps": 900}},
            run={"status": status, "command": "hornbook train laptop"},
            metrics=lines({"kind": "train", "step": 310, "loss": 3.0}),
        )
    )
    assert "at step 310 of 900" in page.words
    assert "hornbook train laptop --resume" in page.words
    assert "trained from nothing" not in page.words


def test_what_the_guard_did_is_drawn(tmp_path: Path) -> None:
    """Steps left out in a row are one mark; their losses, which may be anything, stretch no curve."""
    rows = [{"kind": "train", "step": step, "loss": 3.0, "grad_norm": 1.0} for step in range(1, 20)]
    for row in rows[9:12]:
        row |= {"loss": 812.5, "grad_norm": None, "skipped": "loss 812 where 3 is usual"}
    skips = [
        {"kind": "event", "step": step, "what": "skip", "text": f"left out {step}"} for step in (10, 11, 12)
    ]
    back = {"kind": "event", "step": 12, "what": "roll_back", "text": "went back to step 5"}
    later = {"kind": "event", "step": 15, "what": "skip", "text": "left out 15"}
    folder = run_folder(tmp_path, metrics=lines(*rows, *skips, back, later))
    history = read_history(folder / "metrics.jsonl")
    assert [(row["step"], row["more"]) for row in history.occasions] == [(10, 2), (12, 0), (15, 0)]
    assert first_not_a_number(history) is None
    page = page_of(folder)
    assert "step 10 left out 10 (and 2 more)" in page.words and "step 12 went back to step 5" in page.words
    assert "812" not in page.words and "800" not in page.words


def test_events_too_near_for_a_mark_each_share_one(tmp_path: Path) -> None:
    rows = [{"kind": "train", "step": step, "loss": 3.0} for step in (1, 500, 1000)]
    events = [{"kind": "event", "step": step, "text": str(step)} for step in (100, 120, 149, 151, 900)]
    page = write_report(run_folder(tmp_path, metrics=lines(*rows, *events))).read_text(encoding="utf-8")
    assert re.findall(r'<span class="event"[^>]*>([^<]+)</span>', page) == ["1–3", "4", "5"]  # noqa: RUF001


def test_a_run_that_broke_down_says_so(tmp_path: Path) -> None:
    run = {"status": "diverged", "command": "hornbook train laptop --out run"}
    page = page_of(run_folder(tmp_path, run=run, metrics=lines({"kind": "train", "step": 3, "loss": 3.0})))
    assert "Training broke down at step 3" in page.words
    assert "--resume train.guard=roll_back" in page.words


def test_without_bits_per_byte_the_curve_is_in_nats(tmp_path: Path) -> None:
    rows = [{"kind": "train", "step": step, "loss": 9.0 - step} for step in range(1, 5)]
    page = page_of(run_folder(tmp_path, metrics=lines(*rows)))
    assert "in nats per token" in page.words and "bits per byte" not in page.words


def test_a_missing_config_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"config\.json is missing"):
        write_report(tmp_path)
    folder = run_folder(tmp_path, ledger=[1, 2])
    with pytest.raises(RunFolderError, match=r"ledger\.json is damaged: .*list"):
        write_report(folder)
    (folder / "ledger.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"ledger\.json is damaged"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_long_run_stays_a_light_page(tmp_path: Path) -> None:
    rows = [
        {"kind": "train", "step": s, "loss": 3 + 1 / (s + 1), "learning_rate": 0.1} for s in range(50_000)
    ]
    path = write_report(run_folder(tmp_path, metrics=lines(*rows)))
    assert path.stat().st_size < 250_000


def test_the_same_files_give_the_same_page(tmp_path: Path) -> None:
    folder = EXAMPLE["write_example_run"](tmp_path / "run")
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_the_band_of_a_run_is_drawn_and_its_last_verdict_told(tmp_path: Path) -> None:
    """A verdict is no event of the curve. Of a run that goes on for longer the band is that no more."""
    band = {"seeds": 5, "steps": [10, 20], "low": [3.0, 2.0], "high": [4.0, 3.0], "bits_per_nat": 0.5}
    said = [
        {"kind": "event", "step": step, "what": "verdict", "text": f"above at {step}"} for step in (10, 20)
    ]
    measured = [{"kind": "validation", "step": step, "loss": 2.5, "bits_per_byte": 1.25} for step in (10, 20)]
    facts = {"config": {"format": 1, "train": {"steps": 20}}, "metrics": lines(*measured, *said)}
    page = page_of(run_folder(tmp_path, run={"band": band}, **facts))
    assert "expected on held-out text, from 5 runs" in page.words
    assert "The last word on it: above at 20." in page.words and "above at 10" not in page.words
    assert (history := read_run(tmp_path).history).occasions == [] and len(history.events) == 2
    assert band_outline(band, "bits_per_byte") == [(10, 1.5), (20, 1.0), (20, 1.5), (10, 2.0)]
    facts["config"]["train"]["steps"] = 40
    assert "expected on held-out" not in page_of(run_folder(tmp_path, run={"band": band}, **facts)).words
    assert band_outline({**band, "low": None}, "loss") == []
