"""The planner: what to train in the hours, with the compute, or for the size or the text that you have.

    planned = make_plan(Wish(Givens(seconds=8 * 3600)), machine)
    planned.config, planned.tokens, planned.seconds, planned.expected, planned.command

The arithmetic is that of `plan.budget`; here the ladder's models are built without memory and counted, this
machine is measured or a card looked up, and memory is counted on the code that will run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from hornbook.base.amounts import parse_amount, short_amount
from hornbook.base.errors import ConfigError
from hornbook.data.config import DataConfig
from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, matrix_parameters, on_meta, training_flops_per_token
from hornbook.model.shape_config import AnyConfig
from hornbook.plan.budget import Aim, Givens, Rung, choose_rung
from hornbook.plan.cards import Cards
from hornbook.plan.dial import FEWEST_STEPS
from hornbook.plan.law_file import CHINCHILLA, Expected, KnownLaw, nearest_law, shipped_law
from hornbook.plan.machine import describe_machine
from hornbook.recipes import words
from hornbook.recipes.decoders import N_BYTES
from hornbook.recipes.ladder import LARGEST, SMALLEST
from hornbook.recipes.needs import Needs, example_batch
from hornbook.recipes.settling import SHARE_OF_MEMORY, SHARE_OF_PEAK, rows_that_fit
from hornbook.recipes.shapes import resolve
from hornbook.recipes.speed import training_speed
from hornbook.train.config import RunConfig
from hornbook.train.device import PRECISIONS, free_memory, matmul_peak, resolve_device, resolve_precision

LADDER = "llama-style"
STEPS_OF_SIZE = (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8)
"""Sizes of the ladder that are tried, times powers of ten: within a fifth of the best, where the loss is
flat."""
PROBE = 2_000_000
"""Size that is measured before another is chosen."""
PROBE_FLOPS = 1e11
"""Operations that a step which is measured may take on any machine: about a second on a slow one."""


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    givens: Givens
    recipe: str = LADDER
    """What to train; the ladder's size is chosen, another recipe's is what it is."""
    law: KnownLaw | None = None
    """The law to plan by; None: of the known ones that whose runs are nearest."""

    @property
    def laws(self) -> tuple[KnownLaw, ...]:
        """The laws to choose from."""
        return (shipped_law(), CHINCHILLA) if self.law is None else (self.law,)


class Machine(Protocol):
    """What computes: its speed, what it remembers, and how it is told."""

    @property
    def memory(self) -> int | None:
        """Bytes for tensors on each card or in this machine; None: not known."""

    @property
    def overrides(self) -> list[str]:
        """What a configuration must say so that its memory is counted as on this machine."""

    def rate(self, config: RunConfig) -> float:
        """Useful operations a second in training such a model."""

    def story(self) -> str:
        """What it is and where its speed is from."""


class ThisMachine:
    """The machine that this runs on, measured."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._measured: dict[str, float] = {}

    @cached_property
    def memory(self) -> int | None:
        """What is free now."""
        return free_memory(resolve_device(self.device))

    @property
    def overrides(self) -> list[str]:
        """Nothing that a run would not say itself."""
        return [f"train.device={self.device}"]

    def rate(self, config: RunConfig) -> float:
        """Measured on training steps; on those of a small model where a large one takes long, or too much."""
        rows = self._rows(config)
        if not rows:
            config = resolve(LADDER, [f"size={PROBE}", *self.overrides])
            rows = self._rows(config) or 1
        self.probed = count_parameters(on_meta(config.model))
        key = config.model.model_dump_json()
        if key not in self._measured:
            self._measured[key] = training_speed(config, example_batch(config, rows))
        self._rate = self._measured[key]
        return self._rate

    def _rows(self, config: RunConfig) -> int:
        """As many sequences as fit and are learned from in about a second; 0: not even one."""
        device = resolve_device(config.train.device)
        precision = PRECISIONS[resolve_precision(config.train.precision, device)]
        most = max(PROBE_FLOPS, SHARE_OF_PEAK * matmul_peak(device, precision))
        flops = training_flops_per_token(on_meta(config.model), config.data.seq_len) * config.data.seq_len
        if flops > most:
            return 0
        rows, needed = rows_that_fit(Needs(config), self.memory)
        return min(rows, int(most / flops)) if _is_held(needed, self.memory) else 0

    def story(self) -> str:
        """The device, and the speed that was measured last."""
        about = describe_machine(str(resolve_device(self.device)), "")
        speed = f"{short_flops(self._rate)}/s in training steps of {short_amount(self.probed)} parameters"
        return f"this machine ({about['processor']}, {about['device']}): {speed}, measured now"


