"""The verbs. Nothing heavy is imported before a verb needs it, so that help is instant."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from hornbook.base.errors import HornbookError, Interrupted
from hornbook.cli.help import examples
from hornbook.cli.plan import app as plan
from hornbook.cli.tokenizer import app as tokenizer

HELP = (
    "Build a language model from the letter up.\n\n"
    "New here? Type [bold]hornbook quickstart[/bold]: in about six minutes a language model is trained from "
    "nothing in front of your eyes. Then write with it: [bold]hornbook chat runs/quickstart[/bold]"
)
MORE = "[bold]hornbook VERB --help[/bold] tells more about a verb, with examples."


app = typer.Typer(
    name="hornbook",
    help=HELP,
    epilog=MORE,
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tokenizer, name="tokenizer")
app.add_typer(plan, name="plan")


def main() -> None:
    """Run the command line and exit."""
    from hornbook.base.progress import configure_logging

    configure_logging()
    _never_fail_at_letters()
    try:
        app()
    except HornbookError as error:
        sys.exit(_complain(str(error), 1 if isinstance(error, Interrupted) else 2))
    except OSError as error:
        sys.exit(_complain(f"{error.filename or 'the output'}: {error.strerror or error}", 1))


def _never_fail_at_letters() -> None:
    """Let letters that the terminal or a file cannot take, or that are not text, become question marks."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _complain(message: str, code: int) -> int:
    print(f"hornbook: {message}", file=sys.stderr)
    return code


