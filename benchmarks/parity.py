"""The ids of ours and of its peers on a million random strings: equal, or the shortest string where not.

    python benchmarks/parity.py [--strings 1000000] [--seed 0] [--patterns gpt2 cl100k o200k llama3 qwen2]

The oracle for gpt2, cl100k and o200k is tiktoken, with the expressions that it publishes; for llama3 and
qwen2 it is `tokenizers`, which reads a vocabulary trained here from its tokenizer.json, that of qwen2 with
NFC. The published vocabularies are used where HORNBOOK_DATA names a folder that has them, else vocabularies
trained on the standard library. Strings are of six kinds (`kinds_of`), from any code points at all to real
text that was tampered with. The ids must also decode to the text. Each pattern gets a line; where it differs,
the string is made as short as it can be and printed with both lists of ids, and the exit status is 1.

A text whose normal form is another one for the peer is counted and not compared: normal forms
depend on the version of Unicode, and `tokenizers` and Python follow different ones.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import sysconfig
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from unittest import mock

import numpy as np
import tiktoken
import tokenizers
from tiktoken_ext import openai_public

from hornbook.base.randomness import stream
from hornbook.tokenizer import PATTERNS, Tokenizer
from hornbook.tokenizer.byte_level import ByteLevel
from hornbook.tokenizer.characters import character_flags
from hornbook.tokenizer.jit import Int64s
from hornbook.tokenizer.pretokenize import utf8

RANK_FILES = {"gpt2": "r50k_base", "cl100k": "cl100k_base", "o200k": "o200k_base"}
"""The published vocabularies that tiktoken encodes by."""
BATCH = 10_000
"""How many strings are made and compared at a time."""
BLOCK = 128
"""Scripts begin at multiples of so many code points."""
HOT = (
    # Contractions in both cases, and the letters that only ignoring case makes an s and a k.
    "''''sStTrReEvVmMlLdD\u017f\u212a\u2019"
    # White space of all kinds, line ends, and what is none though it looks it.
    "    \t\n\n\r\r\x0b\x0c\x1c\x1f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u180e\u200b\ufeff"
    # Numbers, letters that are both or neither upper and lower, marks, emoji and what joins them.
    "019\u00b2\u00bd\u0663\u0967\u2167\u3007\U0001d7d8aAzZ\u00e9\u00df\u0130\u01c5\u02b0\u00aa\u0295\u4e2d\ud55c\u05d0\u0e44"
    "\u0301\u0323\u0308\u20dd\u0903\u0e31\u3099\ufe0f\u200d\U0001f600\U0001f469\U0001f3fd\U0001f1e9"
    # Signs, the ends of UTF-8's lengths, and halves of surrogate pairs.
    "!./-_<|>\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff\ud83d\ude00"
)
"""Characters that rules of the patterns are about."""

Drawn = tuple[Int64s, Int64s]
"""Strings as the code points of all of them one after another, and the length of each."""
Encode = Callable[[Sequence[str]], list[list[int]]]


def main() -> int:
    """Compare, print a line for each pattern, and return the exit status."""
    parser = argparse.ArgumentParser(description="Compare Hornbook's ids with its peers' on random strings.")
    parser.add_argument("--strings", type=int, default=1_000_000, help="how many strings for each pattern")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other strings")
    parser.add_argument("--patterns", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument("--vocab-size", type=int, default=8192, help="of vocabularies that are trained")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folder = os.environ.get("HORNBOOK_DATA")
    data = Path(folder) if folder else None
    texts = real_texts(data)
    contests = [contest(name, texts, options.vocab_size, data) for name in options.patterns]
    kinds = kinds_of(texts)
    for number, first in enumerate(range(0, options.strings, BATCH)):
        n_strings = min(BATCH, options.strings - first)
        batch = strings(stream(options.seed, "parity", number), n_strings, kinds)
        for each in contests:
            if not each.wrong:
                each.compare(batch)
    for each in contests:
        print(each.report())
    return int(any(each.wrong for each in contests))


class Contest:
    """One vocabulary, by ours and by a peer."""

    def __init__(
        self,
        name: str,
        ours: Tokenizer,
        peer: str,
        theirs: Encode,
        their_form: Callable[[str], str] | None = None,
    ) -> None:
        self.name, self.ours, self.peer, self.theirs = name, ours, peer, theirs
        self.their_form = their_form
        """How the peer normalizes, if it does."""
        self.wrong: list[str] = []
        """The texts that the last comparison found wrong."""
        self.n_texts = self.n_characters = self.n_apart = 0

    def compare(self, texts: Sequence[str]) -> None:
        """Compare texts, and count them."""
        comparable = [text for text in texts if self._is_comparable(text)]
        self.n_apart += len(texts) - len(comparable)
        self.n_texts += len(comparable)
        self.n_characters += sum(map(len, comparable))
        self.wrong = self.wrong_among(comparable)

    def wrong_among(self, texts: Sequence[str]) -> list[str]:
        """The texts whose ids are not the peer's, or not those of the text."""
        ours, theirs = self.encode(texts), self.theirs(texts)
        expected = [self._normal(text).encode() for text in texts]
        if ours == theirs and self.ours.decode_bytes(chain(*ours)) == b"".join(expected):
            return []
        columns = zip(texts, expected, ours, theirs, strict=True)
        return [
            text for text, raw, mine, other in columns if mine != other or self.ours.decode_bytes(mine) != raw
        ]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Our ids."""
        return self.ours.encode_batch(texts, threads=1, disallowed_special=())

    def report(self) -> str:
        """What came of it, in a line; with a difference, more lines."""
        apart = f", {self.n_apart:,} with another normal form apart" if self.n_apart else ""
        counts = f"{self.n_texts:9,} strings, {self.n_characters:11,} characters{apart}"
        head = f"{self.name:7} {self.peer:10} {counts}: "
        if not self.wrong:
            return head + "equal"
        text = self.shortest()
        lines = [
            f"{head}{len(self.wrong)} of the last strings differ; the shortest in {len(text)} characters:",
            f"  {text!a}",
            f"  ours: {self.encode([text])[0]}",
            f"  {self.peer}: {self.theirs([text])[0]}",
        ]
        if not self.wrong_among([text]):
            lines.append("  alike when it is encoded alone: only the texts before it make the difference")
        return "\n".join(lines)

    def shortest(self, n_tried: int = 20) -> str:
        """The shortest wrong text that some of those found can be made into."""
        alone = [text for text in self.wrong[:n_tried] if self.wrong_among([text])]
        return min((shrunk(text, self._is_wrong) for text in alone or self.wrong[:1]), key=len)

    def _is_wrong(self, text: str) -> bool:
        return self._is_comparable(text) and bool(self.wrong_among([text]))

    def _is_comparable(self, text: str) -> bool:
        return self.their_form is None or self.their_form(utf8(text)[0]) == self._normal(text)

    def _normal(self, text: str) -> str:
        """The text that ids stand for."""
        form, mended = self.ours.vocabulary.normalizer, utf8(text)[0]
        return unicodedata.normalize(form, mended) if form else mended


def shrunk(text: str, is_wrong: Callable[[str], bool]) -> str:
    """A wrong text without the parts that it can lose and still be wrong, halves first, characters last."""
    size = len(text) // 2
    while size:
        at = 0
        while at < len(text):
            shorter = text[:at] + text[at + size :]
            if is_wrong(shorter):
                text = shorter
            else:
                at += size
        size //= 2
    return text


# Vocabularies


def contest(name: str, texts: Sequence[str], vocab_size: int, data: Path | None = None) -> Contest:
    """The contest for a published pattern; where there is no published vocabulary one is trained on texts."""
    file = (
        data / "tokenizers" / "tiktoken" / f"{RANK_FILES[name]}.tiktoken"
        if data and name in RANK_FILES
        else None
    )
    if file and file.exists():
        lines = [line.split() for line in file.read_bytes().splitlines()]
        ranks = {base64.b64decode(code): int(rank) for code, rank in lines}
        return against_tiktoken(name, Tokenizer.load(file, pattern=name), ranks)
    ours = Tokenizer.train(texts, vocab_size, name, special_tokens=())
    return (
        against_tiktoken(name, ours, ours.ranks()) if name in RANK_FILES else against_tokenizers(name, ours)
    )


def against_tiktoken(name: str, ours: Tokenizer, ranks: dict[bytes, int]) -> Contest:
    """Ours and tiktoken with the expression that it publishes."""
    pattern = published_expression(name)
    theirs = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return Contest(name, ours, "tiktoken", partial(theirs.encode_ordinary_batch, num_threads=1))


def published_expression(name: str) -> str:
    """The expression in tiktoken's own definition of an encoding, which is asked for without its ranks."""
    with mock.patch.object(openai_public, "load_tiktoken_bpe", return_value={}):
        expression: str = getattr(openai_public, RANK_FILES[name])()["pat_str"]
    return expression


