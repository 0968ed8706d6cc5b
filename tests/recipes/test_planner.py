"""The planner: what it says to type is what it planned, and what fits nowhere is refused."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from hornbook.base.errors import ConfigError
from hornbook.data.batch import Batch
from hornbook.model.count import matrix_parameters, on_meta, training_flops_per_token
from hornbook.plan.budget import Givens
from hornbook.plan.cards import find_cards
from hornbook.plan.law_file import CHINCHILLA, shipped_law
from hornbook.recipes import planner
from hornbook.recipes.planner import LADDER, Planned, Rented, ThisMachine, Wish, make_plan
from hornbook.recipes.settling import SHARE_OF_MEMORY
from hornbook.recipes.shapes import resolve
from hornbook.train.config import RunConfig


class Slow:
    """A machine of a known speed."""

    def __init__(self, memory: int | None = 10**10) -> None:
        self.memory = memory
        self.overrides = ["train.device=cpu", "train.precision=float32"]

    def rate(self, config: RunConfig) -> float:
        return 1e11

    def story(self) -> str:
        return "a slow machine: 100 GFLOP/s, made up"


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ladder of few rungs, quickly built."""
    monkeypatch.setattr(planner, "STEPS_OF_SIZE", (1, 4))
    monkeypatch.setattr(planner, "LARGEST", 20_000_000)


def typed(planned: Planned) -> RunConfig:
    """The configuration that the command of a plan gives."""
    words: Sequence[str] = shlex.split(planned.command)
    words = words[words.index("train") + 1 : words.index("--out")]
    return resolve(words[0], [word for word in words[1:] if not word.startswith("data.path")])


def same_run(left: RunConfig, right: RunConfig) -> bool:
    return (left.model, left.data, left.train.steps) == (right.model, right.data, right.train.steps)


@pytest.mark.parametrize(
    "givens",
    [
        Givens(seconds=360.0),
        Givens(flops=10**13),
        Givens(parameters=1_234_567, tokens=7_654_321),
        Givens(tokens=5_000_000, seconds=360.0),
    ],
)
def test_the_command_carries_out_the_plan(givens: Givens) -> None:
    planned = make_plan(Wish(givens), Slow())
    assert same_run(typed(planned), planned.config)
    flops = training_flops_per_token(on_meta(planned.config.model), planned.config.data.seq_len)
    assert planned.seconds == pytest.approx(planned.tokens * flops / 1e11)
    assert planned.aim.rung.parameters == matrix_parameters(on_meta(planned.config.model))
    budget = givens.budget(1e11)
    if budget is not None:
        assert planned.tokens * flops <= 1.02 * budget


class SlowerWhenLarge(Slow):
    """A machine on which a model of more than the probe's weights is a tenth slower."""

    def rate(self, config: RunConfig) -> float:
        return 0.9e11 if matrix_parameters(on_meta(config.model)) > 2_500_000 else 1e11


def test_a_size_that_is_slower_than_thought_makes_room_for_a_smaller_one() -> None:
    """The largest that reads the tokens at the probe's speed needs all of the time, and at its own more."""
    larger = make_plan(Wish(Givens(parameters=4_000_000, tokens=10**7)), Slow())
    wish = Wish(Givens(seconds=1.02 * larger.seconds, tokens=10**7))
    assert make_plan(wish, Slow()).aim.rung.size == 4_000_000
    planned = make_plan(wish, SlowerWhenLarge())
    assert planned.aim.rung.size == 1_000_000
    assert planned.seconds == pytest.approx(planned.tokens * planned.aim.rung.flops_per_token / 1e11)


def test_the_command_names_a_text_where_the_recipe_has_none_of_its_own() -> None:
    quickstart, letters = (
        make_plan(Wish(Givens(seconds=600.0), recipe=name), Slow())
        for name in ("quickstart", "shakespeare-char")
    )
    assert "data.path=my-texts/" in quickstart.command and "data.path" not in letters.command
    assert quickstart.is_foreseen
    assert not letters.is_foreseen, "no law is of letters"