@app.callback(invoke_without_command=True)
def page(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Show the page when no verb is given."""
    if version:
        import hornbook

        typer.echo(f"hornbook {hornbook.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(
    epilog=examples("hornbook quickstart --minutes 10", "hornbook quickstart --text books/ --out runs/books")
)
def quickstart(
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Your own text: a file, a folder or a pattern; repeat for more."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", help="Training time; size and steps follow from it (4.5 if not given)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Optimizer steps, instead of minutes.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Layers; with --steps and --seed it fixes the model."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="All randomness follows from it.")] = 0,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The run folder.")] = Path("runs/quickstart"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over; a run in the way is kept under another name.")
    ] = False,
) -> None:
    """Build a language model from nothing, as a lesson. Run again, it goes on or says what is there."""
    from hornbook.recipes.lesson import Lesson, console
    from hornbook.recipes.quickstart import Request, run_quickstart

    request = Request(tuple(text or ()), minutes, steps, size, seed)
    run_quickstart(request, out, Lesson(console()), overwrite)


@app.command(
    epilog=examples(
        "hornbook train quickstart data.path=books/ train.steps=2000 --out runs/books",
        "hornbook train runs/books --resume",
    )
)
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe (quickstart), a config.json, or a run folder.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Assignments: size=6, train.steps=500, model.n_layers=6 ..."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The run folder to make; with --resume, RECIPE itself."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last save, bit for bit.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over; a run in the way is kept under another name.")
    ] = False,
) -> None:
    """Train a model from text: corpus, tokenizer, shards, training, evaluation, report."""
    from hornbook.recipes import road
    from hornbook.recipes.lesson import Lesson, console

    if out is None and resume:
        if not Path(recipe).is_dir():
            raise HornbookError(f"go on with what? {recipe!r} is no run folder; give one, or --out FOLDER")
        out = Path(recipe)
    if out is None:
        raise HornbookError("where to? give --out FOLDER, for example --out runs/first")
    lesson = Lesson(console())
    road.train(
        recipe,
        *(overrides or ()),
        out=out,
        resume=resume,
        overwrite=overwrite,
        listen=lesson.hear,
        watch=lesson.bar,
        announce=lesson.say,
    )
    lesson.finished(out)


@app.command(
    epilog=examples(
        'hornbook generate runs/quickstart "def main("',
        'hornbook generate runs/quickstart "The" --temperature 0.5 --max-new-tokens 80',
    )
)
def generate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What the text begins with, or answers.")
    ] = "",
    max_new_tokens: Annotated[int, typer.Option(metavar="N", help="Most tokens to write.")] = 200,
    temperature: Annotated[
        float, typer.Option(metavar="X", help="0: always the likeliest token; 1: by the model's own odds.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Choose among so many likeliest tokens only.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(metavar="X", help="Choose among the likeliest that reach this share only.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, another text.")] = 0,
) -> None:
    """Continue a prompt; an encoder-decoder answers it."""
    from hornbook.cli.talk import write

    write(
        run,
        prompt,
        max_new_tokens,
        sampling={"temperature": temperature, "top_k": top_k, "top_p": top_p},
        seed=seed,
    )


@app.command(
    epilog=examples("hornbook chat runs/quickstart", "hornbook chat runs/quickstart --temperature 0.5")
)
def chat(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    max_new_tokens: Annotated[int, typer.Option(metavar="N", help="Most tokens in one reply.")] = 80,
    temperature: Annotated[
        float, typer.Option(metavar="X", help="0: always the likeliest token; 1: by the model's own odds.")
    ] = 0.7,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="Choose among so many likeliest tokens only.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(metavar="X", help="Choose among the likeliest that reach this share only.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, other replies.")] = 0,
) -> None:
    """Write with a base model: you begin, it goes on."""
    from hornbook.cli.talk import converse

    converse(
        run, max_new_tokens, sampling={"temperature": temperature, "top_k": top_k, "top_p": top_p}, seed=seed
    )


@app.command(
    epilog=examples(
        "hornbook tokenize books/ --tokenizer runs/base --out tokens/books",
        "hornbook tokenize 'web/*.jsonl.zst' --tokenizer runs/base --out tokens/web",
    )
)
def tokenize(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS...",
            help="Text, JSON lines (.jsonl, .gz, .zst), Parquet: files, folders, patterns; corpus folders.",
        ),
    ],
    tokenizer: Annotated[
        Path,
        typer.Option(
            metavar="PATH", help="A run folder, a tokenizer's folder, a tokenizer.json or .tiktoken."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make, or to go on with.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes; one for each processor if not given."),
    ] = None,
    column: Annotated[
        str, typer.Option(metavar="NAME", help="Where JSON lines and Parquet have the text.")
    ] = "text",
    held_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Share of the documents kept from training (0.01); a corpus has its own."
        ),
    ] = None,
) -> None:
    """Turn documents into token shards, once and in parallel; stopped and typed again, it goes on."""
    from hornbook.cli.tokenize import tokenize_inputs

    tokenize_inputs(inputs, tokenizer, out, workers, column, held_out)


@app.command(epilog=examples("hornbook show runs/quickstart", "hornbook show quickstart size=8"))
def show(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A run folder, a config.json or a recipe.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Assignments, as in train.")
    ] = None,
) -> None:
    """Show what a run or a recipe is made of and needs: parts, arithmetic, memory, configuration."""
    from hornbook.cli.show import show_config

    show_config(what, overrides or [])


@app.command(
    epilog=examples(
        "hornbook report runs/quickstart",
        "hornbook report runs/first runs/second --out first-and-second.html",
    )
)
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run folder or more.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the page goes (RUN/report.html; of several runs compared.html)."
        ),
    ] = None,
) -> None:
    """Draw a run as a page, finished or not; or the curves of several over each other."""
    from hornbook.cli.compare import report_runs

    report_runs(runs, out)


@app.command(
    epilog=examples(
        "hornbook compare runs/adamw runs/muon",
        "hornbook compare runs/a-0 runs/a-1 runs/b-0 runs/b-1 --out ab.html",
    )
)
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders; those that differ in their seeds alone are one."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw their curves over each other, as a page.")
    ] = None,
) -> None:
    """Say in which settings runs differ, what they came to, and whether seeds alone could explain it."""
    from hornbook.cli.compare import compare_runs

    compare_runs(runs, out)


@app.command(
    "import",
    epilog=examples(
        "hornbook import SmolLM2-135M --out runs/smol", "hornbook import out/quickstart --out runs/back"
    ),
)
def import_(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A model of Hugging Face on this machine, in safetensors."),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The run folder to make.")],
) -> None:
    """Make a run of a published model."""
    from hornbook.cli.exchange import bring_in

    bring_in(folder, out)


@app.command(
    epilog=examples(
        "hornbook export runs/quickstart --out out/quickstart",
        "hornbook export runs/smol --out out/smol --family llama",
    )
)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make.")],
    format: Annotated[str, typer.Option(metavar="FORMAT", help="hf: a folder of Hugging Face.")] = "hf",
    family: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The published family to write it as (the first that fits)."),
    ] = None,
) -> None:
    """Write a run for other libraries; it is read again and compared before it is there."""
    from hornbook.cli.exchange import send_out

    send_out(run, out, format, family)
