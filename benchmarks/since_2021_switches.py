"""From a recipe of 2021 to today's, one switch at a time: the configurations, and nothing that runs.

    ROAD                     # the switches, in the order in which they are turned
    trials()                 # name -> configuration: the road, and from its end each switch turned back alone
    differences(a, b)        # the fields in which two configurations differ, by their dotted names

A switch is a change of configuration fields, written as the assignments that the command line takes: those
that turn it on, and those that turn it back from the end of the road. `trials` checks that each changes no
field but those it names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hornbook.base.config import override, to_dict
from hornbook.data.config import DataConfig
from hornbook.model.config import (
    BlockConfig,
    EmbeddingConfig,
    HeadConfig,
    ModelConfig,
    NormSlotsConfig,
    ScaledNormalInit,
)
from hornbook.model.part_config import (
    AttentionConfig,
    FeedForwardConfig,
    LayerNormConfig,
    LearnedPositionConfig,
)
from hornbook.train.config import AdamWConfig, CosineConfig, RunConfig, TokenizerConfig, TrainConfig

VOCAB_SIZE = 4096
SEQ_LEN = 128
LAYERS, WIDTH, HEAD_DIM = 4, 128, 64
DROPOUT = 0.1
ADAMW_RATE = 2e-3
"""The best of those tried for the baseline (`tuning`)."""
ADAMW_RATE_TODAY = 1e-3
"""The best of those tried for today's recipe with AdamW in place of Muon."""


@dataclass(frozen=True)
class Switch:
    """One step of the road."""

    name: str
    title: str
    without: str
    """What there is when it is turned back, or in its place."""
    what: str
    """What it is, in a sentence."""
    source: str
    """Who proposed it."""
    on: tuple[str, ...]
    """The assignments that turn it on."""
    back: tuple[str, ...]
    """The assignments that turn it back from the end of the road."""


def baseline(
    layers: int = LAYERS, width: int = WIDTH, rate: float = ADAMW_RATE, batch_size: int = 8
) -> RunConfig:
    """GPT-2's shape (Radford et al. 2019) as people trained it in 2021, dropout and AdamW included."""
    norm = LayerNormConfig()
    block = BlockConfig(
        attention=AttentionConfig(
            n_heads=width // HEAD_DIM, head_dim=HEAD_DIM, qkv_bias=True, out_bias=True, dropout=DROPOUT
        ),
        feed_forward=FeedForwardConfig(d_ff=4 * width, activation="gelu_tanh", bias=True),
        norms=NormSlotsConfig(input=norm),
        dropout=DROPOUT,
    )
    model = ModelConfig(
        vocab_size=VOCAB_SIZE,
        d_model=width,
        n_layers=layers,
        max_seq_len=SEQ_LEN,
        pattern=(block,),
        embedding=EmbeddingConfig(position=LearnedPositionConfig(), dropout=DROPOUT),
        final_norm=norm,
        head=HeadConfig(tied=True),
        init=ScaledNormalInit(),
    )
    return RunConfig(
        model=model,
        tokenizer=TokenizerConfig(vocab_size=VOCAB_SIZE),
        data=DataConfig(path="tokens", seq_len=SEQ_LEN, batch_size=batch_size, document_mask=False),
        train=TrainConfig(
            optimizer=AdamWConfig(learning_rate=rate),
            schedule=CosineConfig(),
            max_grad_norm=1.0,
            precision="bfloat16",
            micro_batch_size=None,
            compile="never",
            sample_prompts=(),
            final_prompts=(),
        ),
    )


_ATTENTION, _FEED_FORWARD = "model.pattern.0.attention", "model.pattern.0.feed_forward"
_GELU = f'{_FEED_FORWARD}={{"kind": "dense", "d_ff": {4 * WIDTH}, "activation": "gelu_tanh"}}'
_GATED = f'{_FEED_FORWARD}={{"kind": "dense", "d_ff": 344, "activation": "silu", "gated": true}}'
_SQUARED = f'{_FEED_FORWARD}={{"kind": "dense", "d_ff": {4 * WIDTH}, "activation": "relu_squared"}}'
_DROPOUTS = ("model.pattern.0.dropout", "model.embedding.dropout", f"{_ATTENTION}.dropout")
_BIASES = (f"{_ATTENTION}.qkv_bias", f"{_ATTENTION}.out_bias", f"{_FEED_FORWARD}.bias")
_NORMS = ("model.pattern.0.norms.input", "model.final_norm")
_NO_DECAY_ADAMW = f'{{"kind": "adamw", "learning_rate": {ADAMW_RATE_TODAY}, "weight_decay": 0.0}}'

