"""Reads plain text: a file, a folder, a glob, or a list of them.

Every file is one document. Its source is its path relative to what was given, or to the folder that all
inputs share where there are several. What comes out is clean in three ways: it is UTF-8, has no byte
order mark, and every line end (CR LF, or CR alone) is LF. A file that is not text is left out and booked
with its reason; nothing is guessed about other encodings.

In a folder, whatever has a name that begins with a dot, `__pycache__`, `node_modules` and virtual
environments are left out, and booked too. A file named outright is read whatever its name.
"""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hornbook.base.errors import TextError
from hornbook.corpus.document import Document
from hornbook.corpus.ledger import Step

NOTE = "Every file is read as one document of UTF-8 text; line ends become LF."

MAX_FILE_BYTES = 2**30
"""Larger files are left out, since a document is held in memory whole."""

PathLike = str | os.PathLike[str]

_DOT = "with a name that begins with a dot"
_TWICE = "named twice"
_SKIPPED_FOLDERS = {"__pycache__", "node_modules"}
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")  # byte order marks of UTF-16, and of UTF-32 little-endian


def read_text(
    inputs: PathLike | Sequence[PathLike],
    step: Step | None = None,
    *,
    exclude: PathLike | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Document]:
    """Return the documents of all text files in the inputs, each file once, folders in sorted order.

    The folder `exclude` (the place the corpus is written to) is passed over. Raises `TextError`: at once for
    an input that does not exist; at the end of an input that held no text, saying what was left out and why.
    """
    found = [_Input.find(given) for given in as_list(inputs)]
    root = _common_root([place.root for place in found])
    excluded = None if exclude is None else os.path.realpath(exclude)
    return _Reading(step or Step("read", NOTE), root, excluded, max_file_bytes).read(found)


def bytes_on_disk(inputs: PathLike | Sequence[PathLike], exclude: PathLike | None = None) -> int:
    """Return the size of all files that `read_text` would look into, text or not."""
    sizes = 0
    for file in find_files(inputs, Step("measure"), exclude=exclude):
        with suppress(OSError):  # What cannot be measured cannot be read either, and is booked then.
            sizes += file.stat().st_size
    return sizes


def find_files(
    inputs: PathLike | Sequence[PathLike], step: Step, *, exclude: PathLike | None = None
) -> Iterator[Path]:
    """Return all files that `read_text` would look into, in its order; folders left out are booked."""
    excluded = None if exclude is None else os.path.realpath(exclude)
    walker = _Reading(step, None, excluded, MAX_FILE_BYTES)
    paths = [path for given in as_list(inputs) for path in _Input.find(given).paths]
    return itertools.chain.from_iterable(map(walker._walk, paths))


def as_list(inputs: PathLike | Sequence[PathLike]) -> list[PathLike]:
    """Return one or several inputs as a list; none at all is a `TextError`."""
    listed = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not listed or not all(os.fspath(given) for given in listed):
        raise TextError("no input was given; give a text file, a folder or a glob")
    return listed


def admit(raw: bytes, source: str, step: Step, meta: Mapping[str, str] | None = None) -> Document | None:
    """Book the bytes of one file and return them as a document, or None where they are not text."""
    step.enter(len(raw))
    text, reason = _decode(raw)
    if reason:
        step.drop(reason, source, len(raw), raw)
        return None
    document = Document(text, source, meta or {})
    n_bytes = document.n_bytes
    if n_bytes < len(raw):
        step.trim("byte order marks and carriage returns", source, len(raw) - n_bytes)
    step.leave(n_bytes)
    return document


def _decode(raw: bytes) -> tuple[str, str]:
    """Return (text, why it is not text), one of them empty."""
    if raw.startswith(_WIDE_MARKS):
        return "", "not UTF-8"
    if b"\0" in raw:
        return "", "binary"
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "", "not UTF-8"
    if not text or text.isspace():
        return "", "empty"
    return text.replace("\r\n", "\n").replace("\r", "\n"), ""


@dataclass(frozen=True, slots=True)
class _Input:
    """One input: its name as given, the paths it stands for, the folder its sources are relative to."""

    name: str
    paths: tuple[Path, ...]
    root: Path

    @classmethod
    def find(cls, given: PathLike) -> _Input:
        name = os.fspath(given)
        path = Path(name).expanduser()
        if os.path.isdir(path):
            return cls(name, (path,), path)
        if os.path.lexists(path):
            return cls(name, (path,), path.parent)
        if not glob.has_magic(name):
            raise TextError(f"there is no file or folder {name!r}; give a text file, a folder or a glob")
        matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not matches:
            raise TextError(f"the glob {name!r} matches nothing; give a text file, a folder or another glob")
        folders = {match for match in matches if os.path.isdir(match)}
        outer = tuple(match for match in matches if folders.isdisjoint(match.parents))
        return cls(name, outer, _fixed_folder(path))


