"""Files that are always whole: write to a temporary name, flush to the disk, rename.

A reader therefore sees the old file or the new one and never half of one, whatever kills the writer:
`kill -9`, a full disk, a power cut. Everything Hornbook writes goes through `atomic_write`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from hornbook.base.errors import RunFolderError
from hornbook.base.temporaries import reserved, sweep, temporary_name


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: Literal["w", "wb"] = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` and rename it to `path` when the block ends well.

    When the block raises, `path` is left as it was and the temporary file is removed; one that a killed
    process left is removed by the next write to `path`. Text is UTF-8 with Unix line ends. A symbolic link
    is written through, and an existing file keeps its permissions. An OSError names `path`.
    """
    assert mode in ("w", "wb"), f"mode {mode!r}: an atomic file is written anew, with 'w' or 'wb'"
    target = Path(os.path.realpath(path))
    temporary = temporary_name(target)
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
    sweep(target)
    with _named(path, temporary):
        with reserved(temporary):
            with open(temporary, mode, **text) as file:  # type: ignore[call-overload]
                with suppress(FileNotFoundError):
                    shutil.copymode(target, temporary)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        _flush_folder(target.parent)


@contextmanager
def _named(path: str | os.PathLike[str], temporary: Path) -> Iterator[None]:
    """Let an OSError that names the temporary file, or none as a full disk does, name `path` instead."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _flush_folder(folder: Path) -> None:
    """Make a rename durable; only POSIX systems can open a folder to do so.

    File systems that cannot flush a folder (EINVAL, ENOTSUP) are taken as they are. Any other error is
    raised: the new file is in place, but a power cut might bring the old one back.
    """
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write indented JSON atomically, non-ASCII letters as they are, keys in the given order.

    JSON has no NaN and no infinity: they are a ValueError, and nothing is written.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path} cannot be written as JSON: {error}") from None
    with atomic_write(path) as file:
        # File names that are not UTF-8 hold lone surrogates; written as \udce9 they are JSON again.
        file.write(text.encode("utf-8", "backslashreplace") + b"\n")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file; a missing or unreadable one is a `RunFolderError` that names it."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing") from None
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; a missing, unreadable or damaged one is a `RunFolderError` that names it."""
    data = read_bytes(path)
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} is damaged: not valid JSON ({error})") from None


def sha256(data: bytes | memoryview) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