class Rented:
    """Cards that are known by their tables."""

    def __init__(self, cards: Cards, mfu: float) -> None:
        self.cards, self.mfu = cards, mfu

    @property
    def memory(self) -> int:
        """Of each card."""
        return self.cards.card.memory

    @property
    def overrides(self) -> list[str]:
        """Memory is counted on the CPU's code, in the card's precision."""
        precision = "float16" if self.cards.card.name.startswith(("V100", "T4")) else "bfloat16"
        return ["train.device=cpu", f"train.precision={precision}"]

    def rate(self, config: RunConfig) -> float:
        """The assumed share of the peak of all cards."""
        return self.cards.count * self.cards.card.peak * self.mfu

    def story(self) -> str:
        """The peak, its source, the assumed share."""
        card = self.cards.card
        peak = f"{short_flops(card.peak)}/s each at best ({card.source})"
        return f"{self.cards.name}: {peak}, of which {self.mfu:.0%} is assumed"


@dataclass(frozen=True)
class Planned:
    """A plan, whole."""

    wish: Wish
    machine: Machine
    config: RunConfig
    aim: Aim
    seconds: float
    rows: int
    """Sequences in one forward pass."""
    needed: int
    """Bytes of a training step, at most, on each card."""
    law: KnownLaw

    @property
    def tokens(self) -> int:
        """Tokens that all steps read."""
        return self.config.train.steps * self.batch

    @property
    def batch(self) -> int:
        """Tokens in a step."""
        return self.config.data.batch_size * self.config.data.seq_len

    @property
    def is_foreseen(self) -> bool:
        """Whether the laws are about such a model: decoders that predict the next token, and not letters."""
        model, objective = self.config.model, self.config.train.objective
        return (
            isinstance(model, ModelConfig) and objective.kind == "next_token" and model.vocab_size > N_BYTES
        )

    def expected(self, law: KnownLaw) -> Expected:
        """What a law expects of it."""
        return law.expect(self.aim.rung.parameters, self.tokens)

    def reach(self, law: KnownLaw) -> float:
        """How many times it lies beyond a law's runs."""
        return law.reach(parameters=self.aim.rung.parameters, tokens=self.tokens)

    @property
    def command(self) -> str:
        """What carries it out."""
        out = ("--out", f"runs/{self.wish.recipe if self._is_ladder else 'planned'}")
        text = ("data.path=my-texts/",) if self.config.data.path == DataConfig().path else ()
        if not self._is_ladder:
            dials = [f"train.steps={self.config.train.steps}"]
        else:
            dials = [f"size={_typed(self.aim.rung.size)}", f"tokens={_typed(self.aim.tokens)}"]
        return words.typed("train", self.wish.recipe, *dials, *text, *out)

    @property
    def _is_ladder(self) -> bool:
        return self.wish.recipe == LADDER


def make_plan(wish: Wish, machine: Machine, tell: Callable[[str], None] = lambda stage: None) -> Planned:
    """Choose size, tokens and batch; refuse what contradicts itself and what fits no memory.

    `tell` is told what takes a while.
    """
    givens = wish.givens
    givens.check()
    laws = wish.laws
    tell("measuring")
    probe = _config(wish, givens.parameters or PROBE, None, machine)
    rate = machine.rate(probe)
    law = nearest_law(laws, parameters=givens.parameters, tokens=givens.tokens, flops=givens.budget(rate))
    rungs = _rungs(wish, givens)
    tell("choosing")
    aim, config, rows, needed = _fitting(wish, rungs, rate, law, machine)
    while (own := machine.rate(config)) != rate and givens.seconds is not None:
        # Another size has another speed: of those up to it one is chosen anew, till it is as fast as thought.
        rate = own
        rungs = [rung for rung in rungs if rung.parameters <= aim.rung.parameters]
        aim, config, rows, needed = _fitting(wish, rungs, rate, law, machine)
    planned = Planned(wish, machine, config, aim, 0.0, rows, needed, law)
    if config.train.steps < FEWEST_STEPS:
        raise ConfigError(
            f"{short_amount(aim.tokens)} tokens are {config.train.steps} steps of {planned.batch:,}, and a "
            f"model wants {FEWEST_STEPS} to learn anything; give more"
        )
    seconds = planned.tokens * aim.rung.flops_per_token / own
    return Planned(wish, machine, config, aim, seconds, rows, needed, law)


