"""Graphics cards by name: how fast each multiplies at best, and how much it remembers.

`find_cards("H100x8")` reads a name and a number of cards. Peaks are those of the makers for dense products of
16-bit numbers that are summed in 32 bits, without sparsity; no training reaches them, which is what
`USUAL_MFU` is for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hornbook.base.errors import ConfigError, did_you_mean

USUAL_MFU = 0.4
"""Share of the peak that training is assumed to use. Llama 3's largest used 0.38 to 0.43 (Grattafiori et al.
2024, table 4), PaLM's 0.46 (Chowdhery et al. 2022, table 3)."""
MOST_CARDS = 100_000


@dataclass(frozen=True)
class Card:
    """One kind of card."""

    name: str
    peak: float
    """Operations a second."""
    memory: int
    """Bytes, as sold: a GB is 10**9 of them."""
    source: str
    """Where its maker says so."""


@dataclass(frozen=True)
class Cards:
    """So many of one kind."""

    card: Card
    count: int

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.card.name if self.count == 1 else f"{self.card.name}x{self.count}"


def _card(name: str, teraflops: float, gigabytes: int, source: str) -> Card:
    return Card(name, teraflops * 1e12, gigabytes * 10**9, source)


CARDS = (
    _card("T4", 65, 16, "NVIDIA T4 datasheet, FP16"),
    _card("V100", 125, 16, "NVIDIA V100 datasheet, SXM2, FP16"),
    _card("V100-32GB", 125, 32, "NVIDIA V100 datasheet, SXM2, FP16"),
    _card("A10", 125, 24, "NVIDIA A10 datasheet"),
    _card("A100-40GB", 312, 40, "NVIDIA A100 datasheet"),
    _card("A100", 312, 80, "NVIDIA A100 datasheet, 80 GB"),
    _card("L4", 121, 24, "NVIDIA L4 datasheet, without sparsity"),
    _card("L40S", 362, 48, "NVIDIA L40S datasheet, without sparsity"),
    _card("H100-PCIe", 756, 80, "NVIDIA H100 datasheet, PCIe, without sparsity"),
    _card("H100", 989, 80, "NVIDIA H100 datasheet, SXM, without sparsity"),
    _card("H200", 989, 141, "NVIDIA H200 datasheet, SXM, without sparsity"),
    _card("B200", 2250, 180, "NVIDIA DGX B200 datasheet, an eighth, without sparsity"),
    _card("RTX3090", 71, 24, "NVIDIA GA102 whitepaper, FP32 accumulate, without sparsity"),
    _card("RTX4090", 165.2, 24, "NVIDIA Ada whitepaper, FP32 accumulate, without sparsity"),
    _card("RTX5090", 209.5, 32, "NVIDIA RTX Blackwell whitepaper, FP32 accumulate, without sparsity"),
    _card("MI300X", 1307.4, 192, "AMD MI300X datasheet, without sparsity"),
)


def find_cards(text: str) -> Cards:
    """Read `H100`, `h100x8` or `8xH100`; an unknown name is told the nearest one."""
    known = {card.name.lower(): card for card in CARDS}
    name, count = text.strip().lower(), 1
    if name not in known:
        found = re.fullmatch(r"(?P<n>\d+)x(?P<name>.+)|(?P<named>.+)x(?P<count>\d+)", name)
        if found:
            name, count = found["name"] or found["named"], int(found["n"] or found["count"])
    if name not in known:
        near = did_you_mean(text.strip().upper(), [card.name for card in CARDS])
        raise ConfigError(f"there is no card {text!r} in the table; {near}")
    if not 1 <= count <= MOST_CARDS:
        raise ConfigError(f"{text!r} asks for {count:,} cards; give a number from 1 to {MOST_CARDS:,}")
    return Cards(known[name], count)
