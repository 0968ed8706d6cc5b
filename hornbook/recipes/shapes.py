"""Recipes: functions that return a whole `RunConfig`, and how a recipe is found and overridden by name.

A recipe's own parameters are its dials: `size=5` turns one and everything derived from it follows;
`model.n_layers=6` then changes one number of the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hornbook.base.amounts import parse_amount
from hornbook.base.config import override, parse
from hornbook.base.errors import ConfigError, did_you_mean
from hornbook.base.files import read_json
from hornbook.data.config import DataConfig
from hornbook.model.config import BlockConfig, ModelConfig, ZeroOutputInit
from hornbook.model.part_config import AttentionConfig, FeedForwardConfig, RMSNormConfig, RotaryConfig
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.recipes.decoders import gpt2_124m, shakespeare_char
from hornbook.recipes.encoders import bert_small, t5_small
from hornbook.recipes.ladder import laptop, llama_style
from hornbook.train.config import RunConfig, TokenizerConfig, TrainConfig

SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 16)
"""Sizes that the quickstart chooses between: the number of layers."""
HEAD_DIM = 64
MOST_LAYERS = 100


def quickstart(size: int = 4, vocab_size: int = 4096) -> RunConfig:
    """A small modern decoder for minutes on a laptop; `size` derives the rest.

    size layers, each 64 numbers wide for every layer there is, heads of 64, and a gated feed-forward of
    8/3 the width: the shape of Qwen3 (RMSNorm, rotary positions, normalised queries and keys).
    """
    if size > MOST_LAYERS:
        raise ConfigError(
            f"the quickstart's size is its number of layers, {MOST_LAYERS} at most, not {size:,}; the recipe "
            "llama-style takes a number of parameters, such as size=30M"
        )
    d_model = HEAD_DIM * size
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=size, head_dim=HEAD_DIM, position=RotaryConfig(), qk_norm=RMSNormConfig()
        ),
        feed_forward=FeedForwardConfig(
            d_ff=_round_up(d_model * 8 / 3, HEAD_DIM), activation="silu", gated=True
        ),
    )
    model = ModelConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=size,
        max_seq_len=256,
        pattern=(block,),
        init=ZeroOutputInit(),
    )
    return RunConfig(
        model=model,
        tokenizer=TokenizerConfig(vocab_size=vocab_size),
        data=DataConfig(seq_len=256, batch_size=16),
        train=TrainConfig(),
    )


RECIPES: dict[str, Callable[..., RunConfig]] = {
    "quickstart": quickstart,
    "laptop": laptop,
    "llama-style": llama_style,
    "shakespeare-char": shakespeare_char,
    "gpt2-124m": gpt2_124m,
    "bert-small": bert_small,
    "t5-small": t5_small,
}


def resolve(recipe: str | Path | RunConfig, assignments: Sequence[str] = ()) -> RunConfig:
    """A recipe's name, a config file, a run folder or a config, with assignments applied.

    Assignments without a dot turn a recipe's dials when it has one of that name, else they are fields of the
    configuration. The model's vocabulary follows the tokenizer's unless it is given itself, and so does a
    start token that is the last id.
    """
    dials: dict[str, Any] = {}
    fields = list(assignments)
    if isinstance(recipe, RunConfig):
        config = recipe
    elif str(recipe) in RECIPES:
        function = RECIPES[str(recipe)]
        known = inspect.signature(function).parameters
        dials = {k: v for k, _, v in (a.partition("=") for a in fields) if k in known}
        fields = [a for a in fields if a.partition("=")[0] not in dials]
        config = function(**{name: _whole_number(name, value) for name, value in dials.items()})
    else:
        config = _from_file(Path(recipe))
        _refuse_dials(str(recipe), fields)
    changed = override(config, fields)
    vocab_size = changed.tokenizer.vocab_size
    stacks = ("model.encoder", "model.decoder") if isinstance(changed.model, Seq2SeqConfig) else ("model",)
    followers = [f"{stack}.vocab_size" for stack in stacks]
    is_given = any(field.partition("=")[0] in ("model", *followers) for field in fields)
    if vocab_size == config.tokenizer.vocab_size or is_given:
        return changed
    following = [f"{name}={vocab_size}" for name in followers]
    if (
        isinstance(changed.model, Seq2SeqConfig)
        and changed.model.start_token == config.tokenizer.vocab_size - 1
        and not any(field.partition("=")[0] == "model.start_token" for field in fields)
    ):
        following.append(f"model.start_token={vocab_size - 1}")
    return override(changed, following)


def _from_file(path: Path) -> RunConfig:
    file = path / "config.json" if path.is_dir() else path
    if not file.exists():
        raise ConfigError(
            f"there is no recipe, config file or run folder {str(path)!r}, {did_you_mean(str(path), RECIPES)}"
        )
    return parse(RunConfig, read_json(file), str(file))


def _refuse_dials(recipe: str, assignments: Sequence[str]) -> None:
    """A saved configuration has no dials any more."""
    for name in (assignment.partition("=")[0] for assignment in assignments):
        homes = [
            known for known, function in RECIPES.items() if name in inspect.signature(function).parameters
        ]
        if homes:
            raise ConfigError(
                f"{name} is a dial of the recipe {homes[0]}, and {recipe} has everything derived already; "
                f"change single fields such as model.n_layers, or start from {homes[0]}"
            )


def _whole_number(name: str, value: str) -> int:
    number = parse_amount(value)
    if not number:
        raise ConfigError(f"{name} is a whole number from 1 up, not {value!r}; large ones may be typed 30M")
    return number


def _round_up(number: float, multiple: int) -> int:
    """The next multiple at or above a number."""
    return -int(-number // multiple) * multiple