ROAD = (
    Switch(
        "dropout",
        "dropout 0.1 to none",
        "dropout 0.1",
        "Text that is read less than once cannot be learned by heart, so no numbers need be zeroed.",
        "Srivastava et al. 2014; left out since Chowdhery et al. 2022",
        on=tuple(f"{name}=0.0" for name in _DROPOUTS),
        back=tuple(f"{name}={DROPOUT}" for name in _DROPOUTS),
    ),
    Switch(
        "rotary",
        "learned to rotary positions",
        "learned positions",
        "Queries and keys are turned by an angle that grows with their place; no vector is learned for it.",
        "Su et al. 2021",
        on=("model.embedding.position=null", f"{_ATTENTION}.position=rotary"),
        back=("model.embedding.position=learned", f"{_ATTENTION}.position=null"),
    ),
    Switch(
        "rms_norm",
        "LayerNorm to RMSNorm",
        "LayerNorm",
        "Vectors are scaled to a mean square of one, and no longer centred first.",
        "Zhang and Sennrich 2019",
        on=tuple(f"{name}=rms_norm" for name in _NORMS),
        back=tuple(f"{name}=layer_norm" for name in _NORMS),
    ),
    Switch(
        "no_biases",
        "no biases",
        "biases",
        "Projections multiply and add nothing.",
        "Chowdhery et al. 2022",
        on=tuple(f"{name}=false" for name in _BIASES),
        back=tuple(f"{name}=true" for name in _BIASES),
    ),
    Switch(
        "gated",
        "GELU to gated SiLU",
        "GELU, not gated",
        "One more projection multiplies the activation; all are narrower, so that there are as many weights.",
        "Shazeer 2020",
        on=(_GATED,),
        back=(_GELU,),
    ),
    Switch(
        "untied",
        "tied to untied head",
        "a tied head",
        "The matrix that scores tokens is one of its own, no longer the table of embeddings.",
        "tied: Press and Wolf 2017",
        on=("model.head.tied=false",),
        back=("model.head.tied=true",),
    ),
    Switch(
        "no_weight_decay",
        "weight decay 0.1 to none",
        "weight decay 0.1",
        "Matrices are not shrunk at each step.",
        "Loshchilov and Hutter 2019",
        on=("train.optimizer.weight_decay=0.0",),
        back=("train.optimizer.weight_decay=0.1",),
    ),
    Switch(
        "no_clipping",
        "gradient clipping at 1 to none",
        "gradient clipping at 1",
        "Long gradients are not shortened; a guard leaves out steps that stand far out, on both sides.",
        "Pascanu et al. 2013",
        on=("train.max_grad_norm=null",),
        back=("train.max_grad_norm=1.0",),
    ),
    Switch(
        "zero_output",
        "GPT-2's start to zero outputs",
        "GPT-2's start",
        "Each branch and the head start at zero, so that the model starts as its own embedding.",
        "Goyal et al. 2017; Zhang et al. 2019",
        on=("model.init=zero_output",),
        back=("model.init=scaled_normal",),
    ),
    Switch(
        "muon",
        "AdamW to Muon",
        "AdamW",
        "The update of a matrix is made orthogonal; tables, head and gains keep AdamW, at own rates.",
        "Jordan et al. 2024",
        on=("train.optimizer=muon",),
        back=(f"train.optimizer={_NO_DECAY_ADAMW}",),
    ),
    Switch(
        "qk_norm",
        "+ norm of queries and keys",
        "no norm of queries and keys",
        "Queries and keys are normalised in each head, so that scores cannot grow without bound.",
        "Henry et al. 2020; Dehghani et al. 2023",
        on=(f"{_ATTENTION}.qk_norm=rms_norm",),
        back=(f"{_ATTENTION}.qk_norm=null",),
    ),
    Switch(
        "wsd",
        "cosine to warmup-stable-decay",
        "a cosine",
        "The rate stays at its peak for half of the run and then falls in a line to zero.",
        "Zhai et al. 2022; Hu et al. 2024",
        on=("train.schedule=warmup_stable_decay",),
        back=("train.schedule=cosine",),
    ),
    Switch(
        "value_embeddings",
        "+ value embeddings",
        "no value embeddings",
        "Each layer has a second table of the vocabulary, whose row is added to a token's values.",
        "Zhou et al. 2024; Jordan et al. 2024 (speed runs)",
        on=(f'{_ATTENTION}.value_embedding={{"gate_width": 32}}',),
        back=(f"{_ATTENTION}.value_embedding=null",),
    ),
    Switch(
        "stream_mix",
        "+ scaled residual stream",
        "no scaled residual stream",
        "Each block reads a learned mixture of the stream and of the embeddings.",
        "Jordan et al. 2024 (speed runs)",
        on=('model.pattern.0.stream_mix={"stream": 1.0, "embeddings": 0.0}',),
        back=("model.pattern.0.stream_mix=null",),
    ),
    Switch(
        "packing",
        "windows to packed articles",
        "windows, where articles see each other",
        "Sequences are filled with whole articles and pieces of long ones, which do not see each other.",
        "Ding et al. 2024; masks: Dubey et al. 2024",
        on=("data.document_mask=true", "data.sequences=packing"),
        back=("data.document_mask=false", "data.sequences=windows"),
    ),
)

