"""Vocabularies changed after training: made larger, made smaller, joined.

    larger = tokenizer.extend(tokens=["SELECT"], special_tokens=["<|user|>"])
    smaller, places = tokenizer.restrict(texts=texts, vocab_size=8000)
    joined = tokenizer.merge(other)

Each function takes a `Vocabulary` and returns another one; the first stays as it is. Ids are kept (`extend`,
`merge`), or a map from the old to the new ones comes with the result (`restrict`), so that the embeddings of
a model can follow. Nothing here reads files or knows models.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbook.base.errors import ConfigError, TextError
from hornbook.tokenizer.alphabet import BYTES, unspell
from hornbook.tokenizer.jit import Int32s
from hornbook.tokenizer.making import Maker, Merge, merges_of, splits
from hornbook.tokenizer.pretokenize import name_of, utf8
from hornbook.tokenizer.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hornbook.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

# Larger


def extend(
    vocabulary: Vocabulary, tokens: Sequence[str] = (), special_tokens: Sequence[str] = ()
) -> Vocabulary:
    """Return the vocabulary with new tokens: ids after the present ones, in their order, special ones last.

    A text without any of them keeps its ids. Wherever a new token occurs, inside a word too ("cat" in
    "concatenate"), it is cut out before anything else, the longest first, and text on its two sides is
    encoded apart; Hugging Face's `add_tokens` means the same. Special ones are refused in plain text.
    """
    for name, texts in (("tokens", tokens), ("special_tokens", special_tokens)):
        if isinstance(texts, str):
            raise ConfigError(f"{name} must be a list of texts; for one give [{texts!r}]")
    every = [*tokens, *special_tokens]
    _check(every, vocabulary)
    places = range(len(vocabulary.tokens), len(vocabulary.tokens) + len(every))
    ids = dict(zip(every, places, strict=True))
    return replace(
        vocabulary,
        tokens=[*vocabulary.tokens, *(text.encode() for text in every)],
        added_tokens={**vocabulary.added_tokens, **{text: ids[text] for text in tokens}},
        special_tokens={**vocabulary.special_tokens, **{text: ids[text] for text in special_tokens}},
    )


def _check(texts: Sequence[str], vocabulary: Vocabulary) -> None:
    """Refuse new tokens that are no text, occur twice, or are there already."""
    ordinary = vocabulary.ordinary_ids()
    apart = {**vocabulary.special_tokens, **vocabulary.added_tokens}
    seen: set[str] = set()
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(f"a token to add is text (str), not {type(text).__name__}: {text!r}")
        if not text or text in BYTES or utf8(text)[0] != text:
            reason = "it is empty, has a surrogate, or is a letter of GPT-2's byte alphabet"
            raise ConfigError(f"{text!r} cannot be added as a token: {reason}")
        if text in seen:
            raise ConfigError(f"the token {text!r} is given twice")
        seen.add(text)
        place = _place(text, ordinary, apart)
        if place is not None:
            raise ConfigError(f"the token {text!r} is in the vocabulary already, with the id {place}")


def _place(text: str, ordinary: Mapping[bytes, int], apart: Mapping[str, int]) -> int | None:
    """The id of a token that is this text, or is spelled so in files; None where there is none."""
    spelled = unspell(text)
    found = apart.get(text, ordinary.get(text.encode()))
    return found if found is not None or spelled is None else ordinary.get(spelled)


# Smaller


def restrict(vocabulary: Vocabulary, ids: Iterable[int]) -> tuple[Vocabulary, Int32s]:
    """Return the vocabulary with some ids alone, and the new id of each old one, -1 for those dropped.

    Kept with them are the 256 bytes, the special and the added tokens, and the tokens on the way to a
    kept one, so that it is still made. The new ids are without gaps and in the old order: row i of the
    new embeddings is the i-th old row whose new id is not -1. A text whose ids are all kept has the same
    ids, renumbered; any other text is encoded by the merges that are left.
    """
    maker = Maker(vocabulary)
    kept = _always(vocabulary)
    for token in ids:
        kept |= _needed(vocabulary, maker, _known(vocabulary, token))
    return _only(vocabulary, kept)


def most_used(tokenizer: Tokenizer, texts: Iterable[str], vocab_size: int | None) -> list[int]:
    """Return the ids that some texts use, most frequent first, as many as `restrict` takes for `vocab_size`.

    An id counts with the tokens on the way to it; one that does not fit any more is left out, and less
    frequent ones may follow. `vocab_size` None: all of them. A `ConfigError` where it is less than what is
    always kept.
    """
    if isinstance(texts, str):
        raise TextError("texts must be many texts, not one str; for a single text give [text]")
    vocabulary = tokenizer.vocabulary
    maker, kept = Maker(vocabulary), _always(vocabulary)
    limit = len(vocabulary.tokens) if vocab_size is None else vocab_size
    if limit < len(kept):
        raise ConfigError(
            f"vocab_size={limit} is too small: the bytes, special and added tokens alone are {len(kept)}"
        )
    counts = np.zeros(len(vocabulary.tokens), np.int64)
    for text in texts:
        np.add.at(counts, tokenizer.encode_array(text, disallowed_special=()), 1)
    chosen: list[int] = []
    for token in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)].tolist():
        needed = _needed(vocabulary, maker, token) - kept
        if len(kept) + len(needed) <= limit:
            kept |= needed
            chosen.append(token)
    return chosen


def _always(vocabulary: Vocabulary) -> set[int]:
    """The ids that no restriction drops."""
    ids = vocabulary.ordinary_ids()
    apart = {*vocabulary.special_tokens.values(), *vocabulary.added_tokens.values()}
    return apart | {ids[bytes([byte])] for byte in range(256)}


def _known(vocabulary: Vocabulary, token: int) -> int:
    """An id of the vocabulary, which is used; any other is an error."""
    place, size = operator.index(token), len(vocabulary.tokens)
    if not 0 <= place < size:
        raise ConfigError(f"the id {place} cannot be kept: this vocabulary has ids 0 to {size - 1}")
    if not vocabulary.tokens[place]:
        raise ConfigError(f"the id {place} cannot be kept: no token has it")
    return place


def _needed(vocabulary: Vocabulary, maker: Maker, token: int) -> set[int]:
    """An id and those on the way to it."""
    data = vocabulary.tokens[token]
    if maker.ids.get(data) != token:
        return {token}  # It is special or added.
    parts, way = maker.make(data)
    # What merges do not make at all is at most looked up as a whole word, and needs no others.
    return {token, *(merge.made for merge in way)} if parts == [token] else {token}


def _only(vocabulary: Vocabulary, kept: set[int]) -> tuple[Vocabulary, Int32s]:
    """The vocabulary with the kept ids alone, and the map to their new ids."""
    order = sorted(kept)
    places = np.full(len(vocabulary.tokens), -1, np.int32)
    places[order] = np.arange(len(order))
    merges = [merge for merge in merges_of(vocabulary) if kept.issuperset(merge[1:])]
    # Where the ranks are ids they stay so; other ranks keep their order.
    by_ids = np.array_equal(vocabulary.ranks, vocabulary.merged())
    old = sorted({merge.rank for merge in merges})
    ranks = places.tolist() if by_ids else {rank: place for place, rank in enumerate(old)}
    smaller = replace(
        vocabulary,
        tokens=[vocabulary.tokens[token] for token in order],
        special_tokens={text: int(places[token]) for text, token in vocabulary.special_tokens.items()},
        added_tokens={text: int(places[token]) for text, token in vocabulary.added_tokens.items()},
        post_processor=vocabulary.post_processor and _renumbered(vocabulary.post_processor, places),
    )
    renumbered = [
        Merge(ranks[rank], int(places[left]), int(places[right]), int(places[made]))
        for rank, left, right, made in merges
    ]
    return _with_merges(smaller, renumbered), places


def _renumbered(part: Mapping[str, Any], places: Int32s) -> dict[str, Any]:
    """A post-processor, as `tokenizer.json` has it, with the new ids in place of the old."""

    def place(token: int) -> int:
        if not 0 <= token < len(places) or places[token] < 0:
            raise ConfigError(f"the post-processor of this vocabulary puts in the id {token}: keep it too")
        return int(places[token])

    match part:
        case {"type": "Sequence", "processors": list(parts)}:
            return {**part, "processors": [_renumbered(each, places) for each in parts]}
        case {"type": "TemplateProcessing", "special_tokens": dict(named)}:
            ids = {name: {**each, "ids": [*map(place, each["ids"])]} for name, each in named.items()}
            return {**part, "special_tokens": ids}
        case {"type": "BertProcessing" | "RobertaProcessing", "sep": [end, end_id], "cls": [start, start_id]}:
            return {**part, "sep": [end, place(end_id)], "cls": [start, place(start_id)]}
    return dict(part)


# Joined


def merge(ours: Vocabulary, other: Vocabulary) -> Vocabulary:
    """Return our vocabulary with the tokens of another one that it lacks, in the order that one makes them.

    New merges: any two neighbours that together are a token, wherever one of these three is new. They come
    after all of ours, so a word first becomes the ids it had, and these are merged further. Our ids stay, and
    no word has more of them than before. Special and added tokens come last. A `ConfigError` where the two
    cut or normalize text in different ways, or take one text for two things.
    """
    _check_alike(ours, other)
    ids = ours.ordinary_ids()
    fresh = [token for token in _in_order(other) if token not in ids]
    _check_apart(fresh, ours)
    ids |= {token: place for place, token in enumerate(fresh, len(ours.tokens))}
    ranks = _ranks_with(ours, ids)
    merges = merges_of(ours) + [
        Merge(ranks[made], left, right, made)
        for left, right, made in splits(ids)
        if made in ranks and max(left, right, made) >= len(ours.tokens)
    ]
    joined = _with_merges(replace(ours, tokens=[*ours.tokens, *fresh]), merges)
    _warn_of_dead(joined, fresh)
    added, special = _texts_apart(ours, other)
    return extend(joined, added, special)


def _check_alike(ours: Vocabulary, other: Vocabulary) -> None:
    """Refuse a vocabulary whose tokens are made of other words than ours."""
    if ours.pattern != other.pattern:
        raise ConfigError(
            f"the patterns differ, {name_of(ours.pattern)!r} here and {name_of(other.pattern)!r} there, and "
            "a token from there may fit into no word here; train the other one with this pattern, or take "
            "Tokenizer.from_ranks(other.ranks(), pattern) with this pattern"
        )
    if ours.normalizer != other.normalizer:
        raise ConfigError(f"the normalizers differ: {ours.normalizer} here and {other.normalizer} there")


def _in_order(vocabulary: Vocabulary) -> list[bytes]:
    """The ordinary tokens in the order in which merges make them; last those that none makes."""
    ranks, last = _first_ranks(vocabulary), _next_rank(vocabulary)
    ids = vocabulary.ordinary_ids()
    return sorted(ids, key=lambda token: (ranks.get(ids[token], last), ids[token]))


def _first_ranks(vocabulary: Vocabulary) -> dict[int, int]:
    """The smallest rank of a merge to each token that merges make."""
    # The last one written stays, and that is the smallest.
    return {found.made: found.rank for found in sorted(merges_of(vocabulary), reverse=True)}


def _next_rank(vocabulary: Vocabulary) -> int:
    """A rank after all others."""
    return int(vocabulary.ranks.max(initial=-1)) + 1


def _check_apart(fresh: Iterable[bytes], ours: Vocabulary) -> None:
    """Refuse new tokens that files spell as one of our special or added tokens."""
    taken: dict[bytes | None, str] = {}
    for text in (*ours.special_tokens, *ours.added_tokens):
        taken[text.encode()] = taken[unspell(text)] = text
    clash = next((token for token in fresh if token in taken), None)
    if clash is not None:
        raise ConfigError(f"{taken[clash]!r} is a special or added token here and an ordinary one there")


def _ranks_with(ours: Vocabulary, ids: Mapping[bytes, int]) -> dict[int, int]:
    """The rank that new merges to each token have: the token's own among ours, those of new tokens later."""
    if np.array_equal(ours.ranks, ours.merged()):
        return {place: place for place in ids.values()}
    first_new, next_rank = len(ours.tokens), _next_rank(ours)
    later = {place: next_rank + place - first_new for place in ids.values() if place >= first_new}
    return _first_ranks(ours) | later


