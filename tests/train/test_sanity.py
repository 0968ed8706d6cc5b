"""Checks that hold for any run: each speaks on curves that call for it, and is silent on a good one."""

from __future__ import annotations

from math import exp, inf, log, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train.conftest import Material

from hornbook.checkpoint.folder import RunFolder
from hornbook.data.batch import IGNORED, Batch, Rows, next_tokens
from hornbook.train import tasks
from hornbook.train.sanity import Checks, cost_of_frequencies

FREQUENCY = 3.0
KNOWING_NOTHING = log(257)


def heard(curve: list[tuple[float | None, float | None]], *, epochs: float = 0.5, **more: Any) -> list[str]:
    """What is said of a run with these (training, held-out) losses at steps 100, 200 and so on."""
    steps = 100 * len(curve)
    checks = Checks(vocab_size=257, by_frequency=FREQUENCY, steps=steps, steps_per_epoch=steps / epochs)
    said = []
    for i, (train, held_out) in enumerate(curve, 1):
        lines = [{"kind": "train", "step": 100 * i, "loss": train, "learning_rate": 0.01, **more}]
        lines += [{"kind": "validation", "step": 100 * i, "loss": held_out}]
        said += [event["text"] for line in lines for event in checks.hear(line)]
    return said


def test_a_good_run_gives_no_cause_for_words() -> None:
    assert heard([(2.9 + exp(-i), 3.0 + exp(-i) - 0.2 * i) for i in range(6)]) == []


@pytest.mark.parametrize("bad", [nan, inf, None])
def test_what_is_no_number_is_left_to_others(bad: float | None) -> None:
    assert heard([(bad, bad), (2.0, 2.0), (bad, 1.9)]) == []


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (KNOWING_NOTHING, None),
        (1.1 * KNOWING_NOTHING, None),
        (nan, None),
        (
            14.2,
            "the first loss is 14.20 nats, and knowing nothing costs ln(257) = 5.55: the weights begin too",
        ),
        (2.5, "the first loss is 2.50 nats, and knowing nothing costs ln(257) = 5.55: the weights know"),
    ],
)
def test_the_first_loss_is_that_of_knowing_nothing(loss: float, words: str | None) -> None:
    checks = Checks(vocab_size=257, by_frequency=FREQUENCY, steps=10, steps_per_epoch=1.0)
    said = [event["text"] for event in checks.first(loss)]
    assert not said if words is None else said[0].startswith(words)


def test_a_text_learned_by_heart_is_told_once() -> None:
    said = heard([(2.5, 2.6), (2.0, 2.4), (1.5, 2.6), (1.0, 2.9)], epochs=8)
    assert said == [
        "learning by heart: held-out loss was lowest at step 200 (2.40) and is 2.60 now, while training loss "
        "fell from 2.00 to 1.50; the run has been 6.0 times through its text: give it more text, fewer steps "
        "or dropout"
    ]
    assert heard([(2.5, 2.6), (2.0, 2.4), (2.2, 2.6)]) == [], "both losses rise: that is something else"


def test_what_was_learned_before_a_training_loss_is_known_is_not_told() -> None:
    assert heard([(None, 2.4), (1.5, 2.6)]) == []


def test_where_nothing_is_asked_nothing_is_held_against_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Batch(torch.zeros(1, 4, dtype=torch.int64), torch.full((1, 4), IGNORED))
    cost = cost_of_frequencies([silence], SameBatches([[0, 1, 1, IGNORED]]), vocab_size=5)
    monkeypatch.setitem(globals(), "FREQUENCY", cost)
    assert heard([(2.0, 2.0), (1.0, 1.0)]) == []


def test_a_loss_that_stands_still_is_nothing_learned() -> None:
    assert heard([(2.9, 2.9), (2.8, 2.9)]) == [
        "nothing was learned since step 100: the held-out loss is 2.9000 still; the weights are frozen, or "
        "no gradient reaches them"
    ]
    (said,) = heard([(2.9, 2.9), (2.8, 2.9)], learning_rate=0.0)
    assert said.endswith("the learning rate is 0, so look at train.optimizer and train.schedule")
    assert heard([(2.9, 2.9), (2.8, 2.9 - 1e-12)]) == []


