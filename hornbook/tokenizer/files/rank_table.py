"""A vocabulary as a table of ranks: what tiktoken knows of it, tokens and their ids, and no merges.

Every table of ranks is a vocabulary (`rank_files.py`), but not every vocabulary is a table of ranks. `ranks`
returns the table, or refuses and says why. This module reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hornbook.base.errors import ConfigError
from hornbook.tokenizer.making import Maker, merges_of, splits
from hornbook.tokenizer.vocabulary import Vocabulary


def ranks(vocabulary: Vocabulary) -> dict[bytes, int]:
    """Return the id of each ordinary token, in the order of ids: the `mergeable_ranks` of tiktoken.

    tiktoken knows no merges. It looks a word up as a whole; then it merges any two neighbours that together
    are a token, the token with the smallest id first. A `ConfigError` where this would give other ids.
    Special and added tokens are not in the table: tiktoken takes them apart.
    """
    if vocabulary.normalizer is not None:
        raise _not_ranks(f"a table cannot say that text is first normalized to {vocabulary.normalizer}")
    ids = vocabulary.ordinary_ids()
    if not (vocabulary.whole_words and _is_table(vocabulary, ids)):
        _check(vocabulary, ids)
    return dict(sorted(ids.items(), key=lambda item: item[1]))


def _is_table(vocabulary: Vocabulary, ids: Mapping[bytes, int]) -> bool:
    """Whether all neighbours that together are a token merge, with its id as the rank."""
    merges = merges_of(vocabulary)
    by_ids = all(merge.rank == merge.made for merge in merges)
    return by_ids and len({merge[1:] for merge in merges}) == sum(1 for _ in splits(ids))


def _check(vocabulary: Vocabulary, ids: Mapping[bytes, int]) -> None:
    """Refuse merges that give other ids than a table would.

    A table is right when it never merges two neighbours that the merges would leave. Such two are all of a
    token's bytes, so the way of that token has come to them: they are either its last merge, or the end
    of a way that stops before the token. The last merges must also have the order of the ids.
    """
    maker = Maker(vocabulary)
    last: list[tuple[int, int]] = []
    for token, place in ids.items():
        parts, way = maker.make(token)
        if len(parts) > 1 and not vocabulary.whole_words:
            raise _not_ranks(f"its merges never make the token {token!r}, which a table looks up")
        if len(parts) == 2:
            raise _not_ranks(f"its merges leave two parts of the token {token!r}, which a table joins")
        last += [(way[-1].rank, place)] if len(parts) == 1 < len(token) else []
    for (rank, place), (next_rank, next_place) in pairwise(sorted(last)):
        if rank == next_rank or place > next_place:
            first, second = vocabulary.tokens[place], vocabulary.tokens[next_place]
            raise _not_ranks(f"{first!r} is made before {second!r} or with it, and their ids say otherwise")


def _not_ranks(reason: str) -> ConfigError:
    return ConfigError(f"this vocabulary cannot be a table of ranks: {reason}")
