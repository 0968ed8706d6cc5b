"""From a configured objective to what a run needs of it: special tokens, batches, and a loss.

    check_objective(config)                              # before any work
    special_tokens(config)                               # what a tokenizer of this run must have
    task = build_task(config, tokenizer)
    task.collate, task.objective                         # for a loader, and for a step

An objective asks by its batches: what is hidden, cut or put in order, and which tokens are targets. The loss
is the same for all, `objectives.predict_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.base.errors import ConfigError
from hornbook.data.batch import Collate, next_tokens
from hornbook.data.corruption import Masked, Permuted
from hornbook.data.corruption_pairs import N_MARKS, MaskedPairs
from hornbook.data.corruption_spans import Continued, Spans, Unprompted, n_spans, prefixed
from hornbook.data.shared_rows import SharedRows
from hornbook.model.encoder_config import MaskedLMConfig
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.model.shape_config import AnyConfig
from hornbook.tokenizer.files.formats import ROLES
from hornbook.tokenizer.tokenizer import END_OF_TEXT, Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.objective_config import (
    MaskedConfig,
    MaskedPairsConfig,
    NextTokenConfig,
    ObjectiveConfig,
    OneObjectiveConfig,
    PermutationConfig,
    PrefixConfig,
    SpanDenoisingConfig,
    WeightedConfig,
)
from hornbook.train.objectives import Objective, predict_tokens

SHAPES: dict[str, tuple[str, ...]] = {
    "next_token": ("causal_lm",),
    "masked": ("masked_lm",),
    "masked_pairs": ("masked_lm",),
    "span_denoising": ("seq2seq",),
    "prefix": ("causal_lm", "seq2seq"),
    "permutation": ("permutation_lm",),
}
"""The shapes of model that an objective is for, by their kinds."""
BESIDE: dict[str, tuple[str, ...]] = {"next_token": ("seq2seq",)}
"""Other shapes that it is for beside another objective: alone it would give an encoder nothing to read."""
MASK, FIRST, BETWEEN = ROLES["mask_token"], ROLES["cls_token"], ROLES["sep_token"]
N_BYTES = 256
"""Ids that every vocabulary trained here begins with."""


@dataclass(frozen=True)
class Task:
    """What a run asks its model."""

    collate: Collate
    """What makes batches."""
    objective: Objective
    """What makes a loss of them."""


def parts_of(objective: ObjectiveConfig) -> tuple[OneObjectiveConfig, ...]:
    """The single objectives that an objective is made of."""
    if isinstance(objective, WeightedConfig):
        return tuple(part.objective for part in objective.parts)
    return (objective,)


def fits(objective: ObjectiveConfig, model: AnyConfig) -> bool:
    """Whether an objective is for this shape of model."""
    return all(model.kind in _shapes(part, objective) for part in parts_of(objective))


def default_objective(model: AnyConfig) -> ObjectiveConfig | None:
    """What a model of this shape is commonly pretrained with; None: a classifier learns from labels alone."""
    usual: dict[str, ObjectiveConfig] = {
        "causal_lm": NextTokenConfig(),
        "masked_lm": MaskedConfig(),
        "permutation_lm": PermutationConfig(),
        "seq2seq": SpanDenoisingConfig(),
    }
    return usual.get(model.kind)


def goes_on(config: RunConfig) -> bool:
    """Whether the model learns to write a text that begins with a prompt.

    Of an encoder-decoder it is the encoder that reads the prompt, and next tokens are asked without any.
    """
    wanted = ("prefix",) if config.model.kind == "seq2seq" else ("next_token", "prefix")
    return any(part.kind in wanted for part in parts_of(config.train.objective))


def check_objective(config: RunConfig, tokenizer: Tokenizer | None = None) -> None:
    """Refuse an objective that the model, the batches or the vocabulary do not allow.

    `tokenizer` None: the run trains its own.
    """
    for part in parts_of(config.train.objective):
        _check_shape(part, config.model, _shapes(part, config.train.objective))
        if isinstance(part, MaskedPairsConfig) and config.data.seq_len < N_MARKS + 2:
            raise ConfigError(
                f"a pair of texts is {N_MARKS} tokens longer than both: data.seq_len {config.data.seq_len} "
                f"must be at least {N_MARKS + 2}"
            )
    _check_rows(config)
    if tokenizer is not None:
        _ids(config, tokenizer)
        return
    own = len(special_tokens(config))
    if config.tokenizer.vocab_size < N_BYTES + own:
        raise ConfigError(
            f"tokenizer.vocab_size {config.tokenizer.vocab_size} has no room for {N_BYTES} bytes and the "
            f"{own} special tokens of the objective {config.train.objective.kind}; give at least "
            f"{N_BYTES + own}"
        )


def special_tokens(config: RunConfig) -> tuple[str, ...]:
    """The special tokens that a run's tokenizer must have, in the order of their ids.

    Sentinels descend: that of a text's first span has the greatest id of them. The end of text is the last.
    """
    wanted = [name for part in parts_of(config.train.objective) for name in _marks(part, config.data.seq_len)]
    return (*dict.fromkeys(wanted), END_OF_TEXT)


def build_task(config: RunConfig, tokenizer: Tokenizer) -> Task:
    """What a run asks, in the ids of its tokenizer; a special token that this lacks is named by the error."""
    objective, ids = config.train.objective, _ids(config, tokenizer)
    names = [part.kind for part in parts_of(objective)] if isinstance(objective, WeightedConfig) else []
    asks = predict_tokens(torch.tensor(tokenizer.byte_lengths), names, config.train.z_loss)
    return Task(_collate_all(config, ids, tokenizer.byte_lengths == 0), asks)


def imagined_collate(config: RunConfig) -> Collate:
    """What makes batches where no tokenizer is trained yet: the special tokens are the last ids."""
    names, vocab_size = special_tokens(config), config.model.vocab_size
    first = max(1, vocab_size - len(names))
    ids = {name: min(first + i, vocab_size - 1) for i, name in enumerate(names)}
    return _collate_all(config, ids, np.arange(vocab_size) >= first)


def _collate_all(config: RunConfig, ids: Mapping[str, int], special: NDArray[np.bool_]) -> Collate:
    """What makes batches, by the ids of special tokens and the ids that are no text."""
    objective = config.train.objective
    collates = [_collate(part, config, ids, special) for part in parts_of(objective)]
    if isinstance(objective, WeightedConfig):
        return SharedRows(collates, [part.weight for part in objective.parts])
    return collates[0]


def _collate(
    part: OneObjectiveConfig, config: RunConfig, ids: Mapping[str, int], special: NDArray[np.bool_]
) -> Collate:
    """What makes batches for one objective."""
    end = ids[END_OF_TEXT]
    match part:
        case NextTokenConfig():
            return Unprompted(end) if isinstance(config.model, Seq2SeqConfig) else next_tokens
        case MaskedConfig():
            return Masked(special, ids[MASK], part.share, part.mask_share, part.random_share)
        case MaskedPairsConfig():
            masked = Masked(special, ids[MASK], part.share, part.mask_share, part.random_share)
            return MaskedPairs(masked, first=ids[FIRST], between=ids[BETWEEN])
        case PermutationConfig():
            return Permuted(special, part.one_in)
        case SpanDenoisingConfig():
            assert isinstance(config.model, Seq2SeqConfig)
            sentinels = [ids[name] for name in reversed(_marks(part, config.data.seq_len))]
            start, longest = config.model.start_token, config.model.max_seq_len
            return Spans(sentinels, start, end, longest, part.density, part.mean_length)
        case PrefixConfig():
            if isinstance(config.model, Seq2SeqConfig):
                return Continued(config.model.start_token, end, config.model.max_seq_len)
            return prefixed
    assert_never(part)


def _marks(part: OneObjectiveConfig, seq_len: int) -> tuple[str, ...]:
    """The special tokens that one objective needs beside the end of text, in the order of their ids."""
    match part:
        case MaskedConfig():
            return (MASK,)
        case MaskedPairsConfig():
            return (MASK, FIRST, BETWEEN)
        case SpanDenoisingConfig():
            _, most = n_spans(max(seq_len, 2), part.density, part.mean_length)
            return tuple(f"<|span_{i}|>" for i in reversed(range(most)))
        case _:
            return ()


def _ids(config: RunConfig, tokenizer: Tokenizer) -> dict[str, int]:
    """The ids of a run's special tokens; published tokenizers call some otherwise."""
    roles, known = tokenizer.settings.roles(), tokenizer.special_tokens
    published = {text: roles[role] for role, text in ROLES.items() if role in roles and role != "bos_token"}
    found = {}
    for name in special_tokens(config):
        sentinel = name.replace("<|span_", "<extra_id_").replace("|>", ">")
        spelt = next((text for text in (name, published.get(name), sentinel) if text in known), None)
        if spelt is not None:
            found[name] = known[spelt]
    if lacking := [name for name in special_tokens(config) if name not in found]:
        raise ConfigError(
            f"the objective {config.train.objective.kind} needs special tokens that the tokenizer lacks: "
            f"{', '.join(lacking)}; add them by tokenizer.extend(special_tokens=[...]), or let the run "
            "train its own"
        )
    return found


