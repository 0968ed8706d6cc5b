"""Atomic files: a reader sees the old file or the new one, whatever stops the writer."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base import files
from hornbook.base.errors import RunFolderError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_bytes_arrive(tmp_path: Path) -> None:
    with files.atomic_write(tmp_path / "a.bin") as file:
        file.write(b"\x00\xff\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff\r\n"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    with files.atomic_write(str(tmp_path / "a.txt"), "w") as file:
        file.write("é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_the_old_file_is_there_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with files.atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), files.atomic_write(target) as file:
        file.write(b"half of the n")
        raise error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_exception_makes_no_file_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), files.atomic_write(tmp_path / "a.txt"):
        raise RuntimeError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Disks report that they are full as late as when the file is flushed."""
    target = tmp_path / "a.txt"
    target.write_text("old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(OSError, match="No space left"), files.atomic_write(target) as file:
        file.write(b"new")
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_device_that_is_full_in_earnest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file itself cannot take the bytes: the kernel refuses the write."""
    target = tmp_path / "a.txt"
    target.write_text("old")
    full = functools.partial(os.fdopen, os.open("/dev/full", os.O_WRONLY))
    monkeypatch.setattr(files, "open", lambda path, mode: full(mode), raising=False)
    with pytest.raises(OSError, match="No space left"), files.atomic_write(target) as file:
        file.write(b"new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_size_limit_stops_the_write_and_keeps_the_old_file(tmp_path: Path) -> None:
    """The quota of a real process: its writes fail in the middle of the file."""
    pytest.importorskip("resource", reason="needs POSIX resource limits")
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    code = """
import resource, signal, sys
from hornbook.base.files import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with atomic_write(sys.argv[1]) as file:
        file.write(bytes(10_000_000))
except OSError as error:
    sys.exit(f"refused: {error.strerror}")
"""
    done = subprocess.run([sys.executable, "-B", "-c", code, str(target)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "refused: File too large\n")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """Kill -9 in the middle of a write: the file that is there is the old one, complete."""
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    code = """
import os, signal, sys
from hornbook.base.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(bytes(1000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(target)])
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    with files.atomic_write(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"], "what the killed writer left is gone"


def test_the_bytes_are_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a renamed file must not be empty: data first, then the name, then the folder."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flush(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def rename(old: Path, new: Path) -> None:
        events.append("rename")
        replace(old, new)

    monkeypatch.setattr(files.os, "fsync", flush)
    monkeypatch.setattr(files.os, "replace", rename)
    files.write_text(tmp_path / "a.txt", "new")
    assert events == (["file", "rename", "folder"] if os.name == "posix" else ["file", "rename"])


def test_writers_of_one_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with files.atomic_write(target) as one, files.atomic_write(target) as other:
        one.write(b"one")
        other.write(b"other")
    assert target.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("mode", ["a", "ab", "r+", "x"])
def test_a_file_is_written_anew_or_not_at_all(tmp_path: Path, mode: Any) -> None:
    """Appending to a temporary file would lose what was there."""
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(AssertionError, match="written anew"), files.atomic_write(target, mode):
        pass
    assert target.read_text() == "old"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "a.txt", tmp_path / "link.txt"
    link.symlink_to(Path("far") / "a.txt")
    for text in ("made", "changed"):
        files.write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["far", "link.txt"]
    assert os.listdir(tmp_path / "far") == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize("bits", [0o600, 0o444, 0o755])
def test_an_existing_file_keeps_its_permissions(tmp_path: Path, bits: int) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(bits)
    files.write_text(target, "new")
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == bits


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_fresh_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("")
    files.write_text(tmp_path / "a.txt", "")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "other.txt").stat().st_mode


def test_an_error_names_the_wanted_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has heard of the temporary file."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(FileNotFoundError) as missing:
        files.write_text("runs/a.txt", "new")
    with pytest.raises(OSError) as folder:
        files.write_text("folder", "new")
    names = [caught.value.filename for caught in (missing, folder)]
    assert names == ["runs/a.txt", "folder"]
    assert os.listdir() == ["folder"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, files.atomic_write(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.txt")


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no", "other.txt"), OSError("odd")])
def test_other_errors_in_the_block_stay_as_they_are(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as caught, files.atomic_write(tmp_path / "a.txt"):
        raise error
    assert caught.value is error


@pytest.mark.skipif(os.name != "posix", reason="only POSIX folders can be flushed")
@pytest.mark.parametrize(("number", "refused"), [("EINVAL", False), ("ENOTSUP", False), ("EIO", True)])
def test_a_folder_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, refused: bool
) -> None:
    """Some file systems cannot, which is no error; a real error is told, and the file is in place."""
    fsync = os.fsync

    def flush(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(getattr(errno, number), number)
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", flush)
    with pytest.raises(OSError, match="EIO") if refused else contextlib.nullcontext():
        files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@given(value=JSON)
def test_json_comes_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    files.write_json(path, value)
    assert files.read_json(path) == value


def test_json_is_written_for_people(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"z": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "z": 1,\n  "a": "é"\n}\n'


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        files.read_json(tmp_path / "run.json")
    assert str(caught.value) == f"{tmp_path / 'run.json'} is missing"


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe{}"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        files.read_json(path)
    assert str(caught.value).startswith(f"{path} is damaged: not valid JSON (")


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 5000])
def test_json_that_python_refuses_is_damaged_too(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(RunFolderError, match="is damaged: not valid JSON"):
        files.read_json(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse a folder in other words")
def test_a_folder_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        files.read_json(tmp_path)
    assert str(caught.value) == f"{tmp_path} cannot be read: Is a directory"


def test_json_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", locked)
    with pytest.raises(RunFolderError) as caught:
        files.read_json(tmp_path / "run.json")
    assert str(caught.value) == f"{tmp_path / 'run.json'} cannot be read: Permission denied"


def test_a_name_that_is_not_utf8_is_written_as_an_escape(tmp_path: Path) -> None:
    """Such names reach us as lone surrogates, and the file must be JSON for everybody."""
    name = b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    files.write_json(tmp_path / "a.json", {"é": name})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "é": "caf\\udce9.txt"\n}\n'.encode()
    assert files.read_json(tmp_path / "a.json") == {"é": name}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_written(tmp_path: Path, number: float) -> None:
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match=r"a\.json cannot be written as JSON: Out of range float"):
        files.write_json(tmp_path / "a.json", {"loss": number})
    assert files.read_json(tmp_path / "a.json") == 1


def test_sha256() -> None:
    assert files.sha256(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert files.sha256(memoryview(b"xabcx")[1:4]) == files.sha256(b"abc")
