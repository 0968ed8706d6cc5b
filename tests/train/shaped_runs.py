"""A finished tiny run of every shape, written without training: random weights and a small tokenizer."""

from __future__ import annotations

from pathlib import Path

from model.small_encoders import scrambled
from model.small_shapes import shaped_configs

from hornbook.base.config import to_dict
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.data.config import DataConfig
from hornbook.model.shapes import build_model
from hornbook.tokenizer import Tokenizer
from hornbook.train.config import RunConfig, TokenizerConfig

OTHER_SHAPES = ("masked_lm", "classifier", "permutation_lm", "seq2seq")
"""All that are no decoders."""


def shaped_run(folder: Path, kind: str) -> Path:
    """Write a run of a kind of model into a folder that is not there yet."""
    tokenizer = Tokenizer.train(["a small text, and another small text\n"] * 5, vocab_size=270)
    model = shaped_configs(tokenizer.vocab_size)[kind]
    config = RunConfig(
        model=model,
        tokenizer=TokenizerConfig(vocab_size=tokenizer.vocab_size),
        data=DataConfig(seq_len=model.max_seq_len),
    )
    files = RunFolder(folder)
    files.create()
    tokenizer.save(folder)
    write_json(files.config_path, to_dict(config))
    files.save_model(scrambled(build_model(model)), step=0)
    files.update_run(status="finished")
    return folder
