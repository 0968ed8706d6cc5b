"""What keeps a run from harm: it saves the state, brings it back, and goes back to a good one.

`Keeper.after_step` is the last hook of every step. It writes down what the guard left out, goes back where
the guard wants to, and saves when it is time. Going back takes the weights, the optimizers' memory and the
guard's from a save; the count of steps goes on, so no text is read twice and no line of metrics is written
twice: the run has lost some learning, and not its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hornbook.base.errors import DivergedError, HornbookError, RunFolderError
from hornbook.checkpoint.saves import Saves, Writer
from hornbook.train.config import TrainConfig
from hornbook.train.guard_config import RollBackConfig
from hornbook.train.loop import StepInfo
from hornbook.train.state import TrainState

Record = Callable[..., None]
"""Writes a line of metrics: kind, step, facts."""


class Keeper:
    """The saves of one run and its state."""

    def __init__(self, state: TrainState, saves: Saves, config: TrainConfig, record: Record) -> None:
        self.state, self.saves, self.config, self.record = state, saves, config, record
        self.writer = Writer(saves)
        self.best: tuple[int, float] | None = None
        """Step and loss of the best measurement on held-out text, where its save is to be kept."""

    def resume(self) -> list[str]:
        """Go back to the newest save that is whole, if there is one; tell which are not."""
        save, damaged = self.saves.newest()
        if save is None:
            return []
        self.state.load_tensors(save)
        self.state.load_facts(save.facts)
        best = save.facts["best"]
        self.best = None if best is None else (best[0], best[1])
        return damaged

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Leave the block only when nothing is being written any more, however it ends."""
        try:
            yield
        except DivergedError as error:
            self._finish_quietly()
            raise self._broken_down(error) from None
        except BaseException:
            self._finish_quietly()
            raise
        self.writer.wait()

    def after_step(self, info: StepInfo) -> None:
        """The hook: note what was left out, go back, save."""
        if info.result.skipped is not None:
            self._note(info)
            if self.state.guard.wants_back:
                self._go_back()
        is_due = info.is_last or info.step % self.config.save_every == 0
        if is_due and not self.state.guard.not_finite:
            self.save(is_due)
        elif self.best is not None and self.best[0] == info.step:
            self.save()

    def measured(self, step: int, loss: float) -> None:
        """Hear of a loss on held-out text: the best one's save is kept, where that is wished."""
        if self.config.keep_best and math.isfinite(loss) and (self.best is None or loss < self.best[1]):
            self.best = (step, loss)

    def save(self, is_due: bool = False) -> None:
        """Save the state as it is; only saves that are due are such that the guard may go back to."""
        state, n_kept = self.state, self.config.keep_last
        guard = state.guard
        if is_due and isinstance(guard.config, RollBackConfig) and not guard.in_a_row:
            guard.targets = [*guard.targets, state.step][-n_kept:]
        former = [step for step in self.saves.steps() if step < state.step]
        kept = {*former[len(former) + 1 - n_kept :], *guard.targets, *([self.best[0]] if self.best else [])}
        self.writer.save(state.step, state.tensors(), {**state.facts(), "best": self.best}, kept)

    def _note(self, info: StepInfo) -> None:
        """A line for a step that was left out, by the guard or by an overflow that it never heard of."""
        guard = self.state.guard
        z_scores = guard.z if guard.in_a_row else {}
        self.record(
            "event",
            info.step,
            what="skip",
            text=f"left out: {info.result.skipped}",
            loss=info.loss,
            grad_norm=info.result.grad_norm,
            **{name: round(z, 1) for name, z in z_scores.items()},
        )

    def _go_back(self) -> None:
        """Go back to the newest save that has not been gone back to before and is whole, if there is one."""
        state, guard = self.state, self.state.guard
        assert isinstance(guard.config, RollBackConfig)
        self.writer.wait()
        while guard.targets:
            target = guard.targets.pop()
            try:
                save = self.saves.read(target)
            except RunFolderError as error:
                self.record("event", state.step, what="damaged", text=str(error).partition(";")[0])
                continue
            state.load_tensors(save)
            guard.go_back(save.facts["guard"], state.step)
            slower = f"{guard.config.rate_share:.0%} of the learning rate for {guard.config.rate_steps} steps"
            if guard.config.batches > 1:
                slower += f", {guard.config.batches} batches each"
            text = f"went back to the weights of step {target}; {slower}"
            self.record("event", state.step, what="roll_back", to=target, text=text)
            return

    def _broken_down(self, error: DivergedError) -> DivergedError:
        """Write down that training ended, and say what there is to go on from."""
        step = self.state.step + 1
        self.record("event", step, what="end", text=f"training broke down: {error}")
        saves = self.saves.steps()
        left = f"the newest save is of step {saves[-1]}" if saves else "nothing had been saved yet"
        return DivergedError(
            f"training broke down at step {step}: {error}; {left}; give it a smaller "
            "train.optimizer.learning_rate, or train.guard=roll_back, and look at the data"
        )

    def _finish_quietly(self) -> None:
        """Wait for a write when something else went wrong already, and let that be told."""
        try:
            self.writer.wait()
        except (OSError, HornbookError) as error:
            self.record("event", self.state.step, text=f"the last save failed: {error}")
