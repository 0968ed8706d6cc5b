"""What a run reads: where the text is and how it becomes batches."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import pydantic
from pydantic import Field, PositiveInt

from hornbook.base.config import Config

TEN_THOUSAND = 10_000
"""Shares of a mixture are whole numbers of ten-thousandths, so that they can be kept exactly."""


class WindowsConfig(Config):
    """Sequences cut from the text as from a tape, whatever documents they run through."""

    kind: Literal["windows"] = "windows"
    stride: PositiveInt | None = None
    """Tokens from the start of one sequence to the next; fewer than data.seq_len: they overlap. None: as many
    as data.seq_len, so that each token is learned once in an epoch."""


class PackingConfig(Config):
    """Sequences of whole documents, each where it fits best; only those longer than a sequence are cut."""

    kind: Literal["packing"] = "packing"


SequencesConfig = Annotated[WindowsConfig | PackingConfig, Field(discriminator="kind")]


class RampConfig(Config):
    """A size that starts small and doubles in equal stages until it is whole."""

    first: PositiveInt
    """What it begins with: half of the whole size, a quarter, an eighth or less."""
    steps: PositiveInt
    """Optimizer steps until it is whole."""


class DataConfig(Config):
    """The data of one run."""

    path: str | tuple[str, ...] = "python"
    """A text file, a folder of text, a pattern such as 'books/*.txt' (or a list of these), a corpus folder,
    one or several folders that hornbook tokenize made, or 'python': the standard library of this Python."""
    mixture: dict[str, float] | None = None
    """Share of the sequences that each tokenized folder of data.path gives, by the folder's name; in all 1.
    None: folders are one text, each token as likely as any other."""
    held_out_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.04
    """Share of the text that is kept from training, to measure on."""
    seq_len: PositiveInt = 256
    """Tokens in one training sequence."""
    batch_size: PositiveInt = 16
    """Sequences in one optimizer step, over all micro-batches."""
    batch_ramp: RampConfig | None = None
    """The sequences of the first steps, where they are to be fewer. None: batch_size from the beginning."""
    seq_len_ramp: RampConfig | None = None
    """The tokens in a sequence of the first steps: each sequence is cut into pieces of so many, so that a
    step reads as many tokens as ever. None: seq_len from the beginning."""
    sequences: SequencesConfig = WindowsConfig()
    """How sequences are made of documents."""
    document_mask: bool = True
    """Whether documents that share a sequence are kept from seeing each other."""

    @pydantic.field_validator("mixture")
    @classmethod
    def _shares_fit(cls, mixture: dict[str, float] | None) -> dict[str, float] | None:
        if mixture is not None:
            ten_thousandths(mixture)
        return mixture

    @pydantic.model_validator(mode="after")
    def _ramps_fit(self) -> DataConfig:
        for name, whole, ramp in (
            ("batch", self.batch_size, self.batch_ramp),
            ("seq_len", self.seq_len, self.seq_len_ramp),
        ):
            halves = [whole >> n for n in range(1, whole.bit_length()) if whole % (1 << n) == 0]
            if ramp is not None and ramp.first not in halves:
                what = "batch_size" if name == "batch" else name
                choices = f"give one of {', '.join(map(str, halves))}" if halves else f"{whole} has no half"
                raise ValueError(
                    f"{name}_ramp.first {ramp.first} does not double to {what} {whole}; {choices}"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _stride_fits(self) -> DataConfig:
        stride = self.sequences.stride if isinstance(self.sequences, WindowsConfig) else None
        if stride is not None and stride > self.seq_len:
            raise ValueError(
                f"sequences.stride {stride} is longer than seq_len {self.seq_len}, and text between the "
                f"sequences would be lost; give at most {self.seq_len}"
            )
        return self


def ten_thousandths(shares: dict[str, float]) -> dict[str, int]:
    """The shares of a mixture as whole numbers that sum to 10,000; a ValueError says what to type instead."""
    if bad := [f"{name} has {share:g}" for name, share in shares.items() if not share > 0]:
        raise ValueError(f"each share is above 0, and {', '.join(bad)}; leave out what is not wanted")
    if not shares:
        raise ValueError("a mixture names at least one source; give null for none")
    exact = {name: Fraction(repr(share)) * TEN_THOUSAND for name, share in shares.items()}
    if sum(exact.values()) == TEN_THOUSAND and all(share.denominator == 1 for share in exact.values()):
        return {name: int(share) for name, share in exact.items()}
    total = f"{sum(shares.values()):.6g}"
    wrong = "have more than four decimals" if total == "1" else f"sum to {total}, not to 1"
    parts = (f'"{name}": {share / TEN_THOUSAND:g}' for name, share in rounded(shares).items())
    raise ValueError(f"the shares {wrong}; type data.mixture='{{{', '.join(parts)}}}'")


def rounded(shares: dict[str, float]) -> dict[str, int]:
    """Shares as ten-thousandths that sum to 10,000, the largest remainders rounded up, each one at least."""
    whole = sum(Fraction(share) for share in shares.values())
    exact = {name: Fraction(share) / whole * TEN_THOUSAND for name, share in shares.items()}
    parts = {name: max(1, int(share)) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: parts[name] - exact[name]):
        parts[name] += sum(parts.values()) < TEN_THOUSAND
    largest = max(parts, key=lambda name: parts[name])
    parts[largest] -= sum(parts.values()) - TEN_THOUSAND
    return parts
