from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.base.errors import TextError
from hornbook.corpus.ledger import Step
from hornbook.corpus.readers import admit, read_text


def dropped(step: Step) -> dict[str, int]:
    return {reason: entry.count.documents for reason, entry in step.dropped.items()}


def test_a_folder_is_read_in_sorted_order_with_relative_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ["z.txt", "b/two.md", "b/one.txt", "a.txt"]:
        (tmp_path / name).write_text(f"text of {name}")
    documents = list(read_text(tmp_path))
    assert [document.source for document in documents] == ["a.txt", "z.txt", "b/one.txt", "b/two.md"]
    assert documents[2].text == "text of b/one.txt"


def test_names_are_relative_to_the_folder_all_inputs_share(tmp_path: Path) -> None:
    for name in ["x", "y"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.txt").write_text(name)
    sources = [d.source for d in read_text([tmp_path / "x", tmp_path / "y" / "same.txt"])]
    assert sources == ["x/same.txt", "y/same.txt"]
    assert [d.source for d in read_text(tmp_path / "x" / "same.txt")] == ["same.txt"]


def test_globs(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ["a.txt", "b.md", "deep/c.txt"]:
        (tmp_path / name).write_text(name)
    assert [d.source for d in read_text(f"{tmp_path}/**/*.txt")] == ["a.txt", "deep/c.txt"]
    step = Step("read")
    assert [d.source for d in read_text(f"{tmp_path}/**", step)] == ["a.txt", "b.md", "deep/c.txt"]
    assert not step.dropped


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("text")
    assert [d.source for d in read_text(tmp_path / "a[1].txt")] == ["a[1].txt"]


def test_a_byte_order_mark_and_carriage_returns_go_and_are_booked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    step = Step("read")
    (document,) = read_text(tmp_path, step)
    assert document.text == "one\ntwo\nthree\n"
    assert step.dropped["byte order marks and carriage returns"].count.bytes == 4
    assert step.balanced()


def test_what_is_not_text_is_left_out_with_its_reason(tmp_path: Path) -> None:
    files = {
        "good.txt": b"text",
        "latin.txt": "déjà vu".encode("latin-1"),
        "wide.txt": "text".encode("utf-16"),
        "image.png": b"\x89PNG\0\0",
        "nothing.txt": b"",
        "blank.txt": b" \n\t\n",
        ".secret": b"text",
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    for folder in [".git", "__pycache__", "env"]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file.txt").write_text("not wanted")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = somewhere")
    step = Step("read")
    assert [document.source for document in read_text(tmp_path, step)] == ["good.txt"]
    assert dropped(step) == {
        "not UTF-8": 2,
        "binary": 1,
        "empty": 2,
        "with a name that begins with a dot": 2,
        "in a folder of installed or compiled files": 3,
    }
    assert step.balanced()
    assert step.entered.bytes == sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
    assert step.dropped["not UTF-8"].examples.to_list()[0]["excerpt"] == "d\ufffdj\ufffd vu"


def test_too_large_a_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("x" * 11)
    (tmp_path / "small.txt").write_text("x" * 10)
    step = Step("read")
    assert [d.source for d in read_text(tmp_path, step, max_file_bytes=10)] == ["small.txt"]
    assert dropped(step) == {"larger than 10 bytes": 1}
    assert step.balanced()


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    step = Step("read")
    assert len(list(read_text([tmp_path, tmp_path / "a.txt"], step))) == 1
    assert dropped(step) == {"named twice": 1}


def test_the_excluded_folder_is_passed_over(tmp_path: Path) -> None:
    for name in ["in", "out"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    assert [d.source for d in read_text(tmp_path, exclude=tmp_path / "out")] == ["in/a.txt"]
    assert [d.source for d in read_text(f"{tmp_path}/*", exclude=tmp_path / "out")] == ["in/a.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_links_and_pipes_do_not_trap_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    step = Step("read")
    assert [d.source for d in read_text(tmp_path, step)] == ["a.txt"]
    assert dropped(step) == {"a link to a folder": 1, "unreadable": 1, "not a regular file": 1}
    assert step.balanced()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_files_and_folders_without_permission_are_booked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "locked.txt").write_text("text")
    (tmp_path / "locked.txt").chmod(0)
    (tmp_path / "closed").mkdir(mode=0)
    step = Step("read")
    assert [d.source for d in read_text(tmp_path, step)] == ["a.txt"]
    assert dropped(step) == {"unreadable": 2}


def test_a_read_that_fails_costs_that_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "locked.txt").write_text("text")
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "locked.txt":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    step = Step("read")
    assert [d.source for d in read_text(tmp_path, step)] == ["a.txt"]
    assert step.dropped["unreadable"].examples.to_list() == [
        {"source": "locked.txt", "excerpt": "Permission denied"}
    ]
    assert step.balanced()


def test_an_input_that_does_not_exist_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"there is no file or folder '.*gone'; give a text file"):
        read_text(tmp_path / "gone")
    with pytest.raises(TextError, match=r"the glob '.*gone/\*.txt' matches nothing"):
        read_text(f"{tmp_path}/gone/*.txt")
    with pytest.raises(TextError, match="no input was given"):
        read_text([])


def test_an_input_without_text_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="there are no files in"):
        list(read_text(tmp_path))
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(b"\0")
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    with pytest.raises(TextError, match=r"there is no text in .*\(3 binary, 1 not UTF-8\)"):
        list(read_text(tmp_path))


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
def test_admitted_bytes_add_up(raw: bytes) -> None:
    step = Step("read")
    document = admit(raw, "a", step)
    assert step.balanced()
    assert step.entered.bytes == len(raw)
    if document is not None:
        assert "\r" not in document.text
        assert not document.text.startswith("\ufeff") or raw.startswith(b"\xef\xbb\xbf" * 2)
        assert step.left.bytes == document.n_bytes
