"""Is my loss normal? Bands of seeds, the judge on curves of every kind, the shipped files, and whole runs."""

from __future__ import annotations

from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train.small_runs import sums
from train.test_sanity import shuffled

import hornbook as hb
from hornbook.base.config import override
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.shards import TokenShards
from hornbook.recipes import bands, verdicts
from hornbook.recipes.bands import Band, BandText, Cost, Elsewhere, curve_of, read_band, write_band
from hornbook.recipes.shapes import RECIPES, resolve
from hornbook.recipes.verdicts import BandJudge, differences, expectations
from hornbook.train import tasks

TEXT = BandText(name="the play", train_bytes=900, held_out_bytes=100, tokens="abc")
FREQUENCY = 3.3
CONFIG = resolve("shakespeare-char", ["train.steps=100", "train.precision=float32"])
DECAYING = [[level + 2.0 * 0.9**step for step in range(0, 101, 10)] for level in (1.79, 1.8, 1.81)]


def band(**more: Any) -> Band:
    """Three seeds whose held-out loss goes from 3.8 down to 1.8."""
    curve = curve_of(range(10, 111, 10), DECAYING)
    facts = {
        "recipe": "shakespeare-char",
        "text": TEXT,
        "seeds": 3,
        "train": curve,
        "validation": curve,
        "bits_per_nat": 1.44,
        "final": curve_of([100], [[1.7], [1.71], [1.69]]),
        "cost": Cost(tokens=1000, flops=1e9, memory_bytes=1000, seconds=3.0, machine="a desk"),
        "made_with": {"hornbook": "0.1.0"},
        "config": CONFIG,
    }
    return Band(**(facts | more))