def _shapes(part: OneObjectiveConfig, whole: ObjectiveConfig) -> tuple[str, ...]:
    """The kinds of model that an objective is for, alone or as a part."""
    return SHAPES[part.kind] + (BESIDE.get(part.kind, ()) if isinstance(whole, WeightedConfig) else ())


def _check_shape(part: OneObjectiveConfig, model: AnyConfig, shapes: tuple[str, ...]) -> None:
    if model.kind not in shapes:
        fitting = [kind for kind, own in SHAPES.items() if model.kind in own]
        wanted = " or ".join(shapes)
        for_this = (
            f"for a {model.kind} choose {' or '.join(fitting)}"
            if fitting
            else "it learns from labelled texts"
        )
        raise ConfigError(
            f"train.objective {part.kind} is for a {wanted}, and model.kind is {model.kind}; {for_this}"
        )
    if isinstance(part, MaskedPairsConfig) and isinstance(model, MaskedLMConfig):
        if model.pairs is None:
            raise ConfigError(
                "train.objective masked_pairs asks which texts belong together, and the model has no head "
                "for it; give it one by model.pairs={}, or choose masked"
            )
        if model.embedding.n_segments is None and not model.compares_segments:
            raise ConfigError(
                "train.objective masked_pairs has two texts in a row, and the model cannot tell them apart; "
                "set model.embedding.n_segments=2, or choose masked"
            )


def _check_rows(config: RunConfig) -> None:
    """Rows are shared out whole, and a pair needs another row to find a stranger in."""
    objective, batch_size = config.train.objective, config.data.batch_size
    shares = {objective.kind: float(batch_size)}
    if isinstance(objective, WeightedConfig):
        total = sum(part.weight for part in objective.parts)
        shares = {part.objective.kind: batch_size * part.weight / total for part in objective.parts}
    if any(abs(share - round(share)) > 1e-6 for share in shares.values()):
        told = ", ".join(f"{kind} {share:g}" for kind, share in shares.items())
        raise ConfigError(
            f"the parts of train.objective share out data.batch_size {batch_size} rows as {told}; choose "
            "weights or a batch_size that give whole rows"
        )
    if shares.get("masked_pairs", 2) < 2:
        raise ConfigError(
            "train.objective masked_pairs pairs the texts of a batch: data.batch_size must give it 2 rows "
            "or more"
        )
