"""From a configuration to a loader: which rows there are, and the batches of them.

loader = make_loader(config.data, {"web": shards, "books": others}, seed=config.seed)
loader.source.describe()                     # what a person should know before training
"""

from __future__ import annotations

from collections.abc import Mapping

from hornbook.base.errors import ConfigError, did_you_mean
from hornbook.base.randomness import stream_seed
from hornbook.data.batch import Collate, next_tokens
from hornbook.data.config import DataConfig, PackingConfig, RampConfig, ten_thousandths
from hornbook.data.loader import Source, SourceLoader
from hornbook.data.mixture import Mixture
from hornbook.data.packing import Packing
from hornbook.data.ramps import Stages
from hornbook.data.shards import TokenShards
from hornbook.data.windows import Windows

Texts = TokenShards | Mapping[str, TokenShards]
"""One text, or several by name."""


def make_loader(
    config: DataConfig, texts: Texts, *, seed: int, collate: Collate = next_tokens
) -> SourceLoader:
    """The batches that a configuration asks for, of one text or of a mixture of several by name."""
    return SourceLoader(
        make_source(config, texts, seed),
        batch_size=config.batch_size,
        seed=seed,
        collate=collate,
        batches=_stages(config.batch_ramp, config.batch_size),
        lengths=_stages(config.seq_len_ramp, config.seq_len),
    )


def _stages(ramp: RampConfig | None, whole: int) -> Stages | None:
    return None if ramp is None else Stages(ramp.first, whole, ramp.steps)


def make_source(config: DataConfig, texts: Texts, seed: int) -> Source:
    """The rows of one text, or of several in the shares of `config.mixture`."""
    if isinstance(texts, TokenShards):
        assert config.mixture is None, "a mixture of one text"
        return _rows_of(config, texts, seed)
    assert config.mixture is not None, "several texts without shares"
    check_names(config.mixture, list(texts))
    # Each source draws from streams of its own, so that equal texts are not served in equal order.
    sources = {
        name: _rows_of(config, texts[name], stream_seed(seed, "source", number))
        for number, name in enumerate(texts)
    }
    shares = ten_thousandths(config.mixture)
    return Mixture(sources, {name: shares[name] for name in texts})


def check_names(shares: Mapping[str, float], names: list[str]) -> None:
    """Refuse shares of sources that are not there, and sources that have no share."""
    for name in shares:
        if name not in names:
            raise ConfigError(f"data.mixture names {name!r}, which is no source; {did_you_mean(name, names)}")
    if without := [name for name in names if name not in shares]:
        raise ConfigError(
            f"data.mixture gives no share to {', '.join(without)}; give one, or leave it out of data.path"
        )


def _rows_of(config: DataConfig, shards: TokenShards, seed: int) -> Source:
    common = {"seq_len": config.seq_len, "seed": seed, "document_mask": config.document_mask}
    if isinstance(config.sequences, PackingConfig):
        return Packing(shards, **common)  # type: ignore[arg-type]
    return Windows(shards, **common, stride=config.sequences.stride)  # type: ignore[arg-type]
