"""Vocabularies whose tokens and merges are spelled in the byte alphabet, checked on the way in.

The text formats share this: a map from token to id, a list of merges, and the tokens that are cut out of a
text: special ones, and added ones that are not special. These stand for themselves, in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.base.errors import RunFolderError
from hornbook.tokenizer.alphabet import unspell
from hornbook.tokenizer.pretokenize import utf8
from hornbook.tokenizer.vocabulary import Vocabulary

LARGEST_ID = (1 << 22) - 2
"""An id above this is taken for damage."""


def from_texts(
    ids: Any, merges: Any, special: Mapping[str, int], added: Mapping[str, int], pattern: str, file: Path
) -> Vocabulary:
    """Build a vocabulary whose tokens and merges are spelled in the byte alphabet."""
    if not isinstance(ids, dict) or not isinstance(merges, list):
        raise RunFolderError(f"{file} is damaged: its vocabulary or its merges are missing")
    apart = {**special, **added}
    by_id = _tokens_by_id({**ids, **apart}, apart, file)
    clash = next((text for text, place in apart.items() if ids.get(text, place) != place), None)
    if clash is not None or len(by_id) < len({**ids, **apart}):
        raise RunFolderError(f"{file} is damaged: two tokens have one id, or {clash or 'a token'!r} has two")
    cut_out = set(apart.values())
    check_bytes({token for place, token in by_id.items() if place not in cut_out}, file)
    columns = np.array([_merge(pair, ids, apart, file) for pair in merges], np.int32).reshape(-1, 2)
    left, right = columns.T.copy()
    ranks = np.arange(len(columns), dtype=np.int32)
    return Vocabulary(with_special(by_id, apart), left, right, ranks, pattern, dict(special), dict(added))


def _tokens_by_id(ids: Mapping[str, Any], apart: Mapping[str, int], file: Path) -> dict[int, bytes]:
    """The bytes of each id, from tokens spelled in the alphabet and those apart in plain text."""
    by_id: dict[int, bytes] = {}
    for text, place in ids.items():
        if type(place) is not int or not 0 <= place <= LARGEST_ID:
            raise RunFolderError(f"{file} is damaged: the id {place!r} of the token {text!r} is impossible")
        token = utf8(text)[1] if text in apart else unspell(text)
        if not token:
            raise RunFolderError(f"{file}: the token {text!r} is not special nor spelled in GPT-2's alphabet")
        if text in apart and token.decode() != text:
            raise RunFolderError(f"{file} is damaged: the token {text!r} is not Unicode")
        by_id[place] = token
    return by_id


def _merge(pair: Any, ids: Mapping[str, int], apart: Mapping[str, int], file: Path) -> tuple[int, int]:
    """The ids of a merge, written as "a b" or ["a", "b"]."""
    parts = pair.split(" ") if isinstance(pair, str) else pair
    if not isinstance(parts, list) or [type(part) for part in parts] != [str, str]:
        raise RunFolderError(f"{file} is damaged: the merge {pair!r} is not a pair")
    for text in (*parts, "".join(parts)):
        if text not in ids or text in apart:
            raise RunFolderError(f"{file} is damaged: the merge {pair!r} needs {text!r}, which is no token")
    return ids[parts[0]], ids[parts[1]]


def with_special(tokens: Mapping[int, bytes], special: Mapping[str, int]) -> list[bytes]:
    """The tokens by id, special ones included, ids that nothing uses empty."""
    every = {**tokens, **{place: text.encode() for text, place in special.items()}}
    return [every.get(place, b"") for place in range(max(every) + 1)]


def check_bytes(tokens: Mapping[bytes, int] | set[bytes], origin: object) -> None:
    """Refuse a vocabulary that some text cannot be written in."""
    missing = [byte for byte in range(256) if bytes([byte]) not in tokens]
    if missing:
        raise RunFolderError(
            f"{origin} lacks {len(missing)} of the 256 bytes, the first is 0x{missing[0]:02x}"
        )