def _fitting(
    wish: Wish, rungs: list[Rung], rate: float, law: KnownLaw, machine: Machine
) -> tuple[Aim, RunConfig, int, int]:
    """The best rung that the memory holds."""
    givens = wish.givens
    while True:
        aim = choose_rung(givens, rungs, rate=rate, law=law.law)
        # Three figures are enough to type.
        aim = Aim(aim.rung, givens.tokens or int(float(f"{aim.tokens:.3g}")))
        config = _config(wish, aim.rung.size, aim.tokens, machine)
        rows, needed = rows_that_fit(Needs(config), machine.memory)
        if _is_held(needed, machine.memory):
            return aim, config, rows, needed
        smaller = [rung for rung in rungs if rung.parameters < aim.rung.parameters]
        if not smaller:
            assert machine.memory is not None
            raise ConfigError(_too_large(aim.rung, needed, machine.memory))
        rungs = smaller


def _is_held(needed: int, memory: int | None) -> bool:
    """Whether a step fits; memory None: it does."""
    return memory is None or needed <= SHARE_OF_MEMORY * memory


def _too_large(rung: Rung, needed: int, memory: int) -> str:
    return (
        f"a step of {short_amount(rung.parameters)} weights takes {needed / 1e9:,.1f} GB with one row at a "
        f"time, and {SHARE_OF_MEMORY:.0%} of {memory / 1e9:,.1f} GB are for tensors; plan a smaller model, "
        "or cards with more memory (--gpu H100)"
    )


def _rungs(wish: Wish, givens: Givens) -> list[Rung]:
    """The sizes to choose from."""
    if wish.recipe != LADDER:
        if givens.parameters is not None:
            raise ConfigError(f"{wish.recipe} has its own size; leave --params away, or --recipe")
        return [_rung(resolve(wish.recipe), 0)]
    if givens.parameters is not None:
        return [_rung(resolve(LADDER, [f"size={givens.parameters}"]), givens.parameters)]
    sizes = [round(step * 10**power) for power in range(5, 10) for step in STEPS_OF_SIZE]
    return [_rung(resolve(LADDER, [f"size={size}"]), size) for size in sizes if SMALLEST <= size <= LARGEST]


def _rung(config: RunConfig, size: int) -> Rung:
    return Rung(size, *_counted(config.model, config.data.seq_len))


def _counted(config: AnyConfig, seq_len: int) -> tuple[int, float]:
    """Matrix parameters, and operations for a token; of equal layers, one and two are built and counted."""
    if isinstance(config, ModelConfig) and config.n_layers > 2 and len(config.pattern) == 1:
        one, two = (_counted(config.model_copy(update={"n_layers": n}), seq_len) for n in (1, 2))
        more = config.n_layers - 1
        return one[0] + more * (two[0] - one[0]), one[1] + more * (two[1] - one[1])
    model = on_meta(config)
    return matrix_parameters(model), float(training_flops_per_token(model, seq_len))


def _config(wish: Wish, size: int, tokens: int | None, machine: Machine) -> RunConfig:
    """The run of a size and of so many tokens, as the machine would do it."""
    if wish.recipe == LADDER:
        dials = [f"size={size}", *([] if tokens is None else [f"tokens={tokens}"])]
        return resolve(LADDER, [*dials, *machine.overrides])
    config = resolve(wish.recipe, machine.overrides)
    if tokens is None:
        return config
    steps = max(1, tokens // (config.data.batch_size * config.data.seq_len))
    return resolve(config, [f"train.steps={steps}"])


def _typed(number: int) -> str:
    """A number as it is typed: short where that is exact."""
    short = short_amount(number)
    return short if parse_amount(short) == number else str(number)


def short_flops(number: float) -> str:
    """A number of operations in the unit that suits it."""
    for factor, unit in ((1e21, "ZFLOP"), (1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")):
        if number >= factor:
            return f"{number / factor:,.3g} {unit}"
    return f"{number / 1e6:,.3g} MFLOP"