def test_a_recipe_keeps_its_size() -> None:
    planned = make_plan(Wish(Givens(seconds=600.0), recipe="quickstart"), Slow())
    assert same_run(typed(planned), planned.config)
    assert planned.config.model == resolve("quickstart").model
    with pytest.raises(ConfigError, match="quickstart has its own size; leave --params away, or --recipe"):
        make_plan(Wish(Givens(parameters=10**6), recipe="quickstart"), Slow())


@pytest.mark.slow
def test_little_memory_gets_a_smaller_model_or_none() -> None:
    ample, tight = (make_plan(Wish(Givens(flops=10**14)), Slow(memory)) for memory in (10**10, 3 * 10**7))
    assert tight.aim.rung.parameters < ample.aim.rung.parameters
    assert tight.needed <= SHARE_OF_MEMORY * 3 * 10**7
    with pytest.raises(
        ConfigError, match=r"a step of .* weights takes .* GB with one row at a time, and 70% of 0.0"
    ):
        make_plan(Wish(Givens(parameters=4_000_000)), Slow(memory=10**7))


def test_too_little_of_everything_is_refused() -> None:
    with pytest.raises(ConfigError, match="operations are too few: 100k tokens with the smallest model take"):
        make_plan(Wish(Givens(seconds=0.01)), Slow())
    with pytest.raises(
        ConfigError, match=r"20k tokens are \d+ steps of [\d,]+, and a model wants 100 to learn"
    ):
        make_plan(Wish(Givens(parameters=10**6, tokens=20_000)), Slow())


def test_small_plans_go_by_our_own_runs() -> None:
    planned = make_plan(Wish(Givens(flops=10**13)), Slow())
    assert planned.law is shipped_law()
    assert planned.reach(CHINCHILLA) > 100


def test_cards_are_as_fast_as_their_tables_say() -> None:
    planned = make_plan(Wish(Givens(parameters=10**6, tokens=10**7)), Rented(find_cards("A100x4"), 0.5))
    flops = training_flops_per_token(on_meta(planned.config.model), planned.config.data.seq_len)
    assert planned.seconds == pytest.approx(planned.tokens * flops / (4 * 312e12 * 0.5))
    assert planned.config.train.precision == "bfloat16"


@pytest.mark.slow
def test_this_machine_is_measured() -> None:
    machine = ThisMachine("cpu")
    assert machine.rate(resolve("quickstart", ["size=1", "data.batch_size=2", "train.device=cpu"])) > 0
    assert "measured now" in machine.story()


@pytest.mark.parametrize(
    ("peak", "memory", "is_own"), [(1e9, 10**10, False), (1e15, 10**10, True), (1e15, 10**7, False)]
)
def test_a_model_is_measured_itself_where_that_takes_a_second_and_fits(
    monkeypatch: pytest.MonkeyPatch, peak: float, memory: int, is_own: bool
) -> None:
    measured = []

    def speed(config: RunConfig, batch: Batch) -> float:
        measured.append((config.model, len(batch.tokens)))
        return 1.0

    monkeypatch.setattr(planner, "PROBE_FLOPS", 1e9)
    monkeypatch.setattr(planner, "matmul_peak", lambda device, precision: peak)
    monkeypatch.setattr(planner, "training_speed", speed)
    machine = ThisMachine("cpu")
    machine.memory = memory
    config = resolve(LADDER, ["size=4M", *machine.overrides])
    machine.rate(config)
    ((model, rows),) = measured
    assert (model == config.model) is is_own
    assert 1 <= rows <= config.data.batch_size


def test_a_plan_by_a_law_of_ones_own(tmp_path: Path) -> None:
    wish = Wish(Givens(flops=10**13), law=CHINCHILLA)
    assert make_plan(wish, Slow()).law is CHINCHILLA
