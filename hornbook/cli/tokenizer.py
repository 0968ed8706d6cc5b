"""The verbs about tokenizers. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.help import examples

app = typer.Typer(
    help="Train a tokenizer, look inside one, compare it with others.",
    epilog="[bold]hornbook tokenizer VERB --help[/bold] tells more about a verb, with examples.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(
    epilog=examples(
        "hornbook tokenizer train books/ --vocab-size 8192 --out vocabularies/books",
        "hornbook tokenizer train python --vocab-size 4096 --pattern cl100k --out vocabularies/python",
        "hornbook tokenizer train 'web/*.txt' --vocab-size 32000 --special '<|user|>' --out vocabularies/web",
    )
)
def train(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...",
            help="Files of text, folders, patterns, corpus folders, or the word python: its own library.",
        ),
    ],
    vocab_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Tokens in all: 256 bytes, merges, special tokens.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the tokenizer goes.")],
    pattern: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How text is cut into words: gpt2, cl100k, o200k ... or a regular expression.",
        ),
    ] = "gpt2",
    special: Annotated[
        list[str] | None,
        typer.Option(metavar="TOKEN", help="A special token; repeat for more. <|endoftext|> is always one."),
    ] = None,
    min_frequency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Merge no pair that occurs less often.")
    ] = 2,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Count words in so many threads; all processors if not given."),
    ] = None,
    max_words: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Keep at most so many distinct words in memory, the frequent ones."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a tokenizer that is there already.")
    ] = False,
) -> None:
    """Learn a vocabulary from your text: byte-level byte-pair encoding."""
    from hornbook.cli.tokens import show_training
    from hornbook.recipes.lesson import Lesson, console
    from hornbook.recipes.vocabulary import train_tokenizer
    from hornbook.tokenizer.tokenizer import END_OF_TEXT

    lesson = Lesson(console())
    trained = train_tokenizer(
        paths,
        out,
        vocab_size,
        overwrite=overwrite,
        watch=lesson.bar,
        pattern=pattern,
        special_tokens=tuple(dict.fromkeys([END_OF_TEXT, *(special or ())])),
        min_frequency=min_frequency,
        threads=threads,
        max_words=max_words,
    )
    show_training(trained, lesson)


@app.command(
    epilog=examples(
        'hornbook tokenizer show "The hornbook, the first book."',
        'hornbook tokenizer show "for i in range(10):" --tokenizer cl100k_base.tiktoken',
        "hornbook tokenizer show - --tokenizer vocabularies/books --no-steps",
    )
)
def show(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to cut into tokens; - reads the input.")],
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A run folder, a tokenizer's folder, a tokenizer.json or a .tiktoken file "
            "(runs/quickstart if not given).",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For a .tiktoken file: gpt2, cl100k, o200k ... or an expression."),
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps/--no-steps", help="Show how each word is merged, step by step.")
    ] = True,
) -> None:
    """Show how a text is cut: its tokens in colours, their ids and bytes, and every merge."""
    from hornbook.cli.tokens import show_text
    from hornbook.recipes.at_hand import find_tokenizer
    from hornbook.recipes.lesson import Lesson, console

    show_text(find_tokenizer(tokenizer, pattern), text, steps, Lesson(console()))


@app.command(
    epilog=examples(
        "hornbook tokenizer report books/ code/ --tokenizer vocabularies/books",
        "hornbook tokenizer report languages/ --compare vocabularies/ --out languages.html",
    )
)
def report(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS...",
            help="Each file, and each thing in a folder, is one kind of text in the report.",
        ),
    ],
    tokenizer: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="Your tokenizer; repeat for more (if not given, one is trained on the text)."
        ),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="A published vocabulary, or a folder of them, to compare with; repeat for more "
            "(if not given, those in $HORNBOOK_DATA/tokenizers).",
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep/--no-sweep", help="Train vocabularies of 1k to 64k tokens on the text.")
    ] = True,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")] = Path("report.html"),
) -> None:
    """Measure tokenizers on your texts, beside the published ones: a page of plots and tables."""
    from hornbook.cli.tokens import show_report
    from hornbook.recipes.lesson import Lesson, console
    from hornbook.recipes.tokenizer_report import write_tokenizer_report
    from hornbook.recipes.vocabulary_sweep import SIZES

    lesson = Lesson(console())
    figures = write_tokenizer_report(
        paths,
        out,
        tokenizers=tokenizer or (),
        compare=compare or (),
        sizes=SIZES if sweep else (),
        watch=lesson.bar,
    )
    show_report(figures, out, lesson)
