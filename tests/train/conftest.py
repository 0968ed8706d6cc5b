"""What the tests of whole runs share: a tokenizer, token shards of it, and runs over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from model.small_models import block, model_config
from train.small_runs import sums

from hornbook.base.config import parse, to_dict
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.shards import TokenShards, write_shards
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig
from hornbook.train.fit import Fit, Listener, ignore


@dataclass(frozen=True)
class Material:
    """Text that is tokenized already."""

    tokenizer: Tokenizer
    train: TokenShards
    held_out: TokenShards

    def config(self, seed: int = 0, **fields: Any) -> RunConfig:
        """A run of 10 steps of a model of two layers with dropout, which saves every third step."""
        train = {
            "steps": 10,
            "precision": "float32",
            "device": "cpu",
            "log_every": 1,
            "validate_every": 5,
            "validation_batches": 2,
            "sample_every": 5,
            "sample_prompts": ["one "],
            "save_every": 3,
        }
        model = model_config(block(dropout=0.2), vocab_size=self.tokenizer.vocab_size, max_seq_len=16)
        data = {
            "seed": seed,
            "model": to_dict(model),
            "tokenizer": {"vocab_size": self.tokenizer.vocab_size},
            "data": {"seq_len": 16, "batch_size": 4},
            "train": train | fields,
        }
        return parse(RunConfig, data)

    def fit(self, folder: Path, config: RunConfig | None = None, listen: Listener = ignore) -> Fit:
        """One sitting of a run in a folder, made where it is not there."""
        config = config or self.config()
        run = RunFolder(folder)
        if not run.exists:
            run.create()
            write_json(run.config_path, to_dict(config))
            self.tokenizer.save(folder)
        return Fit(config, run, self.tokenizer, self.train, self.held_out, listen)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """The sums, tokenized."""
    folder = tmp_path_factory.mktemp("shards")
    texts = sums(60)
    tokenizer = Tokenizer.train(texts, vocab_size=280)
    for part, chosen in (("train", texts[10:]), ("held_out", texts[:10])):
        write_shards(chosen, tokenizer, folder / part, fingerprint="tests")
    return Material(tokenizer, TokenShards(folder / "train"), TokenShards(folder / "held_out"))
