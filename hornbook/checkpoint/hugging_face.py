"""Folders of Hugging Face: models in and out, in safetensors, with their tokenizers.

    config, model = read_model("folder")
    write_model(model, config, "out", family=None)

The folder's `config.json` tells of which shape the model is: a decoder, an encoder, an encoder-decoder.
A folder that is written is read again, and its model must compute the same logits, before it gets its name.
What a family calls its tensors stands in `model/families`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import atomic_write, read_json, write_json
from hornbook.base.randomness import stream_seed
from hornbook.base.temporaries import temporary_name
from hornbook.checkpoint.tensors import load_weights
from hornbook.model.families.family import (
    Family,
    family_of,
    holders,
    load_families,
    load_family,
    read_config,
    reason_against,
)
from hornbook.model.families.rules import to_ours, to_theirs
from hornbook.model.permutation import PermutationLM
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.shape_config import AnyConfig
from hornbook.model.shapes import AnyModel, build_model
from hornbook.tokenizer.tokenizer import Tokenizer

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TRIED_TOKENS = 16
"""The length of the two random sequences that are computed before and after a model is written."""
CLOSE = 1e-4
"""How far the logits may differ then, as a share of the largest; float32 rounds the same numbers alike."""


def read_model(folder: str | os.PathLike[str]) -> tuple[AnyConfig, AnyModel]:
    """Read a model and its configuration; the weights become float32.

    What is in the folder and not understood is refused by name.
    """
    path = Path(folder)
    attributes = _read_attributes(path)
    origin = str(path / CONFIG)
    family = family_of(attributes, origin)
    config: AnyConfig = read_config(family, attributes, origin)
    model = build_model(config)
    tensors = family.renewed(_read_tensors(path))
    wanted = dict(model.named_parameters())
    weights = to_ours(tensors, wanted, family.rules(config), family.ignored, str(path))
    load_weights(model, weights, path)
    return config, model


def _read_attributes(path: Path) -> dict[str, Any]:
    """The `config.json` of a folder."""
    if not path.is_dir():
        raise RunFolderError(f"{path} is no folder; a Hugging Face model is a folder with a {CONFIG}")
    attributes = read_json(path / CONFIG)
    if not isinstance(attributes, dict):
        raise RunFolderError(f"{path / CONFIG} is damaged: it must hold an object")
    return attributes


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a folder, in one file or in several with an index."""
    if (path / INDEX).exists():
        shards = sorted(set(read_json(path / INDEX)["weight_map"].values()))
    elif (path / WEIGHTS).exists():
        shards = [WEIGHTS]
    else:
        raise RunFolderError(
            f"{path} has neither {WEIGHTS} nor {INDEX}; other formats run code when they are read: "
            "save the model with safetensors"
        )
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        if Path(shard).name != shard:
            raise RunFolderError(f"{path / INDEX} names a file outside its folder: {shard!r}")
        try:
            tensors.update(safetensors.torch.load_file(path / shard))
        except (safetensors.SafetensorError, OSError) as error:
            raise RunFolderError(f"{path / shard} is damaged or missing: {error}") from None
    return tensors


def write_model(
    model: AnyModel,
    config: AnyConfig,
    out: str | os.PathLike[str],
    family: str | None = None,
    tokenizer: Tokenizer | None = None,
) -> str:
    """Write a model as a folder of Hugging Face; return the family it is of.

    `family` None takes the first that can hold the model. The folder must not exist, and appears when all of
    it was written, read again, and found to compute the same logits.
    """
    target = Path(out)
    if target.exists():
        raise RunFolderError(f"{target} exists already; it stays as it is, choose another folder")
    chosen = _family_for(config, family)
    unfinished = temporary_name(target)
    try:
        unfinished.mkdir(parents=True)
        _write(model, config, chosen, unfinished, tokenizer)
        _compare(model, read_model(unfinished)[1], chosen)
        unfinished.rename(target)
    except OSError as error:
        raise RunFolderError(f"{target} could not be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return chosen.model_type


def _family_for(config: AnyConfig, name: str | None) -> Family[Any]:
    """The family of a name, or the first that can hold a model."""
    if name is not None:
        family = load_family(name, type(config))
        alike = [each for each in load_families(name) if each.shape is family.shape]
        found = next((each for each in alike if reason_against(each, config) is None), None)
        if found is None:
            raise ConfigError(f"{name} cannot hold this model: {reason_against(family, config)}")
        return found
    reasons = []
    for family, reason_or_none in holders(config):
        if reason_or_none is None:
            return family
        reasons.append(f"{family.model_type}: {reason_or_none}")
    raise ConfigError("no published family can hold this model; " + "; ".join(reasons))


def _write(
    model: AnyModel, config: AnyConfig, family: Family[Any], path: Path, tokenizer: Tokenizer | None
) -> None:
    attributes = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "torch_dtype": "float32",
        **family.write(config),
    }
    if tokenizer is not None:
        tokenizer.save(path)
        attributes["eos_token_id"] = end = tokenizer.end_of_text
        # Here a document begins with the token that ended the one before.
        attributes["bos_token_id"] = tokenizer.special_tokens.get(tokenizer.settings.bos_token or "", end)
    write_json(path / CONFIG, attributes)
    weights = {name: tensor.detach().cpu().float() for name, tensor in model.named_parameters()}
    tensors = {name: tensor.contiguous() for name, tensor in to_theirs(weights, family.rules(config)).items()}
    with atomic_write(path / WEIGHTS) as file:
        file.write(safetensors.torch.save(tensors, {"format": "pt"}))


@torch.no_grad()
def _compare(model: AnyModel, again: AnyModel, family: Family[Any]) -> None:
    """Let a model and the one that was read again compute the same sequences."""
    weight = next(model.parameters())
    tried = _tried_inputs(model)
    was_training = model.training
    ours = model.eval()(**{name: each.to(weight.device) for name, each in tried.items()}).cpu().float()
    theirs = again.eval()(**tried)
    model.train(was_training)
    error = float((ours - theirs).abs().max())
    bound = CLOSE if weight.dtype == torch.float32 else 0.05
    if not error <= bound * float(theirs.abs().max()):
        raise ConfigError(
            f"the model written as {family.model_type} computes other logits than this one (they differ by "
            f"{error:.3g}); nothing was written, and that is a mistake of Hornbook's"
        )


def _tried_inputs(model: AnyModel) -> dict[str, Tensor]:
    """Two random sequences, with all that a model takes beside its tokens."""
    generator = torch.Generator().manual_seed(stream_seed(0, "export"))
    shape = (2, min(TRIED_TOKENS, model.max_seq_len))

    def some(table: nn.Embedding) -> Tensor:
        return torch.randint(table.num_embeddings, shape, generator=generator)

    if isinstance(model, Seq2SeqLM):
        stacks = {"source": model.encoder, "tokens": model.decoder}
        return {name: some(stack.embedding.tokens) for name, stack in stacks.items()}
    tried = {"tokens": some(model.embedding.tokens)}
    if isinstance(model, PermutationLM):
        tried["order"] = torch.rand(shape, generator=generator).argsort()
    kinds = model.embedding.segments
    if kinds is None and not model.compares_segments:
        return tried
    segments = torch.randint(kinds.num_embeddings if kinds else 2, shape, generator=generator)
    return {**tried, "segments": segments}
