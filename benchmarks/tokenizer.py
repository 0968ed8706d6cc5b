"""The tokenizer against its peers: training, encoding on one thread, and batches on two.

    python benchmarks/tokenizer.py [--megabytes 10] [--rounds 5]

Texts are the modules of the standard library, and where HORNBOOK_DATA names a folder of real texts, its
English and its mixed languages too. Ours and the peer run in turn, on the same texts and with the same
vocabulary; the table gives the median MB/s of each, and how many times faster ours is in the median round and
at best. The ids are compared first, so that a fast wrong answer is no answer.
"""

from __future__ import annotations

import argparse
import os
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import tiktoken
import tokenizers
from pairs import at_best, in_turn, seconds, times_faster

from hornbook.tokenizer import PATTERNS, Tokenizer

Work = Callable[[], object]


def main() -> None:
    """Run every contest and print a line for each."""
    parser = argparse.ArgumentParser(description="Time Hornbook's tokenizer against tiktoken and tokenizers.")
    parser.add_argument("--megabytes", type=float, default=10, help="how much of each kind of text")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--vocab-size", type=int, default=4096 + 257, help="of the vocabulary trained here")
    options = parser.parse_args()
    columns = f"{'MB':>6} {'ours MB/s':>10} {'peer MB/s':>10} {'times':>6} {'at best':>7}"
    print(f"{'contest':36} {'text':10} {columns}")
    for kind, texts in kinds_of_text(options.megabytes * 1e6):
        ours = train(kind, texts, options.vocab_size, options.rounds)
        for name, tokenizer in vocabularies(ours):
            encode(kind, name, texts, tokenizer, options.rounds)


def kinds_of_text(n_bytes: float) -> Iterator[tuple[str, list[str]]]:
    """Each kind of text that is at hand, cut to a size."""
    library = Path(sysconfig.get_path("stdlib"))
    modules = (file for file in sorted(library.rglob("*.py")) if "site-packages" not in file.parts)
    yield "python", take(modules, n_bytes)
    folder = os.environ.get("HORNBOOK_DATA")
    if folder:
        data = Path(folder)
        yield "english", take(sorted((data / "gutenberg" / "clean").rglob("*.txt")), n_bytes)
        yield "mixed", take(sorted((data / "flores200" / "devtest").iterdir()), n_bytes)


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


def train(kind: str, texts: Sequence[str], vocab_size: int, rounds: int) -> Tokenizer:
    """Training against the Hugging Face library; return our tokenizer."""
    ours = Tokenizer.train(texts, vocab_size)
    theirs = hugging_face_trained(texts, vocab_size)
    assert theirs.get_vocab_size() == ours.vocab_size
    contest(
        f"train {vocab_size}, tokenizers", kind, texts, rounds,
        lambda: Tokenizer.train(texts, vocab_size),
        lambda: hugging_face_trained(texts, vocab_size),
    )  # fmt: skip
    return ours


def hugging_face_trained(texts: Sequence[str], vocab_size: int) -> tokenizers.Tokenizer:
    """Train their tokenizer with our settings."""
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


def vocabularies(trained: Tokenizer) -> Iterator[tuple[str, Tokenizer]]:
    """The vocabulary just trained, and the published ones at hand."""
    yield "own", trained
    folder = os.environ.get("HORNBOOK_DATA")
    if folder:
        files = {"gpt2": "r50k_base", "cl100k": "cl100k_base"}
        for name, file in files.items():
            path = Path(folder) / "tokenizers" / "tiktoken" / f"{file}.tiktoken"
            yield name, Tokenizer.load(path, pattern=name)


def encode(kind: str, name: str, texts: Sequence[str], ours: Tokenizer, rounds: int) -> None:
    """Encoding against tiktoken and the Hugging Face library."""
    theirs = as_tiktoken(ours)
    hugging_face = as_hugging_face(ours)
    for text in texts:
        ids = ours.encode(text, disallowed_special=())
        assert theirs.encode_ordinary(text) == ids
    one_by_one: Work = lambda: [ours.encode(text, disallowed_special=()) for text in texts]  # noqa: E731
    contest(
        f"encode {name}, tiktoken", kind, texts, rounds,
        one_by_one,
        lambda: [theirs.encode_ordinary(text) for text in texts],
    )  # fmt: skip
    contest(
        f"encode {name}, tokenizers", kind, texts, min(rounds, 2),
        one_by_one,
        lambda: [hugging_face.encode(text).ids for text in texts],
    )  # fmt: skip
    short = [text[at : at + 1000] for text in texts for at in range(0, len(text), 1000)]
    contest(
        f"1 KB texts, 2 threads {name}, tiktoken", kind, short, rounds,
        lambda: ours.encode_batch(short, threads=2, disallowed_special=()),
        lambda: theirs.encode_ordinary_batch(short, num_threads=2),
    )  # fmt: skip


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


def contest(label: str, kind: str, texts: Sequence[str], rounds: int, ours: Work, peer: Work) -> None:
    """Run both in turn and print the median speeds and the median ratio."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    times = in_turn([lambda: seconds(ours), lambda: seconds(peer)], rounds)
    mine, other = (median(megabytes / taken for taken in column) for column in times)
    ratios = f"{times_faster(*times):6.1f} {at_best(*times):7.1f}"
    print(f"{label:36} {kind:10} {megabytes:6.1f} {mine:10.1f} {other:10.1f} {ratios}", flush=True)


if __name__ == "__main__":
    main()
