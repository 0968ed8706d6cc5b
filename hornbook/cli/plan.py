"""The verbs about what to train. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook.base.amounts import parse_amount
from hornbook.base.errors import ConfigError
from hornbook.cli.help import examples

if TYPE_CHECKING:
    from hornbook.plan.budget import Givens
    from hornbook.recipes.planner import Machine

app = typer.Typer(
    help="Say what to train: model, batch, steps, memory, time, expected loss, cost, and the command.",
    invoke_without_command=True,
    no_args_is_help=False,
    rich_markup_mode="rich",
)


@app.callback(
    epilog=examples(
        "hornbook plan --hours 8",
        "hornbook plan --params 124M --tokens 3B --gpu H100x8 --price 2.5",
        "hornbook plan --flops 1e18 --gpu RTX4090",
        "hornbook plan fit runs/ladder/*",
    )
)
def plan(
    context: typer.Context,
    hours: Annotated[float | None, typer.Option(metavar="N", help="Time to train in.")] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="N", help="Size of the model, such as 30M: about so many parameters."),
    ] = None,
    tokens: Annotated[str | None, typer.Option(metavar="N", help="Tokens to read, such as 3B.")] = None,
    flops: Annotated[str | None, typer.Option(metavar="N", help="Operations to spend, such as 1e18.")] = None,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="CARD", help="Known cards, such as H100 or A100x8 (this machine, measured)."),
    ] = None,
    mfu: Annotated[
        float | None, typer.Option(metavar="X", help="With --gpu: share of the peak to assume (0.4).")
    ] = None,
    price: Annotated[
        float | None, typer.Option(metavar="X", help="What an hour of one card or machine costs.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(metavar="RECIPE", help="What to train; only llama-style has its size chosen."),
    ] = "llama-style",
    law: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The law of plan fit to go by (the known one that is nearest)."),
    ] = None,
) -> None:
    """Say what to train in the time, or with the compute, that you have. Give any one or two of the first
    four."""
    if context.invoked_subcommand is not None:
        return
    from hornbook.cli.planned import show_plan
    from hornbook.plan.law_file import read_law
    from hornbook.recipes.lesson import Lesson, console
    from hornbook.recipes.planner import Wish, make_plan

    givens = _givens(hours, params, tokens, flops)
    givens.check()
    _positive("--price", price, "2.5")
    machine = _machine(gpu, mfu)
    lesson = Lesson(console())
    wish = Wish(givens, recipe, None if law is None else read_law(law))
    with lesson.bar("planning") as progress:
        planned = make_plan(wish, machine, lambda stage: progress(0, None, stage))
    show_plan(planned, price, lesson)


@app.command(
    epilog=examples("hornbook plan fit runs/ladder/*", "hornbook plan fit runs/a runs/b ... --out law.json")
)
def fit(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished run folders.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the law goes; a page of plots stands beside it.")
    ] = Path("law.json"),
) -> None:
    """Fit a scaling law to runs of several sizes and lengths; plot it."""
    from hornbook.cli.planned import show_law
    from hornbook.recipes.law_runs import fit_law
    from hornbook.recipes.lesson import Lesson, console

    show_law(fit_law(runs, out), out, Lesson(console()))


def _givens(hours: float | None, params: str | None, tokens: str | None, flops: str | None) -> Givens:
    from hornbook.plan.budget import Givens

    _positive("--hours", hours, "8")
    return Givens(
        seconds=None if hours is None else 3600 * hours,
        flops=_amount("--flops", flops, "1e18"),
        parameters=_amount("--params", params, "30M"),
        tokens=_amount("--tokens", tokens, "3B"),
    )


def _machine(gpu: str | None, mfu: float | None) -> Machine:
    from hornbook.plan.cards import USUAL_MFU, find_cards
    from hornbook.recipes.planner import Rented, ThisMachine

    if gpu is None:
        if mfu is not None:
            raise ConfigError("--mfu is for --gpu; this machine is measured")
        return ThisMachine()
    if mfu is not None and not 0 < mfu <= 1:
        raise ConfigError(f"--mfu is a share above 0 and at most 1, such as {USUAL_MFU:g}, not {mfu:g}")
    return Rented(find_cards(gpu), USUAL_MFU if mfu is None else mfu)


def _amount(option: str, text: str | None, example: str) -> int | None:
    """A number as it was typed."""
    if text is None:
        return None
    number = parse_amount(text)
    if not number:
        raise ConfigError(f"{option} is a number above 0, such as {example}, not {text!r}")
    return number


def _positive(option: str, number: float | None, example: str) -> None:
    if number is not None and not 0 < number < math.inf:
        raise ConfigError(f"{option} is a number above 0, such as {example}, not {number:g}")
