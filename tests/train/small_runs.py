"""Small runs for tests: an invented text, a model of two layers over it, and the pieces that train it."""

from __future__ import annotations

from pathlib import Path

import torch
from data.shard_folders import ByteTokenizer
from model.small_models import block, model_config

from hornbook.data.batch import IGNORED, Batch
from hornbook.data.loader import SourceLoader
from hornbook.data.shards import TokenShards, write_shards
from hornbook.data.windows import Windows
from hornbook.model.config import ModelConfig
from hornbook.model.models import CausalLM
from hornbook.train.config import AdamWConfig, MuonConfig, OptimizerConfig, TrainConfig
from hornbook.train.objectives import Objective, predict_tokens
from hornbook.train.optimizer import Optimizer

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]

BYTE_MODEL = model_config(vocab_size=257, max_seq_len=32)
"""Two layers over bytes."""
BYTE_LENGTHS = torch.tensor([1] * 256 + [0])
"""What each id of the tokenizer of bytes stands for."""

OPTIMIZERS: dict[str, OptimizerConfig] = {"adamw": AdamWConfig(), "muon": MuonConfig()}


def sums(n_documents: int) -> list[str]:
    """Documents of sums in words: a text with rules that a tiny model can begin to learn."""
    lines = [f"{NUMBERS[a]} and {NUMBERS[b]} is {NUMBERS[a + b]}.\n" for a in range(7) for b in range(6)]
    return [
        "".join(lines[(5 * i + 11 * k) % len(lines)] for k in range(3 + i % 4)) for i in range(n_documents)
    ]


def byte_shards(folder: Path, n_documents: int = 40) -> TokenShards:
    """The sums as token shards of bytes."""
    write_shards(sums(n_documents), ByteTokenizer(), folder, fingerprint="bytes")
    return TokenShards(folder)


def byte_loader(folder: Path, seed: int = 0, batch_size: int = 4) -> SourceLoader:
    """Batches of 4 sequences of 16 bytes."""
    shards = byte_shards(folder)
    windows = Windows(shards, seq_len=16, seed=seed, document_mask=True)
    return SourceLoader(windows, batch_size=batch_size, seed=seed)


def byte_objective() -> Objective:
    """Next-token prediction over bytes."""
    return predict_tokens(BYTE_LENGTHS)


def train_config(**fields: object) -> TrainConfig:
    """A run of 10 steps, in float32."""
    return TrainConfig.model_validate({"steps": 10, "precision": "float32"} | fields)


def fresh(config: ModelConfig = BYTE_MODEL, seed: int = 0) -> CausalLM:
    """A model as a run starts with it."""
    return CausalLM(config, seed).train()


def optimizer_for(model: CausalLM, kind: str = "muon") -> Optimizer:
    """The optimizer of that kind with its default numbers, in float32."""
    return Optimizer(model, OPTIMIZERS[kind], torch.float32)


def dropout_config(share: float) -> ModelConfig:
    """The model over bytes, with dropout in every branch."""
    return model_config(block(dropout=share), vocab_size=257, max_seq_len=32)


def random_batch(
    n_rows: int = 8, seq_len: int = 10, vocab_size: int = 31, *, seed: int = 0, ragged: bool = False
) -> Batch:
    """Random ids; `ragged` rows hold two documents and keep between one and all of their targets."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocab_size, (n_rows, seq_len + 1), generator=generator)
    tokens, targets = ids[:, :-1], ids[:, 1:].clone()
    if not ragged:
        return Batch(tokens, targets)
    place = torch.arange(seq_len)
    kept = torch.linspace(1, seq_len, n_rows).long()
    targets[place >= kept[:, None]] = IGNORED
    border = torch.randint(1, seq_len, (n_rows, 1), generator=generator)
    return Batch(tokens, targets, (place >= border).long())
