"""tiktoken's rank files: a token in base64 and its rank on each line, the rank being the id.

Such a file holds no merges, no pattern and no special tokens. Two tokens merge whenever their bytes together
are a token; the pattern comes from the caller; the special tokens of the published files are known here.
"""

from __future__ import annotations

import binascii
from pathlib import Path

import numpy as np

from hornbook.base.errors import RunFolderError
from hornbook.tokenizer.pretokenize import name_of, resolve
from hornbook.tokenizer.spelling import check_bytes, with_special
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
    """Read a rank file: a token in base64 and its rank on each line, the rank being the id.

    Two tokens merge whenever their bytes together are a token, whichever two they are.
    """
    tokens = _rank_lines(file)
    ids = {token: rank for rank, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(token for rank, token in enumerate(tokens) if ids[token] != rank)
        raise RunFolderError(f"{file} is damaged: the token {twice!r} has more than one rank")
    check_bytes(ids, file)
    merges: list[tuple[int, int, int]] = []
    for rank, token in enumerate(tokens):
        for cut in range(1, len(token)):
            first, second = ids.get(token[:cut]), ids.get(token[cut:])
            if first is not None and second is not None:
                merges.append((first, second, rank))
    expression = resolve(pattern)
    special = PUBLISHED_SPECIAL_TOKENS.get((name_of(expression), len(tokens)), {})
    left, right, ranks = np.array(merges, np.int32).reshape(-1, 3).T.copy()
    return Vocabulary(
        with_special(dict(enumerate(tokens)), special), left, right, ranks,
        expression, special, whole_words=True,
    )  # fmt: skip


def _rank_lines(file: Path) -> list[bytes]:
    """The tokens of a rank file in the order of their ranks."""
    ranks: dict[int, bytes] = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line:
            continue
        try:
            code, digits = line.split()
            token, rank = binascii.a2b_base64(code, strict_mode=True), int(digits)
        except ValueError:
            message = f"{file} is damaged: line {number} is not a token in base64 and a rank"
            raise RunFolderError(message) from None
        if rank in ranks:
            raise RunFolderError(f"{file} is damaged: the rank {rank} occurs twice, again on line {number}")
        ranks[rank] = token
    missing = next((rank for rank in range(len(ranks)) if rank not in ranks), None)
    if missing is not None:
        raise RunFolderError(f"{file} is damaged: the rank {missing} is missing")
    return [ranks[rank] for rank in range(len(ranks))]
