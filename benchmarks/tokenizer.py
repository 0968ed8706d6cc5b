"""The tokenizer against its peers: encoding on one thread, short texts on two, and training.

    python benchmarks/tokenizer.py [--megabytes 16] [--rounds 5] [--only encode batch train]

Texts are the modules of the standard library, and where HORNBOOK_DATA names a folder of real texts, English
books, many languages, and the languages among these that are not written in Latin letters. Contenders run in
turn, on the same texts and with the same vocabulary; the table gives the median MB/s of each, and how many
times faster ours is in the median round and at best. The ids are compared first, so that a fast wrong answer
is no answer. Ours forgets before each round the words it has met, so that every round reads new text; "encode
again" is the speed where it need not, that of the later parts of a large text. Contenders that are not
installed are left out, and so are the published vocabularies where they are not at hand.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import tiktoken
import tokenizers
from pairs import at_best, in_turn, seconds, times_faster

from hornbook.tokenizer import PATTERNS, Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel

Encode = Callable[[str], Any]
Work = Callable[[Sequence[str]], Any]

FILES = {"gpt2": "r50k_base", "cl100k": "cl100k_base", "o200k": "o200k_base"}


def main() -> None:
    """Run every contest and print a line for each."""
    parser = argparse.ArgumentParser(description="Time Hornbook's tokenizer against its peers.")
    parser.add_argument("--megabytes", type=float, default=16, help="how much of each kind of text")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--only", nargs="+", choices=CONTESTS, default=list(CONTESTS), help="these contests")
    parser.add_argument("--vocab-size", type=int, default=32_768, help="of the vocabulary that is trained")
    parser.add_argument("--train-once", metavar="WHO", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_once:
        train_once(options.train_once, options.megabytes, options.vocab_size)
        return
    columns = f"{'MB':>6} {'ours MB/s':>10} {'peer MB/s':>10} {'times':>6} {'at best':>7}"
    print(f"{'contest':36} {'text':10} {columns}")
    for contest in options.only:
        CONTESTS[contest](options)


def kinds_of_text(megabytes: float) -> Iterator[tuple[str, list[str]]]:
    """Each kind of text that is at hand, cut to a size."""
    n_bytes = megabytes * 1e6
    library = Path(sysconfig.get_path("stdlib"))
    modules = (file for file in sorted(library.rglob("*.py")) if "site-packages" not in file.parts)
    yield "python", take(modules, n_bytes)
    folder = os.environ.get("HORNBOOK_DATA")
    if folder:
        data = Path(folder)
        yield (
            "english",
            take([*texts_in(data / "gutenberg" / "clean"), *texts_in(data / "litbank_novels")], n_bytes),
        )
        languages = texts_in(data / "flores200" / "devtest")
        yield "mixed", take(languages + texts_in(data / "udhr") + texts_in(data / "eltec"), n_bytes)
        yield "non-Latin", take([file for file in languages if "Latn" not in file.name], n_bytes)


def texts_in(folder: Path) -> list[Path]:
    """The files of a folder, notes about it aside."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".md")


def take(files: Iterable[Path], n_bytes: float) -> list[str]:
    """The texts of files until there are enough bytes; files that are not UTF-8 are passed over."""
    texts: list[str] = []
    for file in files:
        if n_bytes <= 0:
            break
        raw = file.read_bytes()
        try:
            texts.append(raw.decode("utf-8"))
        except UnicodeDecodeError:
            continue
        n_bytes -= len(raw)
    return texts


# Encoding


def vocabularies() -> Iterator[tuple[str, Tokenizer]]:
    """The published vocabularies at hand, or else one that is trained."""
    folder = os.environ.get("HORNBOOK_DATA")
    if not folder:
        yield "own", Tokenizer.train(next(kinds_of_text(5))[1], 32_768)
        return
    for name, file in FILES.items():
        path = Path(folder) / "tokenizers" / "tiktoken" / f"{file}.tiktoken"
        yield name, Tokenizer.load(path, pattern=name)


def encode(options: argparse.Namespace) -> None:
    """Whole documents on one thread."""
    for name, ours in vocabularies():
        for kind, texts in kinds_of_text(options.megabytes):
            against_fast_peers(name, kind, texts, ours, options.rounds)
        for kind, texts in kinds_of_text(options.megabytes / 10):
            slow = as_hugging_face(ours)
            peer = one_by_one(lambda text, slow=slow: slow.encode(text).ids)
            compete(f"encode {name}, tokenizers", kind, texts, options.rounds, lists(ours), peer)


def against_fast_peers(name: str, kind: str, texts: Sequence[str], ours: Tokenizer, rounds: int) -> None:
    """tiktoken and quicktok, who encode at a comparable speed."""
    theirs = as_tiktoken(ours)
    assert [theirs.encode_ordinary(text) for text in texts] == [encoded(ours, text) for text in texts]
    peers = {"tiktoken": theirs.encode_ordinary}
    if find_spec("quicktok") and name in ("cl100k", "o200k"):
        import quicktok

        peers["quicktok"] = quicktok.get_encoding(f"{name}_base").encode_ordinary
    for who, peer in peers.items():
        compete(f"encode {name}, {who}", kind, texts, rounds, lists(ours), one_by_one(peer))
        again = one_by_one(lambda text: encoded(ours, text))
        compete(f"encode again {name}, {who}", kind, texts, rounds, again, one_by_one(peer))
    compete(
        f"encode_array {name}, tiktoken", kind, texts, rounds,
        fresh(ours, one_by_one(lambda text: ours.encode_array(text, disallowed_special=()))),
        one_by_one(lambda text: theirs.encode_to_numpy(text, disallowed_special=())),
    )  # fmt: skip


