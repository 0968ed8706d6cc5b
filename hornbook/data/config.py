"""What a run reads: where the text is and how it becomes batches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from hornbook.base.config import Config


class DataConfig(Config):
    """The data of one run."""

    path: str | tuple[str, ...] = "python"
    """A text file, a folder of text, a pattern such as 'books/*.txt' (or a list of these), a corpus folder,
    or 'python': the standard library of this Python."""
    held_out_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.04
    """Share of the text that is kept from training, to measure on."""
    seq_len: PositiveInt = 256
    """Tokens in one training sequence."""
    batch_size: PositiveInt = 16
    """Sequences in one optimizer step, over all micro-batches."""
    document_mask: bool = True
    """Whether documents that share a sequence are kept from seeing each other."""
