"""Where else the lines of metrics go: TensorBoard, and Weights & Biases.

    trackers = Trackers(config, folder)
    with trackers:
        trackers.start(4)
        trackers.hear({"kind": "train", "step": 5, "loss": 3.2})     # train/loss at step 5

A tracker is a listener: it gets each line as it is written to metrics.jsonl, which stays the source of truth.
It is open before the first step, so that a refusal comes at once. A run that goes on from a save goes on with
its curves too: what a tracker was told of later steps is dropped, or, where it cannot be taken back, not told
again.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import TracebackType
from typing import Any

from hornbook.base.config import to_dict
from hornbook.base.errors import HornbookError, MissingPackageError
from hornbook.base.files import read_json
from hornbook.checkpoint.folder import RunFolder
from hornbook.train.config import RunConfig, TrainConfig

Line = dict[str, Any]


def check_trackers(config: TrainConfig) -> None:
    """Raise where a tracker is wished for whose package is not installed."""
    if config.tensorboard and find_spec("tensorboard") is None:
        raise MissingPackageError("tensorboard", "track")
    if config.wandb is not None and find_spec("wandb") is None:
        raise MissingPackageError("wandb", "track")


class Trackers:
    """All trackers that a run's configuration names; often none."""

    def __init__(self, config: RunConfig, folder: RunFolder) -> None:
        check_trackers(config.train)
        self.config, self.folder = config, folder
        self.open: list[TensorBoard | Wandb] | None = None

    def start(self, step: int) -> list[TensorBoard | Wandb]:
        """Open the trackers at the step that the run stands at, unless they are open."""
        if self.open is None:
            self.open = self._opened(step)
        return self.open

    def hear(self, line: Line) -> None:
        """Pass a line on; one from before the start opens the trackers, at its own step."""
        for tracker in self.start(line["step"]):
            tracker.hear(line)

    def _opened(self, step: int) -> list[TensorBoard | Wandb]:
        train = self.config.train
        found: list[TensorBoard | Wandb] = (
            [TensorBoard(self.config, self.folder, step)] if train.tensorboard else []
        )
        return [*found, Wandb(self.config, self.folder, train.wandb)] if train.wandb else found

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracker in self.open or ():
            tracker.close(failed=error is not None)
        self.open = None


class TensorBoard:
    """Event files in the run folder: numbers as curves, samples and events as text."""

    def __init__(self, config: RunConfig, folder: RunFolder, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = folder.path / "tensorboard"
        is_new = not place.exists()
        # Of what was written before, TensorBoard leaves out all steps after this one.
        self.writer = SummaryWriter(place, purge_step=step + 1)
        if is_new:
            self.writer.add_text("config", f"```\n{config.model_dump_json(indent=2)}\n```", step)

    def hear(self, line: Line) -> None:
        """Write the numbers of a line, or its text."""
        for name, value in _facts(line).items():
            if isinstance(value, str):
                self.writer.add_text(name, f"```\n{value}\n```", line["step"])
            else:
                self.writer.add_scalar(name, value, line["step"])

    def close(self, failed: bool) -> None:
        """Write what is not written yet."""
        self.writer.close()


class Wandb:
    """A run on Weights & Biases, whose id is kept in run.json.

    Where to, as whom and whether at all (`WANDB_MODE=offline`) the library is told in its own ways. It takes
    nothing back, so a run that repeats some steps, bit for bit, is silent until it is past them.
    """

    def __init__(self, config: RunConfig, folder: RunFolder, project: str) -> None:
        import wandb

        about_run = folder.path / "run.json"
        known = read_json(about_run).get("wandb", {}) if about_run.exists() else {}
        id_ = known.get("id") if known.get("project") == project else None
        try:
            self.run = wandb.init(
                project=project,
                id=id_,
                resume="allow" if id_ else None,
                name=folder.path.resolve().name,
                dir=str(folder.path),
                config=to_dict(config),
            )
        except wandb.Error as error:
            raise HornbookError(
                f"Weights & Biases takes no run: {error}; log in by typing wandb login, set "
                "WANDB_MODE=offline, or leave train.wandb out"
            ) from None
        folder.update_run(wandb={"project": project, "id": self.run.id})

    def hear(self, line: Line) -> None:
        """Send a line."""
        if line["step"] >= self.run.starting_step:
            self.run.log(_facts(line), step=line["step"])

    def close(self, failed: bool) -> None:
        """Wait until all is sent."""
        self.run.finish(exit_code=1 if failed else 0)


def _facts(line: Line) -> dict[str, Any]:
    """What a line says, by the names that curves have: `train/loss`, `sample/The`, `event/skip`."""
    if line["kind"] == "sample":
        return {f"sample/{line['prompt']}": line["prompt"] + line["text"]}
    if line["kind"] == "event":
        return {f"event/{line.get('what', 'note')}": line["text"]}
    return {
        f"{line['kind']}/{name}": value
        for name, value in line.items()
        if name not in ("kind", "step") and isinstance(value, int | float)
    }
