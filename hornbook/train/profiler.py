"""Where the time of a step goes: a trace of a few steps by PyTorch's profiler, and a table of its operators.

    profiling = Profiling(ProfileConfig(after=10, steps=3), folder, device, tell)
    with profiling:
        for info in training_steps(...):
            profiling.after_step(info)      # profile/steps-11-13.json.gz, profile/steps-11-13.txt
            ...                             # log, validate, save
            profiling.before_step(info)

The trace opens in https://ui.perfetto.dev or chrome://tracing. To watch takes time and changes no number.
What is done before the first of its steps and after the last one is not in it.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch._C._autograd import DeviceType

from hornbook.base.files import atomic_write, write_text
from hornbook.train.config import ProfileConfig
from hornbook.train.loop import StepInfo

N_ROWS = 30
"""Operators in the table."""
N_TOLD = 3
"""Operators that are named in the run's events."""


class Profiling:
    """Watches some steps of a sitting, if any are to be watched."""

    def __init__(
        self, config: ProfileConfig | None, folder: Path, device: torch.device, tell: Callable[[str], None]
    ) -> None:
        self.config, self.folder, self.device, self.tell = config, folder / "profile", device, tell
        self.n_done = 0
        self.profiler: torch.profiler.profile | None = None

    def __enter__(self) -> Profiling:
        self._begin_when_due()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.profiler is not None:
            self.profiler.stop()

    def after_step(self, info: StepInfo) -> None:
        """The first hook: end where it is time."""
        if self.config is None:
            return
        self.n_done += 1
        n_watched = self.n_done - self.config.after
        if self.profiler is not None and (n_watched == self.config.steps or info.is_last):
            self._end(self.profiler, info.step - n_watched + 1, info.step)
            self.profiler = None
        elif info.is_last and n_watched <= 0:
            left = f"{self.n_done} {'was' if self.n_done == 1 else 'were'} left"
            self.tell(f"no step was profiled: {left}, and train.profile.after is {self.config.after}")

    def before_step(self, info: StepInfo) -> None:
        """The last hook: begin where it is time."""
        if not info.is_last:
            self._begin_when_due()

    def _begin_when_due(self) -> None:
        if self.config is not None and self.n_done == self.config.after:
            self.profiler = torch.profiler.profile()
            self.profiler.start()

    def _end(self, profiler: torch.profiler.profile, first: int, last: int) -> None:
        """Write the trace and the table, and tell what takes most."""
        profiler.stop()
        self.folder.mkdir(exist_ok=True)
        name = f"steps-{first}-{last}"
        with tempfile.TemporaryDirectory() as place:
            raw = Path(place) / "trace.json"
            profiler.export_chrome_trace(str(raw))
            with (
                atomic_write(self.folder / f"{name}.json.gz") as file,
                gzip.open(file, "wb") as packed,
                raw.open("rb") as trace,
            ):
                shutil.copyfileobj(trace, packed)
        side = "device" if self.device.type == "cuda" else "cpu"
        operators = profiler.key_averages()
        table = operators.table(sort_by=f"self_{side}_time_total", row_limit=N_ROWS, max_name_column_width=70)
        write_text(self.folder / f"{name}.txt", table)
        self.tell(
            f"profiled steps {first} to {last}: {self._dearest(operators, side)}; see profile/{name}.txt"
        )

    def _dearest(self, operators: Any, side: str) -> str:
        """The operators that take most by themselves, with their shares."""
        if side == "device":  # The kernels, and what spans several, hold the operators' time once more.
            operators = [
                each
                for each in operators
                if each.device_type == DeviceType.CPU and not each.is_user_annotation
            ]
        times = {each.key: getattr(each, f"self_{side}_time_total") for each in operators}
        whole = sum(times.values()) or 1.0
        most = sorted(times.items(), key=lambda item: -item[1])[:N_TOLD]
        return ", ".join(f"{name} {time / whole:.0%}" for name, time in most)