def against_tokenizers(name: str, trained: Tokenizer) -> Contest:
    """Ours and `tokenizers`, both from one file: Llama 3 looks words up as a whole, Qwen normalizes them."""
    if name == "llama3":
        vocabulary = replace(trained.vocabulary, whole_words=True)
    else:
        vocabulary = replace(trained.vocabulary, normalizer="NFC")
    with tempfile.TemporaryDirectory() as folder:
        Tokenizer(ByteLevel(vocabulary)).save(folder)
        ours = Tokenizer.load(folder)
        theirs = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))

    def encode(texts: Sequence[str]) -> list[list[int]]:
        mended = [utf8(text)[0] for text in texts]
        return [found.ids for found in theirs.encode_batch_fast(mended, add_special_tokens=False)]

    return Contest(name, ours, "tokenizers", encode, theirs.normalizer and theirs.normalizer.normalize_str)


# Strings


def strings(generator: np.random.Generator, n_strings: int, kinds: Kinds) -> list[str]:
    """Random strings of all kinds, each kind with its share."""
    shares = np.array([share for share, _ in kinds.values()], np.float64)
    counts = generator.multinomial(n_strings, shares / shares.sum()).tolist()
    drawn = [draw(generator, count) for (_, draw), count in zip(kinds.values(), counts, strict=True)]
    return [text for points, lengths in drawn for text in cut(points, lengths)]