def batch(options: argparse.Namespace) -> None:
    """Texts of 1 KB on two threads."""
    for name, ours in vocabularies():
        theirs = as_tiktoken(ours)
        for kind, texts in kinds_of_text(options.megabytes / 4):
            short = [text[at : at + 1000] for text in texts for at in range(0, len(text), 1000)]
            compete(
                f"1 KB texts, 2 threads {name}, tiktoken", kind, short, options.rounds,
                fresh(ours, partial(ours.encode_batch, threads=2, disallowed_special=())),
                partial(theirs.encode_ordinary_batch, num_threads=2),
            )  # fmt: skip


def one_by_one(encode: Encode) -> Work:
    """Encode all texts and keep nothing."""

    def work(texts: Sequence[str]) -> None:
        for text in texts:
            encode(text)

    return work


def lists(ours: Tokenizer) -> Work:
    """Encode all texts to lists with ours."""
    return fresh(ours, one_by_one(lambda text: encoded(ours, text)))


def encoded(ours: Tokenizer, text: str) -> list[int]:
    """The ids of a text in which special tokens are plain text."""
    return ours.encode(text, disallowed_special=())


def fresh(ours: Tokenizer, work: Work) -> Work:
    """Work that begins with a memory of no words."""

    def begin(texts: Sequence[str]) -> None:
        engine = ours._engine
        assert isinstance(engine, ByteLevel)
        engine.forget()
        work(texts)

    return begin


def as_tiktoken(ours: Tokenizer) -> tiktoken.Encoding:
    """The same vocabulary in tiktoken, special tokens aside."""
    tokens = enumerate(ours.vocabulary.tokens)
    ranks = {token: place for place, token in tokens if token and ours.byte_lengths[place]}
    pattern = PATTERNS.get(ours.pattern, ours.pattern)
    return tiktoken.Encoding(ours.pattern, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def as_hugging_face(ours: Tokenizer) -> tokenizers.Tokenizer:
    """The same vocabulary in the Hugging Face library."""
    with tempfile.TemporaryDirectory() as folder:
        ours.save(folder)
        return tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))


# Training, in processes of their own, so that the largest memory of each can be told


def train(options: argparse.Namespace) -> None:
    """All kinds of text together, against the Hugging Face library and rustbpe."""
    contenders = ["hornbook", "tokenizers", *(["rustbpe"] if find_spec("rustbpe") else [])]
    runs = in_turn([partial(trained_apart, who, options) for who in contenders], options.rounds)
    megabytes = runs[0][0][2]
    ours = [run[0] for run in runs[0]]
    for who, measured in zip(contenders[1:], runs[1:], strict=True):
        peer = [run[0] for run in measured]
        speeds = f"{megabytes / median(ours):10.1f} {megabytes / median(peer):10.1f}"
        ratios = f"{times_faster(ours, peer):6.1f} {at_best(ours, peer):7.1f}"
        print(f"{f'train {options.vocab_size}, {who}':36} {'all':10} {megabytes:6.1f} {speeds} {ratios}")
    for who, measured in zip(contenders, runs, strict=True):
        print(f"  most memory above the texts', {who}: {median(run[1] for run in measured):.0f} MiB")


def trained_apart(who: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Seconds, MiB beyond the texts, and megabytes of text of a training in a process of its own."""
    command = [sys.executable, __file__, "--train-once", who, "--megabytes", str(options.megabytes)]
    command += ["--vocab-size", str(options.vocab_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken, mib, megabytes = map(float, done.stdout.split())
    return taken, mib, megabytes


def train_once(who: str, megabytes: float, vocab_size: int) -> None:
    """Train once and print seconds, MiB and megabytes of text."""
    from resource import RUSAGE_SELF

    from pairs import peak_mib

    texts = [text for _, kind in kinds_of_text(megabytes) for text in kind]
    if who == "hornbook":
        Tokenizer.train(["compiled code is loaded first", "as that of the peers is"], 270)
    before = peak_mib(RUSAGE_SELF)
    taken = seconds(lambda: TRAINERS[who](texts, vocab_size))
    n_bytes = sum(len(text.encode()) for text in texts)
    print(taken, peak_mib(RUSAGE_SELF) - before, n_bytes / 1e6)


def hugging_face_trained(texts: Sequence[str], vocab_size: int) -> object:
    """Train the Hugging Face library's tokenizer with our settings, on all processors."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(texts, trainer)
    return theirs


def rustbpe_trained(texts: Sequence[str], vocab_size: int) -> object:
    """Train rustbpe's tokenizer."""
    import rustbpe

    theirs = rustbpe.Tokenizer()
    theirs.train_from_iterator(iter(texts), vocab_size, pattern=PATTERNS["gpt2"])
    return theirs


TRAINERS: dict[str, Callable[[Sequence[str], int], object]] = {
    "hornbook": Tokenizer.train,
    "tokenizers": hugging_face_trained,
    "rustbpe": rustbpe_trained,
}


def compete(label: str, kind: str, texts: Sequence[str], rounds: int, ours: Work, peer: Work) -> None:
    """Run both in turn and print the median speeds and the median ratio."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    works = [partial(seconds, partial(work, texts)) for work in (ours, peer)]
    times = in_turn(works, rounds)
    mine, other = (median(megabytes / taken for taken in column) for column in times)
    ratios = f"{times_faster(*times):6.1f} {at_best(*times):7.1f}"
    print(f"{label:36} {kind:10} {megabytes:6.1f} {mine:10.1f} {other:10.1f} {ratios}", flush=True)


CONTESTS: dict[str, Callable[[argparse.Namespace], None]] = {"encode": encode, "batch": batch, "train": train}


if __name__ == "__main__":
    main()