def _fixed_folder(pattern: Path) -> Path:
    """The folder before the first wildcard of a glob."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _common_root(roots: Sequence[Path]) -> Path | None:
    """The deepest folder above all roots; None where there is none, as on two drives of Windows."""
    try:
        return Path(os.path.commonpath([os.path.abspath(root) for root in roots]))
    except ValueError:
        return None


@dataclass(slots=True)
class _Reading:
    """One pass over the inputs: the books it writes and the files it has seen."""

    step: Step
    root: Path | None
    exclude: str | None
    max_file_bytes: int
    seen: set[tuple[int, int]] = field(default_factory=set)

    def read(self, found: Sequence[_Input]) -> Iterator[Document]:
        for place in found:
            before = self._reasons()
            gave_text = False
            for path in place.paths:
                for file in self._walk(path):
                    document = self._read_file(file)
                    if document is not None:
                        gave_text = True
                        yield document
            reasons = self._reasons() - before
            if not gave_text and _TWICE not in reasons:
                raise TextError(_no_text(place.name, reasons))

    def _reasons(self) -> Counter[str]:
        """How many documents were dropped so far for each reason."""
        return Counter({reason: entry.count.documents for reason, entry in self.step.dropped.items()})

    def _walk(self, start: Path) -> Iterator[Path]:
        """Yield the files to read under a path, booking those that are passed over."""
        if not os.path.isdir(start):
            yield start
            return
        for folder, names, files in os.walk(start, onerror=self._book_unreadable):
            if self._is_excluded(folder):
                names.clear()
                continue
            names.sort()
            for name in list(names):
                reason = _why_skip(Path(folder, name))
                if reason:
                    names.remove(name)
                    self._skip_folder(Path(folder, name), reason)
            for name in sorted(files):
                if name.startswith("."):
                    self._pass_over(Path(folder, name), _DOT)
                else:
                    yield Path(folder, name)

    def _is_excluded(self, folder: str) -> bool:
        return self.exclude is not None and os.path.realpath(folder) == self.exclude

    def _book_unreadable(self, error: OSError) -> None:
        self._pass_over(Path(error.filename), "unreadable", error.strerror or "")

    def _skip_folder(self, folder: Path, reason: str) -> None:
        """Book every file of a folder that is not entered, or the link that leads to one."""
        if folder.is_symlink():
            self._pass_over(folder, reason)
        elif not self._is_excluded(str(folder)):
            for place, names, files in os.walk(folder, onerror=self._book_unreadable):
                names.sort()
                for name in sorted(files):
                    self._pass_over(Path(place, name), reason)

    def _pass_over(self, path: Path, reason: str, text: str = "") -> None:
        """Book a file that is never opened, with its size."""
        try:
            status = os.lstat(path)
        except OSError:
            n_bytes = 0
        else:
            n_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self.step.enter(n_bytes)
        self.step.drop(reason, self._source(path), n_bytes, text)

    def _read_file(self, path: Path) -> Document | None:
        try:
            reason = self._why_unfit(path.stat())
            if reason:
                self._pass_over(path, reason)
                return None
            raw = path.read_bytes()
        except OSError as error:
            self._pass_over(path, "unreadable", error.strerror or "")
            return None
        return admit(raw, self._source(path), self.step)

    def _why_unfit(self, status: os.stat_result) -> str:
        """Why a file is not even opened; empty where it is. A pipe or a device would never end."""
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size > self.max_file_bytes:
            return f"larger than {self.max_file_bytes} bytes"
        key = (status.st_dev, status.st_ino)
        if status.st_ino and key in self.seen:  # some file systems of Windows number every file 0
            return _TWICE
        self.seen.add(key)
        return ""

    def _source(self, path: Path) -> str:
        """The path below the root with forward slashes, as valid Unicode whatever the file system holds."""
        absolute = Path(os.path.abspath(path))
        below = absolute.relative_to(self.root) if self.root else absolute
        return os.fsencode(below.as_posix()).decode("utf-8", "replace")


def _why_skip(folder: Path) -> str:
    """Why a folder is not entered; empty where it is."""
    if folder.is_symlink():
        return "a link to a folder"
    if folder.name.startswith("."):
        return _DOT
    if folder.name in _SKIPPED_FOLDERS or os.path.isfile(folder / "pyvenv.cfg"):
        return "in a folder of installed or compiled files"
    return ""


def _no_text(name: str, reasons: Counter[str]) -> str:
    """The message for an input that gave no document."""
    if not reasons:
        return f"there are no files in {name!r}; give a folder that holds text files"
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return f"there is no text in {name!r}: all its files were left out ({told}); give files of UTF-8 text"
