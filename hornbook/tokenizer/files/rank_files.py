"""tiktoken's rank files: a token in base64 and its rank on each line, the rank being the id.

Such a file holds no merges, no pattern and no special tokens. Two tokens merge whenever their bytes together
are a token, and the pair that makes the smallest rank merges first. The pattern comes from the caller; the
special tokens of the published files are known here. `from_ranks` makes a vocabulary of such a table wherever
it comes from; `write_ranks` writes one that is no more than its table (`rank_table.py`).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import atomic_write, read_bytes
from hornbook.tokenizer.files.rank_table import ranks as ranks_of
from hornbook.tokenizer.files.spelling import LARGEST_ID, check_bytes, with_special
from hornbook.tokenizer.making import splits
from hornbook.tokenizer.pretokenize import name_of, resolve, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

PUBLISHED_SPECIAL_TOKENS: dict[tuple[str, int], dict[str, int]] = {
    ("gpt2", 50256): {"<|endoftext|>": 50256},
    ("cl100k", 100256): {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
    ("o200k", 199998): {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}
"""The special tokens that belong to the published rank files, by pattern and number of ranks."""


def read_ranks(file: Path, pattern: str) -> Vocabulary:
    """Read a rank file; `pattern` is a published name or an expression."""
    ranks = _rank_lines(file)
    special = PUBLISHED_SPECIAL_TOKENS.get((name_of(resolve(pattern)), len(ranks)), {})
    return from_ranks(ranks, pattern, special, str(file))


def from_ranks(
    ranks: Mapping[bytes, int], pattern: str, special_tokens: Mapping[str, int], origin: str
) -> Vocabulary:
    """Build a vocabulary from a table of ranks, which are the ids of its tokens.

    Ranks are 0, 1, 2 and so on without a gap, and all 256 bytes are among the tokens. `pattern` is a
    published name or an expression; `origin` says in errors where the table came from.
    """
    tokens = _in_order(ranks, origin)
    check_bytes(ranks, origin)
    for text, place in special_tokens.items():
        possible = type(place) is int and len(tokens) <= place <= LARGEST_ID
        if not text or utf8(text)[0] != text or not possible:
            raise RunFolderError(
                f"{origin}: {text!r} cannot be a special token with the id {place!r}; it must be a text, and "
                f"its id a whole number after the {len(tokens)} ranks and at most {LARGEST_ID}"
            )
    if len({*special_tokens.values()}) < len(special_tokens):
        raise RunFolderError(f"{origin}: two special tokens have one id")
    merges = list(splits({token: rank for rank, token in enumerate(tokens)}))
    left, right, when = np.array(merges, np.int32).reshape(-1, 3).T.copy()
    every = with_special(dict(enumerate(tokens)), special_tokens)
    return Vocabulary(every, left, right, when, resolve(pattern), dict(special_tokens), whole_words=True)


def write_ranks(vocabulary: Vocabulary, file: str | os.PathLike[str]) -> None:
    """Write a vocabulary as a rank file, which whoever reads it turns into the same ids.

    The file has no place for the pattern and the special tokens: they are given again to read it. A
    vocabulary that is not a table of ranks without gaps is a `ConfigError` that says why.
    """
    table = ranks_of(vocabulary)
    if vocabulary.added_tokens:
        text = next(iter(vocabulary.added_tokens))
        raise ConfigError(
            f"a rank file cannot say that {text!r} is cut out of every text; save a folder instead"
        )
    gap = next((place for place, rank in enumerate(table.values()) if rank != place), None)
    if gap is not None:
        raise ConfigError(
            f"a rank file has no gaps, but the id {gap} is special or unused while ids up to "
            f"{max(table.values())} are ordinary tokens; save a folder instead"
        )
    with atomic_write(file) as out:
        for token, rank in table.items():
            out.write(base64.b64encode(token) + b" %d\n" % rank)


def _rank_lines(file: Path) -> dict[bytes, int]:
    """The rank of each token of a file."""
    ranks: dict[bytes, int] = {}
    lines: dict[int, int] = {}
    for number, line in enumerate(read_bytes(file).splitlines(), 1):
        if not line:
            continue
        try:
            code, digits = line.split()
            token, rank = binascii.a2b_base64(code, strict_mode=True), int(digits)
        except ValueError:
            message = f"{file} is damaged: line {number} is not a token in base64 and a rank"
            raise RunFolderError(message) from None
        if lines.setdefault(rank, number) != number:
            raise RunFolderError(f"{file} is damaged: the rank {rank} occurs twice, again on line {number}")
        if ranks.setdefault(token, rank) != rank:
            raise RunFolderError(f"{file} is damaged: the token {token!r} has more than one rank")
    return ranks


def _in_order(ranks: Mapping[bytes, int], origin: str) -> list[bytes]:
    """The tokens in the order of their ranks, which have no gap."""
    by_rank = {rank: token for token, rank in ranks.items()}
    missing = next((rank for rank in range(len(by_rank)) if rank not in by_rank), None)
    if missing is not None or len(by_rank) < len(ranks):
        what = "a rank occurs twice" if missing is None else f"the rank {missing} is missing"
        raise RunFolderError(f"{origin} is damaged: {what}")
    if b"" in ranks:
        raise RunFolderError(f"{origin} is damaged: the rank {ranks[b'']} has an empty token")
    return [by_rank[rank] for rank in range(len(by_rank))]