def cut(points: Int64s, lengths: Int64s) -> Iterator[str]:
    """The strings that were drawn."""
    text = points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    start = 0
    for end in np.cumsum(lengths).tolist():
        yield text[start:end]
        start = end


def any_points(generator: np.random.Generator, n_strings: int) -> Drawn:
    """Code points of all there are, unassigned ones and halves of surrogate pairs too."""
    lengths = generator.integers(0, 30, n_strings)
    return generator.integers(0, 0x110000, lengths.sum()), lengths


def of_one_block(generator: np.random.Generator, n_strings: int) -> Drawn:
    """Code points of one block that has several kinds of characters, with some ASCII between them."""
    lengths = generator.integers(1, 40, n_strings)
    blocks = np.unique(np.flatnonzero(np.diff(character_flags())) // BLOCK)
    first = np.repeat(generator.choice(blocks, n_strings) * BLOCK, lengths)
    first[generator.random(len(first)) < 0.2] = 0
    return first + generator.integers(0, BLOCK, len(first)), lengths


def ascii_noise(generator: np.random.Generator, n_strings: int) -> Drawn:
    """ASCII, control characters too."""
    lengths = generator.integers(0, 60, n_strings)
    return generator.integers(0, 128, lengths.sum()), lengths


def hot_mixes(generator: np.random.Generator, n_strings: int) -> Drawn:
    """A few of the hot characters in each string, again and again."""
    lengths = generator.integers(1, 25, n_strings)
    alphabets = generator.choice(hot(), (n_strings, 6))
    of = np.repeat(np.arange(n_strings), lengths)
    return alphabets[of, generator.integers(0, generator.integers(1, 7, n_strings)[of])], lengths


def long_runs(generator: np.random.Generator, n_strings: int) -> Drawn:
    """Up to four runs of hot characters, some of them long."""
    n_runs = generator.integers(1, 5, n_strings)
    runs = generator.geometric(1 / generator.choice([2, 16, 80], n_runs.sum()))
    lengths = np.add.reduceat(runs, np.cumsum(n_runs) - n_runs) if n_strings else runs
    return np.repeat(generator.choice(hot(), len(runs)), runs), lengths


def tampered(real: Int64s, generator: np.random.Generator, n_strings: int) -> Drawn:
    """Pieces of real text in which some characters are dropped, said again or replaced by hot ones."""
    lengths = generator.integers(1, 80, n_strings)
    of = np.repeat(np.arange(n_strings), lengths)
    within = np.arange(len(of)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    points = real[generator.integers(0, len(real) - 80, n_strings)[of] + within]
    replaced = generator.random(len(points)) < 0.03
    points[replaced] = generator.choice(hot(), replaced.sum())
    times = generator.choice([0, 1, 2, 5], len(points), p=[0.03, 0.94, 0.02, 0.01])
    return np.repeat(points, times), np.bincount(of, times, n_strings).astype(np.int64)


def hot() -> Int64s:
    """The hot characters as code points."""
    return as_points(HOT)


def as_points(text: str) -> Int64s:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)


Kinds = dict[str, tuple[float, Callable[[np.random.Generator, int], Drawn]]]
"""The share of each kind of string, and what draws so many of them."""

KINDS: Kinds = {
    "any points": (0.15, any_points),
    "of one block": (0.2, of_one_block),
    "ASCII noise": (0.1, ascii_noise),
    "hot mixes": (0.25, hot_mixes),
    "long runs": (0.05, long_runs),
}
TAMPERED = 0.25
"""The share of real text that was tampered with."""


def kinds_of(texts: Sequence[str]) -> Kinds:
    """All kinds of strings; `texts` are the real ones."""
    return {**KINDS, "tampered": (TAMPERED, partial(tampered, as_points("\n".join(texts))))}


def real_texts(data: Path | None) -> list[str]:
    """Modules of the standard library, and texts in many languages where they are at hand."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    if data:
        files += sorted(
            file for part in ("udhr", "flores200") for file in (data / part).rglob("*") if file.is_file()
        )
    return [file.read_text(encoding="utf-8") for file in files]


if __name__ == "__main__":
    sys.exit(main())