def _texts_apart(ours: Vocabulary, other: Vocabulary) -> tuple[list[str], list[str]]:
    """The added and the special tokens that the other vocabulary has and ours lacks."""
    for text in (*other.special_tokens, *other.added_tokens):
        alike = (text in ours.special_tokens) == (text in other.special_tokens)
        if not alike and text in {**ours.special_tokens, **ours.added_tokens}:
            raise ConfigError(f"{text!r} is special in one of the vocabularies and added in the other")
    added = [text for text in other.added_tokens if text not in ours.added_tokens]
    return added, [text for text in other.special_tokens if text not in ours.special_tokens]


def _warn_of_dead(joined: Vocabulary, fresh: Sequence[bytes]) -> None:
    """Say how many new tokens no text becomes, where a word is not looked up as a whole."""
    if joined.whole_words:
        return
    maker = Maker(joined)
    dead = [token for token in fresh if len(maker.make(token)[0]) > 1]
    if dead:
        message = "%d of the %d new tokens are never made, such as %r: the merges of ours go another way"
        logger.warning(message, len(dead), len(fresh), dead[0])


def _with_merges(vocabulary: Vocabulary, merges: Sequence[Merge]) -> Vocabulary:
    """The vocabulary with these merges instead of its own."""
    ranks, left, right, _ = np.array(merges, np.int32).reshape(-1, 4).T.copy()
    return replace(vocabulary, left=left, right=right, ranks=ranks)