BESIDE = (
    Switch(
        "squared_relu",
        "gated SiLU to squared ReLU",
        "squared ReLU",
        "One projection fewer, as many weights; most numbers between the two are zero.",
        "So et al. 2021",
        on=(_SQUARED,),
        back=(_GATED,),
    ),
    Switch(
        "batch",
        "8 to 16 sequences in a step",
        "16 sequences in a step",
        "Half as many steps, each from twice the text.",
        "McCandlish et al. 2018",
        on=("data.batch_size=16",),
        back=("data.batch_size=8",),
    ),
)
"""What today's recipe might have had in place of something it has."""


def today() -> RunConfig:
    """The end of the road."""
    config = baseline()
    for switch in ROAD:
        config = turned(config, switch.on)
    return config


def tuning() -> dict[str, RunConfig]:
    """What is tried before, on other text than the road is measured on: rates, sizes and batches."""
    end = today()
    found = {
        f"2021, rate {rate:g}, batch {batch}": baseline(rate=rate, batch_size=batch)
        for batch in (8, 16)
        for rate in (1e-3, 2e-3, 4e-3)
    }
    for layers, width in ((2, 128), (3, 192)):
        found[f"2021, {layers} layers of {width}"] = baseline(layers, width)
    for rate in (0.01, 0.02, 0.04):
        found[f"today, rate {rate:g}"] = turned(end, [f"train.optimizer.learning_rate={rate}"])
    for rate in (5e-4, 1e-3, 2e-3, 4e-3):
        adamw = f'train.optimizer={{"kind": "adamw", "learning_rate": {rate}, "weight_decay": 0.0}}'
        found[f"today with AdamW, rate {rate:g}"] = turned(end, [adamw])
    return found


def trials() -> dict[str, RunConfig]:
    """Every configuration of the comparison by its name, each a switch away from its neighbour."""
    config = baseline()
    found = {"road/baseline": config}
    for switch in ROAD:
        found[f"road/{switch.name}"] = config = turned(config, switch.on)
    found |= {f"back/{switch.name}": turned(config, switch.back) for switch in ROAD}
    assert not differences(found[f"back/{ROAD[-1].name}"], found[f"road/{ROAD[-2].name}"]), "the last step"
    return found | {f"beside/{switch.name}": turned(config, switch.on) for switch in BESIDE}


def turned(config: RunConfig, assignments: tuple[str, ...] | list[str]) -> RunConfig:
    """The configuration with assignments applied; an error where another field changed, or none of an own."""
    changed = override(config, assignments)
    places = [assignment.partition("=")[0] for assignment in assignments]
    for place in differences(config, changed):
        assert any(place == own or place.startswith(f"{own}.") for own in places), f"{place} changed as well"
    return changed


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configurations differ: dotted name -> both values."""
    first, second = (dict(_leaves(to_dict(config))) for config in (one, other))
    places = dict.fromkeys([*first, *second])
    return {
        place: (first.get(place), second.get(place))
        for place in places
        if first.get(place) != second.get(place)
    }


def _leaves(data: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of plain data by their dotted names."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{place}.{key}" if place else key)
    elif isinstance(data, list) and data:
        for index, value in enumerate(data):
            yield from _leaves(value, f"{place}.{index}")
    else:
        yield place, data


def digest(data: Any) -> str:
    """A short name of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def identity(config: RunConfig) -> str:
    """What a configuration is, as a short name; its seed and its steps aside."""
    told = _told(config)
    return digest({place: told[place] for place in told if place not in ("seed", "train.steps")})


def cost(config: RunConfig) -> str:
    """What decides how long a step takes, as a short name: all but rates, decay, schedule and start."""
    deciding = ("numbers", "model.", "data.", "train.optimizer.kind", "train.max_grad_norm")
    told = {place: value for place, value in _told(config).items() if place.startswith(deciding)}
    return digest({place: told[place] for place in told if not place.startswith("model.init")})


def _told(config: RunConfig) -> dict[str, Any]:
    """How a configuration differs from a baseline: so what is added to the package later changes nothing."""
    numbers = [VOCAB_SIZE, SEQ_LEN, LAYERS, WIDTH, HEAD_DIM, DROPOUT]
    changed = differences(baseline(rate=1e-3, batch_size=16), config).items()
    return {"numbers": numbers, **{place: value for place, (_, value) in changed}}
