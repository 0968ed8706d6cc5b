"""Models from elsewhere as runs, and runs for elsewhere.

run = import_hf("SmolLM2-135M", out="runs/smol")    # a folder of Hugging Face becomes a run folder
export(run, "out/")                                  # and back
"""

from __future__ import annotations

import os
from pathlib import Path

from hornbook.base.config import to_dict
from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.base.files import write_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.data.config import DataConfig
from hornbook.tokenizer.tokenizer import Tokenizer
from hornbook.train.config import RunConfig, TokenizerConfig, TrainConfig
from hornbook.train.objective_config import NextTokenConfig
from hornbook.train.run import Run, load
from hornbook.train.tasks import default_objective

SMALLEST_VOCABULARY = 257
"""The smallest that a training of a tokenizer makes; one that is read may be smaller."""


def import_hf(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Run:
    """Read a folder of Hugging Face as a run; with `out` it becomes a run folder, which later stages read.

    The model may be of any shape. What the folder's configuration has and is not understood here is refused
    by name. The training part of the run's configuration is the default, with the objective that is usual for
    the shape: how the model was trained, the folder does not tell.
    """
    path = Path(folder)
    if out is not None and RunFolder(out).exists:
        raise RunFolderError(f"{out} exists already; it stays as it is, choose another folder")
    model_config, model = read_model(path)
    tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > model_config.vocab_size:
        raise ConfigError(
            f"the tokenizer in {path} has {tokenizer.vocab_size} ids, and the model knows "
            f"{model_config.vocab_size}; they do not belong together"
        )
    config = RunConfig(
        model=model_config,
        tokenizer=TokenizerConfig(
            vocab_size=max(tokenizer.vocab_size, SMALLEST_VOCABULARY), pattern=tokenizer.pattern
        ),
        data=DataConfig(seq_len=min(DataConfig().seq_len, model_config.max_seq_len)),
        train=TrainConfig(objective=default_objective(model_config) or NextTokenConfig()),
    )
    if out is None:
        return Run(path, config, tokenizer, model.eval())
    files = RunFolder(out)
    files.create()
    files.update_run(status="importing", imported_from=path.name)
    tokenizer.save(files.path)
    write_json(files.config_path, to_dict(config))
    files.save_model(model, step=0)
    files.update_run(status="finished")
    return load(files.path)


def export(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str = "hf",
    family: str | None = None,
) -> str:
    """Write a run as a folder that other libraries read; return the family it was written as.

    `format` "hf" is a folder of Hugging Face. `family` None takes the first published family that can hold
    the model. Before the folder appears it is read again, and must compute the same logits.
    """
    if format != "hf":
        raise ConfigError(f"unknown format {format!r}; choose hf")
    whole = run if isinstance(run, Run) else load(run, device="cpu")
    return write_model(whole.model, whole.config.model, out, family, whole.tokenizer)
