"""What encoders are asked, to read: each corruption of a text, as its paper tells it, on lists of ids.

What chance decides is given: which places, where the spans, which order. The tests prove that the fast ones
do the same with what they draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def hide(
    tokens: Sequence[int], dice: Mapping[int, float], drawn: Mapping[int, int], mask: int
) -> tuple[list[int], dict[int, int]]:
    """BERT's rule (Devlin et al. 2019, section 3.1) at the places that have a die, a number from 0 to 1.

    Returns what the model sees and what it is asked for. In 8 of 10 cases a token is hidden, in 1 it is
    replaced by one that was drawn, in 1 it stays: so that every token must be doubted, also those that are
    there.
    """
    seen = list(tokens)
    for place, die in dice.items():
        if die < 0.8:
            seen[place] = mask
        elif die < 0.9:
            seen[place] = drawn[place]
    return seen, {place: tokens[place] for place in dice}


def denoise(
    tokens: Sequence[int], spans: Sequence[tuple[int, int]], sentinels: Sequence[int], end: int
) -> tuple[list[int], list[int]]:
    """T5's corruption: the text with sentinels for spans, and the spans (Raffel et al. 2020, figure 2).

    `denoise([1, 2, 3, 4, 5], [(1, 2), (4, 5)], [99, 98], 0)` gives `[1, 99, 3, 4, 98, 0]` and
    `[99, 2, 98, 5, 0]`.
    """
    source, target = [], []
    for place, token in enumerate(tokens):
        inside = [number for number, (begin, stop) in enumerate(spans) if begin <= place < stop]
        if not inside:
            source.append(token)
            continue
        if place == spans[inside[0]][0]:
            source.append(sentinels[inside[0]])
            target.append(sentinels[inside[0]])
        target.append(token)
    return [*source, end], [*target, end]


def restore(source: Sequence[int], target: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """The text that was denoised: each sentinel of the source gives way to what follows it in the target."""
    missing: dict[int, list[int]] = {}
    for token in target[:-1]:
        if token in sentinels:
            spoken = missing.setdefault(token, [])
        else:
            spoken.append(token)
    return [each for token in source[:-1] for each in missing.get(token, [token])]


def prefix_order(n_tokens: int, cut: int) -> list[int]:
    """Places in the order of a text whose first `cut` tokens are its beginning (Dong et al. 2019).

    A token sees those whose place is not after its own. The beginning shares the first place, so that it sees
    itself both ways; every token after it sees the beginning and what stands between.
    """
    return [0 if place < cut else place for place in range(n_tokens)]


def unprompted(tokens: Sequence[int], end: int) -> tuple[list[int], list[int], list[int]]:
    """A text that an encoder-decoder writes after an empty one.

    Returns what the encoder reads, what the decoder sees, and the next token asked for at every place.
    """
    return [end], list(tokens[:-1]), list(tokens[1:])


def prediction_order(n_tokens: int, asked: Sequence[int]) -> list[int]:
    """Places in the order of a text of which some tokens are asked for, in turn (Yang et al. 2019).

    What is not asked for comes first and knows itself.
    """
    return [asked.index(place) + 1 if place in asked else 0 for place in range(n_tokens)]


def foresees(order: Sequence[int], asked: int, known: int) -> bool:
    """Whether the prediction of one token may depend on another one: it is earlier in the order."""
    return order[known] < order[asked]


def pair(one: Sequence[int], other: Sequence[int], first: int, between: int) -> tuple[list[int], list[int]]:
    """Two texts as BERT reads them: the tokens, and of which text each is."""
    tokens = [first, *one, between, *other, between]
    return tokens, [0] * (len(one) + 2) + [1] * (len(other) + 1)
