"""What stands beside the bar while a model learns: one short text, made of the last steps.

    note = Note(steps, peak_tokens_per_second, device)
    note(info)        # 'loss 3.42 ▆▄▃▂▂▁▁, 1.85 bits per byte, 21,300 tokens/s, MFU 41%, 1.3 GiB'

Its figures are means over the last few steps and change twice a second at most, so that they can be read.
What is kept of a run stands in metrics.jsonl; nothing is kept of this.
"""

from __future__ import annotations

import math
import time
from collections import deque

import torch

from hornbook.base.progress import BARS
from hornbook.train.device import held_memory
from hornbook.train.loop import StepInfo

N_STEPS = 10
"""Steps that the figures are means of."""
CALM = 0.5
"""Seconds that a text stands at least."""
N_BARS = 16
"""Bars of the sparkline; each is the mean loss of a hundredth of the run."""


class Note:
    """The text, remade with the steps that it is told of."""

    def __init__(self, steps: int, peak_tokens_per_second: float, device: torch.device) -> None:
        self.peak, self.device = peak_tokens_per_second, device
        self.recent: deque[StepInfo] = deque(maxlen=N_STEPS)
        self.curve = Curve(-(-steps // 100))
        self.text, self.written = "", -math.inf

    def __call__(self, info: StepInfo) -> str:
        """Take note of a step and return what to show."""
        self.recent.append(info)
        if info.result.skipped is None:
            self.curve.add(info.step, info.loss)
        now = time.monotonic()
        if info.is_last or now - self.written >= CALM:
            self.text, self.written = self._remade(), now
        return self.text

    def _remade(self) -> str:
        """The pieces that are known, one after the other."""
        steps = [info.result for info in self.recent if info.result.skipped is None]
        total, weight, n_bytes = (sum(getattr(s, of) for s in steps) for of in ("total", "weight", "n_bytes"))
        pieces = (
            [f"loss {total / weight:.2f} {self.curve.drawn()}".rstrip()] if weight else ["nothing learned"]
        )
        if n_bytes:
            pieces.append(f"{total / math.log(2) / n_bytes:.2f} bits per byte")
        speed = sum(i.step_tokens for i in self.recent) / sum(i.step_seconds for i in self.recent)
        pieces += [f"{speed:,.0f} tokens/s", f"MFU {speed / self.peak:.0%}"]
        if (held := held_memory(self.device)) is not None:
            pieces.append(f"{held / 2**30:.1f} GiB")
        return ", ".join(pieces)


class Curve:
    """The loss of late as a row of bars, each the mean of `each` steps."""

    def __init__(self, each: int) -> None:
        self.each = each
        self.bars: deque[tuple[int, float, int]] = deque(maxlen=N_BARS)
        """(place, sum, count) of each bar."""

    def add(self, step: int, loss: float) -> None:
        """Take in the loss of a step."""
        if not math.isfinite(loss):
            return
        place, before, count = (step - 1) // self.each, 0.0, 0
        if self.bars and self.bars[-1][0] == place:
            _, before, count = self.bars.pop()
        self.bars.append((place, before + loss, count + 1))

    def drawn(self) -> str:
        """The bars between the lowest and the highest of them; nothing where there is no more than one."""
        means = [total / count for _, total, count in self.bars]
        if len(means) < 2:
            return ""
        low, high = min(means), max(means)
        unit = (high - low) / len(BARS) or 1.0
        return "".join(BARS[min(len(BARS) - 1, int((mean - low) / unit))] for mean in means)