def test_steps_that_the_guard_left_out_are_the_cause() -> None:
    checks = Checks(vocab_size=257, by_frequency=FREQUENCY, steps=9, steps_per_epoch=1.0)
    assert checks.hear({"kind": "validation", "step": 2, "loss": 2.5}) == []
    for step in (3, 4):
        assert checks.hear({"kind": "event", "step": step, "what": "skip", "text": ""}) == []
    (event,) = checks.hear({"kind": "validation", "step": 4, "loss": 2.5})
    assert event["text"].endswith("; the guard left out every step")


def test_what_is_too_good_is_told_once() -> None:
    (said,) = heard([(2.0, 2.0), (0.1, 0.1), (0.05, 0.05)])
    assert said.startswith("too good to be true: 0.100 nats a token of held-out text, where guessing by ")
    assert "the model sees what it is asked for" in said


def test_a_run_that_ends_no_better_than_guessing_by_frequency_is_told() -> None:
    (flat,) = heard([(3.2, 3.1), (3.1, 3.09)])
    assert flat == (
        "3.09 nats a token is no better than guessing by how often each token occurs (3.00): nothing of "
        "their order was learned; likely, in order: a learning rate that is too small or too large, targets "
        "that do not belong to their tokens"
    )
    (falling,) = heard([(4.0, 4.0), (3.5, 3.5)])
    assert "in order: too few steps (it still falls), a learning rate" in falling


class SameBatches:
    """Training whose every batch is the same."""

    steps_per_epoch = 1.0

    def __init__(self, targets: list[list[int]]) -> None:
        self.targets = torch.tensor(targets)

    def batch(self, step: int) -> Batch:
        return Batch(self.targets, self.targets)


def test_guessing_by_frequency_costs_what_the_frequencies_of_training_say() -> None:
    """All parts of a batch count, what is ignored does not; a token that training lacks can be asked for."""
    targets = torch.tensor([[0, 0, 1, IGNORED], [0, 0, 2, 2]])
    other = Batch(targets[:1], torch.tensor([[3, IGNORED, IGNORED, IGNORED]]))
    found = cost_of_frequencies(
        [Batch(targets, targets, others=other)], SameBatches([[0, 1, 1, IGNORED]]), vocab_size=5
    )
    asked, seen = np.array([4, 1, 2, 1]), 64 * np.array([1, 2, 0, 0])
    shares = (asked + seen) / (asked + seen).sum()
    assert found == pytest.approx(-(asked * np.log(shares)).sum() / 8)


def shuffled(rows: Rows, generator: np.random.Generator) -> Batch:
    """Next tokens whose targets stand in another order: they belong to other tokens."""
    batch = next_tokens(rows, generator)
    order = torch.from_numpy(generator.permuted(np.arange(batch.targets.numel())))
    return Batch(batch.tokens, batch.targets.flatten()[order].view_as(batch.targets), batch.documents)


def test_a_run_on_shuffled_targets_learns_frequencies_at_best(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "next_tokens", shuffled)
    fit = material.fit(
        tmp_path / "run", material.config(steps=24, validate_every=12, sample_every=24, save_every=24)
    )
    fit.run()
    checks = [line for line in RunFolder(tmp_path / "run").read_metrics() if line.get("what") == "check"]
    assert [line["step"] for line in checks] == [24]
    assert "is no better than guessing by how often each token occurs" in checks[0]["text"]


def test_a_resumed_run_says_what_it_would_have_said(material: Material, tmp_path: Path) -> None:
    """What a judge remembers is read back from the metrics, so it says a thing once in all sittings."""
    said: list[int] = []

    def judge(line: dict[str, Any]) -> list[dict[str, Any]]:
        if line["kind"] == "train":
            said.append(line["step"])
        return []

    class Killed(BaseException):
        pass

    def kill(line: dict[str, Any]) -> None:
        if line["kind"] == "train" and line["step"] == 7:
            raise Killed

    with pytest.raises(Killed):
        material.fit(tmp_path / "run", listen=kill).run()
    fit = material.fit(tmp_path / "run")
    fit.judges.append(judge)
    assert fit.resume() == 6
    fit.run()
    assert said == list(range(1, 11))