def judged(
    held_out: float,
    *assignments: str,
    step: int = 100,
    text: BandText | None = TEXT,
    before: list[dict[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The verdict on a held-out loss at one step; nothing where none is given."""
    judge = BandJudge(band(**more), override(CONFIG, assignments), text, FREQUENCY)
    for line in before or []:
        assert judge.hear(line) == []
    line = {"kind": "validation", "step": step, "loss": held_out, "bits_per_byte": held_out * 1.44}
    return next(iter(judge.hear(line)), {})


def test_one_more_seed_lies_in_the_band_99_times_in_100() -> None:
    draw = np.random.default_rng(0)
    for n_seeds in (3, 5):
        inside = 0
        for seeds in draw.normal(2.0, 0.1, size=(4000, n_seeds + 1)):
            curve = curve_of([1], [[loss] for loss in seeds[:-1]])
            inside += curve.low[0] <= seeds[-1] <= curve.high[0]
        assert 0.985 < inside / 4000 < 0.995


def test_a_curve_has_lines_between_its_points_and_nothing_before_the_first() -> None:
    curve = curve_of([10, 20], [[3.0, 2.0], [3.0, 2.0]])
    assert curve.at(15) == pytest.approx((2.4875, 2.5, 2.5125))
    assert curve.at(9) is None and curve.at(21) is None


def test_a_loss_in_the_band() -> None:
    found = judged(1.81)
    low, high = (f"{found[end]:.3f}" for end in ("low", "high"))
    assert found["verdict"] == "in"
    assert found["text"] == f"in the band of 3 seeds: 1.810 nats a token, expected {low} to {high}"
    assert judged(3.0, step=9) == {}, "before the first point nothing is expected"


def test_a_loss_above_names_what_differs_the_likeliest_first() -> None:
    found = judged(2.5, "data.batch_size=4", "train.optimizer.learning_rate=0.5", "model.max_seq_len=256")
    assert found["verdict"] == "above"
    assert "; likely: train.optimizer.learning_rate is 0.5, the band's 0.02, " in found["text"]
    assert found["text"].index("data.batch_size is 4") < found["text"].index("model.max_seq_len is 256")


def test_a_loss_above_with_nothing_different_is_put_down_to_what_the_losses_say() -> None:
    skip = {"kind": "event", "step": 50, "what": "skip", "text": "left out"}
    found = judged(2.5, before=[skip, skip])
    assert "likely, in order: the guard left out 2 steps; code other than the band's (" in found["text"]
    orderless = judged(3.31)["text"]
    assert "in order: nothing is known but how often each token occurs (3.30): targets that do" in orderless
    assert "precision: bfloat16, the band's was float32" in judged(2.5, "train.precision=bfloat16")["text"]
    train = [{"kind": "train", "step": step, "loss": 1.8} for step in (96, 98, 100)]
    assert "it learns its text by heart" in judged(2.5, before=train)["text"]
    assert "by heart" not in judged(2.5, "model.n_layers=4", before=train)["text"], "another recipe's loss"


@pytest.mark.parametrize("bad", [nan, None])
def test_a_training_loss_that_is_no_number_is_passed_over_live_as_in_the_file(bad: float | None) -> None:
    train = [
        {"kind": "train", "step": step, "loss": loss} for step, loss in ((96, 1.8), (98, bad), (100, 1.8))
    ]
    assert "it learns its text by heart" in judged(2.5, before=train)["text"]


def test_the_report_draws_the_band_of_the_same_settings_only() -> None:
    assert BandJudge(band(), CONFIG, TEXT, FREQUENCY).is_strict
    assert not BandJudge(band(), override(CONFIG, ["data.batch_size=4"]), TEXT, FREQUENCY).is_strict


def test_a_loss_below_is_a_leak_or_another_configuration() -> None:
    found = judged(1.0)
    assert found["verdict"] == "below"
    assert "likely, in order: the model sees what it is asked for" in found["text"]
    assert (
        "in order: model.n_layers is 4, the band's 2; the model sees"
        in judged(1.0, "model.n_layers=4")["text"]
    )


@pytest.mark.parametrize("loss", [nan, None])
def test_no_number_is_above(loss: Any) -> None:
    judge = BandJudge(band(), CONFIG, TEXT, FREQUENCY)
    (found,) = judge.hear({"kind": "validation", "step": 100, "loss": loss, "bits_per_byte": loss})
    assert found["verdict"] == "above" and ": not a number, expected " in found["text"]


def test_causes_are_told_when_the_verdict_changes_and_at_the_end() -> None:
    judge = BandJudge(band(), CONFIG, TEXT, FREQUENCY)
    said = []
    for step in range(10, 101, 10):
        line = {"kind": "validation", "step": step, "loss": 4.0, "bits_per_byte": 5.0}
        said += [event["text"] for event in judge.hear(line)]
    assert ["likely" in text for text in said] == [True] + 8 * [False] + [True]


def test_of_other_steps_only_one_side_is_expected() -> None:
    longer, shorter = "train.steps=200", "train.steps=50"
    assert judged(1.2, longer, step=200)["text"].startswith(
        "as it should be beside the band of 3 seeds (100 steps, this run 200): 1.200 nats a token, expected "
        "at most "
    )
    assert judged(2.5, longer, step=200)["verdict"] == "above"
    assert judged(2.5, shorter, step=50)["verdict"] == "fits"
    assert judged(1.2, shorter, step=50)["verdict"] == "below"
    halfway = DECAYING[1][4]  # The run of 200 steps at 100 is as far on its way as the band at 50.
    assert judged(halfway, longer, step=100)["verdict"] == "fits"


def test_the_same_text_in_other_tokens_is_compared_in_bits() -> None:
    found = judged(1.81, "tokenizer.vocab_size=512", text=TEXT.model_copy(update={"tokens": "else"}))
    assert found["verdict"] == "in"
    assert "2.606 bits per byte, expected " in found["text"]
    assert "tokenizer.vocab_size is 512, the band's 257" in found["text"]


def test_an_encoder_in_other_tokens_is_asked_for_something_else() -> None:
    encoder = resolve("bert-small")
    other = TEXT.model_copy(update={"tokens": "else"})
    judge = BandJudge(band(config=encoder), encoder, other, FREQUENCY)
    line = {"kind": "validation", "step": encoder.train.steps, "loss": 1.81, "bits_per_byte": 2.6}
    assert judge.hear(line) == []


def test_on_another_text_there_is_no_verdict_but_what_was_seen_elsewhere() -> None:
    other = BandText(name="mine", train_bytes=5000, held_out_bytes=500, tokens="xyz")
    elsewhere = (Elsewhere(text="a novel", bits_per_byte=2.44),)
    found = judged(2.0, "model.n_layers=4", text=other, elsewhere=elsewhere)
    assert found["verdict"] == "unknown"
    assert found["text"].startswith("no band holds for this text: that of shakespeare-char is of the play, ")
    assert "(and at 2.44 on a novel); this run ends at 2.88; model.n_layers is 4" in found["text"]
    assert judged(2.0, text=other, step=90) == {}, "only in the end"
    assert judged(2.0, text=None)["verdict"] == "unknown", "a mixture is another text"


def test_what_differs_is_named_and_counted() -> None:
    assert differences({"a": (1, 2)}) == "a is 2, the band's 1"
    four = differences({name: (1, 2) for name in "abcd"})
    assert four == "a is 2, the band's 1, b is 2, the band's 1, c is 2, the band's 1 and 1 more"


def test_a_band_is_written_and_read(tmp_path: Path) -> None:
    write_band(tmp_path / "one.json", band())
    assert read_band(tmp_path / "one.json") == band()


# What is shipped


@pytest.mark.parametrize("path", sorted(bands.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_band_is_that_of_its_recipe(path: Path) -> None:
    shipped = read_band(path)
    today = shipped.differing(resolve(shipped.recipe, shipped.overrides))
    assert not today, (
        f"{shipped.recipe} has changed ({differences(today)}), and its band is of the former one; make it "
        f"again: see the head of benchmarks/bands.py"
    )
    assert shipped.train.steps == shipped.validation.steps
    for curve in (shipped.train, shipped.validation, shipped.final):
        assert len(curve.steps) == len(curve.low) == len(curve.mean) == len(curve.high)
        assert all(map(isfinite, (*curve.low, *curve.mean, *curve.high)))
        assert all(a <= b <= c for a, b, c in zip(curve.low, curve.mean, curve.high, strict=True))
    assert shipped.validation.steps[-1] == shipped.steps


@pytest.mark.parametrize("shipped", bands.shipped_bands(), ids=lambda shipped: shipped.recipe)
def test_the_document_has_every_band(shipped: Band) -> None:
    page = (Path(bands.__file__).parents[2] / "docs" / "is-my-loss-normal.md").read_text(encoding="utf-8")
    (row,) = [
        line for line in page.splitlines() if line.startswith(f"| `{shipped.recipe}") and " s on " in line
    ]
    assert f"`{' '.join((shipped.recipe, *shipped.overrides))}`" in row
    assert f"| {shipped.validation.low[-1]:.3f} to {shipped.validation.high[-1]:.3f} |" in row


def test_the_nearest_band_of_a_recipe_is_its_own() -> None:
    for shipped in bands.shipped_bands():
        assert bands.nearest_band(resolve(shipped.recipe, shipped.overrides)) == shipped
    assert bands.nearest_band(resolve("gpt2-124m")) is None


def test_a_recipe_is_shown_with_what_is_expected_of_it_and_what_it_costs() -> None:
    told = dict(expectations("shakespeare-char", resolve("shakespeare-char")))
    assert "held out of tinyshakespeare, after 200 steps (5 seeds)" in told["expected"]
    assert told["cost"].startswith("205k tokens of text, ") and "; about " in told["cost"]
    changed = dict(expectations("shakespeare-char", resolve("shakespeare-char", ["data.batch_size=4"])))
    assert changed["expected"].endswith("; but data.batch_size is 4, the band's 8")
    assert changed["cost"].startswith("102k tokens of text, ") and "about" not in changed["cost"]
    large = dict(expectations("bert-small", resolve("bert-small")))
    assert " steps with size=1 vocab_size=280 " in large["expected"], "the band of another size"
    assert "not measured here" in dict(expectations("gpt2-124m", resolve("gpt2-124m")))["published"]
    assert all(recipe in RECIPES for recipe in verdicts.PUBLISHED)


# Whole runs

SMALL = (
    "size=1", "train.steps=20", "train.validate_every=10", "train.log_every=2", "train.sample_prompts=[]",
    "train.final_prompts=[]",
)  # fmt: skip


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text with rules."""
    path = tmp_path_factory.mktemp("text") / "play.txt"
    path.write_text("".join(sums(150)), encoding="utf-8")
    return path


def trained(play: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    """The metrics of a run."""
    hb.train("shakespeare-char", *SMALL, f"data.path={play}", *more, out=out)
    return RunFolder(out).read_metrics()


def band_of_runs(play: Path, folder: Path, n_seeds: int) -> Band:
    """The band of a few seeds."""
    runs = [trained(play, folder / str(seed), f"seed={seed}") for seed in range(n_seeds)]
    held_out = [[line for line in run if line["kind"] == "validation"] for run in runs]
    losses = [[line["loss"] for line in run] for run in held_out]
    curve = curve_of([line["step"] for line in held_out[0]], losses)
    shards = [TokenShards(folder / "0" / "data" / part) for part in ("train", "held_out")]
    precision = RunFolder(folder / "0").read_config()["train"]["precision"]
    last = held_out[0][-1]
    return band(
        text=bands.text_of("sums", *shards),
        seeds=n_seeds,
        train=curve,
        validation=curve,
        bits_per_nat=last["bits_per_byte"] / last["loss"],
        config=resolve("shakespeare-char", [*SMALL, f"train.precision={precision}"]),
    )


def verdict_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return [line for line in lines if line.get("what") == "verdict"][-1]


@pytest.mark.slow
def test_runs_are_judged_as_they_train(play: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed is in the band of three; an absurd rate, and targets of other tokens, are above it."""
    found = band_of_runs(play, tmp_path, 3)
    monkeypatch.setattr(bands, "shipped_bands", lambda: (found,))

    good = trained(play, tmp_path / "good", "seed=7")
    assert [line["step"] for line in good if line.get("what") == "verdict"] == [10, 20]
    assert verdict_of(good)["verdict"] == "in"
    page = (tmp_path / "good" / "report.html").read_text(encoding="utf-8")
    assert "expected on held-out text, from 3 runs" in page and "in the band of 3 seeds" in page

    fast = verdict_of(trained(play, tmp_path / "fast", "train.optimizer.learning_rate=5"))
    assert fast["verdict"] == "above"
    assert "likely: train.optimizer.learning_rate is 5.0, the band's 0.02" in fast["text"]

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "next_tokens", shuffled)
        mixed = verdict_of(trained(play, tmp_path / "mixed"))
    assert mixed["verdict"] == "above"
    assert "likely, in order: nothing is known but how often each token occurs" in mixed["text"]
