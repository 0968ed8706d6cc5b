"""How a run takes its folder, and how it is stopped: nothing foreign is touched, nothing saved is lost.

Whoever runs a road claims the folder first and then walks inside `stoppable`, which keeps other processes out
of the folder, and turns Ctrl-C, a full disk and their like into one sentence that ends with the command to
type next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hornbook.base.errors import Interrupted, RunFolderError
from hornbook.checkpoint.folder import RunFolder


def run_folder(out: str | os.PathLike[str]) -> RunFolder:
    """The run folder at a path, which may be `.`."""
    path = Path(out)
    return RunFolder(path if path.name not in ("", "..") else path.resolve())


def claim(folder: RunFolder, *, overwrite: bool = False, resume: bool = False) -> Path | None:
    """Make a folder for a new run; return where a run that was in the way went.

    A run that got no further than its data is begun again in place.
    """
    return folder.create(overwrite, resume or not folder.config_path.exists())


def check_not_imported(folder: RunFolder) -> None:
    """Refuse to go on with a model that was trained elsewhere: of its training nothing is here."""
    if folder.imported_from is not None:
        raise RunFolderError(
            f"{folder.path} holds a model that was imported from {folder.imported_from}, and nothing of its "
            "training to go on with; choose another --out"
        )


@contextmanager
def stoppable(folder: RunFolder, *, start: str, go_on: str) -> Iterator[None]:
    """Hold the folder, and turn a stop from outside into `Interrupted`, which says what to type next.

    That is the command `go_on` where the run has begun to train, else the command `start`.
    """

    def command() -> str:
        return go_on if folder.config_path.exists() else start

    try:
        with folder.held():
            yield
    except KeyboardInterrupt:
        raise Interrupted(f"stopped. To go on, type: {command()}") from None
    except (OSError, RunFolderError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise Interrupted(
            f"{cause.filename or folder.path}: {cause.strerror or cause}; what was saved before is whole. "
            f"Once that is mended, type: {command()}"
        ) from error
