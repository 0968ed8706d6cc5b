"""Tensors in files: safetensors, written whole or not at all, with a checksum that is verified on reading.

The format is eight bytes that say how long a JSON header is, the header, and the bytes of all tensors. It is
written here tensor by tensor: the library would put the whole file together in memory first, and hold up
every other thread meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import safetensors
import torch
from torch import Tensor, nn

from hornbook.base.errors import RunFolderError
from hornbook.base.files import atomic_write

METADATA = "hornbook"
"""The entry of a file's metadata that holds our facts, as JSON."""
TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip
"""What safetensors calls the types of numbers."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors and a few facts (text by name) to a safetensors file, atomically.

    Equal tensors and facts give equal bytes. A full disk raises a `RunFolderError` and leaves the former
    file as it was.
    """
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # All in one entry, because safetensors writes several in an order of chance.
    metadata = {METADATA: json.dumps({**facts, "sha256": _checksum(whole, facts)})}
    try:
        with atomic_write(path) as file:
            _write(file, whole, metadata)
    except OSError as error:
        raise RunFolderError(
            f"{path} could not be saved ({error.strerror}); the previous save is untouched; make room, "
            "then go on from it"
        ) from error


def _write(file: IO[bytes], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the format, the widest numbers first, so that each lies at a multiple of its width."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    place = 0
    for name in order:
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        file.write(_bytes(tensors[name]))


def load_tensors(path: Path, advice: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and facts; a missing or damaged file is an error that ends with `advice`."""
    if not path.exists():
        raise RunFolderError(f"{path} is missing; {advice}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts: dict[str, str] = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); {advice}") from None
    if facts.pop("sha256", None) != _checksum(tensors, facts):
        raise RunFolderError(f"{path} is damaged: its checksum differs; {advice}")
    return tensors, facts


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy named weights into a model; everything missing, left over or misshapen is one error."""
    own = dict(model.named_parameters())
    mistakes = [f"{name} is missing" for name in own.keys() - tensors.keys()]
    mistakes += [f"{name} is left over" for name in tensors.keys() - own.keys()]
    for name in own.keys() & tensors.keys():
        ours, theirs = tuple(own[name].shape), tuple(tensors[name].shape)
        if ours != theirs:
            mistakes.append(f"{name} has shape {theirs} instead of {ours}")
    if mistakes:
        raise RunFolderError(f"{path} does not fit config.json: " + "; ".join(sorted(mistakes)))
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def _checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """SHA-256 over the facts and over the names, types, shapes and bytes of all tensors, in order of name."""
    digest = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor as they lie in memory, without a copy."""
    return tensor.contiguous().flatten().view(torch.uint8).numpy().data
