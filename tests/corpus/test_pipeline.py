from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.base.errors import ConfigError, RunFolderError, TextError
from hornbook.corpus import folder, pipeline
from hornbook.corpus.pipeline import build_corpus, read_corpus, read_ledger


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of 200 small texts, one of them a copy, and a binary file."""
    place = tmp_path / "texts"
    place.mkdir()
    for number in range(200):
        (place / f"{number:03d}.txt").write_text(f"Text number {number}.\n" * 20)
    (place / "copy.txt").write_text("Text number 7.\r\n" * 20, newline="")
    (place / "picture.png").write_bytes(b"\x89PNG\0")
    return place


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_files_become_a_corpus_folder(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    ledger = build_corpus(texts, out)
    assert sorted(files(out)) == [
        "held_out/documents-00000.jsonl.zst",
        "ledger.json",
        "train/documents-00000.jsonl.zst",
    ]
    assert read_ledger(out) == ledger.to_dict()
    train, held_out = list(read_corpus(out)), list(read_corpus(out, "held_out"))
    assert len(train) + len(held_out) == 200
    assert {document.source for document in train + held_out} == {
        f"{number:03d}.txt" for number in range(200)
    }
    assert 0.02 <= ledger.parts["held_out"].count.bytes / ledger.out.bytes <= 0.06
    assert [step.name for step in ledger.steps] == ["read", "deduplicate", "hold out"]
    assert ledger.steps[0].entered.bytes == sum(path.stat().st_size for path in texts.iterdir())
    assert len(ledger.to_dict()["kept_examples"]) == 10


def test_the_same_input_gives_the_same_bytes(texts: Path, tmp_path: Path) -> None:
    build_corpus(str(texts), tmp_path / "a")
    build_corpus(str(texts), tmp_path / "b")
    build_corpus(str(texts), tmp_path / "c", seed=1)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


@settings(max_examples=30)
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), max_size=8))
def test_the_ledger_adds_up_to_the_byte(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "texts")
        place.mkdir()
        (place / "enough.txt").write_text("enough text to be split\n" * 10)
        for number, raw in enumerate(contents):
            (place / f"{number}.txt").write_bytes(raw)
        books = build_corpus(place, Path(name, "corpus")).to_dict()
        entered = sum(path.stat().st_size for path in place.iterdir())
        lost = sum(entry["bytes"] for step in books["steps"] for entry in step["dropped"])
        on_disk = [d for part in ("train", "held_out") for d in read_corpus(Path(name, "corpus"), part)]
        assert entered - lost == books["out"]["bytes"] == sum(document.n_bytes for document in on_disk)
        assert books["out"]["documents"] == len(on_disk)


def test_one_file_is_cut_and_the_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("A line of the book.\n" * 1000)
    ledger = build_corpus(tmp_path / "book.txt", tmp_path / "corpus")
    step = ledger.to_dict()["steps"][-1]
    assert step["in"] == {"documents": 1, "bytes": 20_000}
    assert step["out"] == {"documents": 2, "bytes": 20_000}
    assert step["added"][0]["reason"] == "cut in two, the tail held out"
    assert step["note"] == "The last 4.0% or so of each large document are held out from training."
    (held_out,) = read_corpus(tmp_path / "corpus", "held_out")
    assert held_out.source == "book.txt#tail"


def test_the_python_library_and_own_text_mix(tmp_path: Path, texts: Path) -> None:
    ledger = build_corpus(["python", texts], tmp_path / "corpus")
    assert ledger.inputs[0].startswith("python 3.")
    sources = {document.source for document in read_corpus(tmp_path / "corpus")}
    assert "python/lib/argparse.py" in sources or "python/lib/shlex.py" in sources
    assert sources & {f"{number:03d}.txt" for number in range(200)}


def test_progress_is_told_while_reading_and_while_writing(texts: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None, note: str = "") -> None:
        told.append((done, total))

    build_corpus(texts, tmp_path / "corpus", progress=progress)
    assert told == [(n, None) for n in range(1, 201)] + [(n, 200) for n in range(1, 201)]


def test_a_finished_corpus_is_replaced_only_when_asked(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    build_corpus(texts, out)
    before = files(out)
    with pytest.raises(RunFolderError, match="already holds a corpus"):
        build_corpus(texts, out)
    assert files(out) == before
    (texts / "more.txt").write_text("one text more, and a few words")
    (out / "train" / "notes.txt").write_text("somebody's notes")
    build_corpus(texts, out, overwrite=True)
    assert read_ledger(out)["out"]["documents"] == 201
    assert (out / "train" / "notes.txt").read_text() == "somebody's notes"


def test_other_peoples_files_are_in_the_way_and_never_deleted(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    (out / "train").mkdir(parents=True)
    (out / "thesis.txt").write_text("mine")
    (out / "train" / "timetable.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds other files \(thesis.txt, train/timetable.txt\)"):
        build_corpus(texts, out)
    build_corpus(texts, out, overwrite=True)
    assert (out / "thesis.txt").read_text() == (out / "train" / "timetable.txt").read_text() == "mine"


def test_a_foreign_ledger_or_a_file_in_the_way_stops_even_overwriting(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "accounts"
    out.mkdir()
    (out / "ledger.json").write_text('{"owed": 5}')
    with pytest.raises(RunFolderError, match=r"ledger\.json is not ours; move it away"):
        build_corpus(texts, out, overwrite=True)
    assert (out / "ledger.json").read_text() == '{"owed": 5}'
    with pytest.raises(RunFolderError, match="is a file; give a folder"):
        build_corpus(texts, out / "ledger.json", overwrite=True)


def test_a_corpus_may_lie_inside_its_input(texts: Path) -> None:
    build_corpus(texts, texts / "corpus")
    first = files(texts / "corpus")
    build_corpus(texts, texts / "corpus", overwrite=True)
    assert files(texts / "corpus") == first


def test_a_failed_build_leaves_nothing_new_and_the_old_corpus_whole(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "a.txt").write_text("hello")
    with pytest.raises(TextError, match="5 bytes of text are too few"):
        build_corpus(tmp_path / "tiny", tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
    build_corpus(texts, tmp_path / "corpus")
    before = files(tmp_path / "corpus")
    with pytest.raises(TextError, match="too few"):
        build_corpus(tmp_path / "tiny", tmp_path / "corpus", overwrite=True)
    with pytest.raises(TextError, match="no file or folder"):
        build_corpus(tmp_path / "gone", tmp_path / "corpus", overwrite=True)
    assert files(tmp_path / "corpus") == before


def test_a_full_disk_is_one_sentence_and_the_old_corpus_stays(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_corpus(texts, tmp_path / "corpus")
    before = files(tmp_path / "corpus")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline, "write_shards", full)
    with pytest.raises(RunFolderError, match=r"cannot write the corpus to .*: No space left on device"):
        build_corpus(texts, tmp_path / "corpus", overwrite=True)
    assert files(tmp_path / "corpus") == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_after_a_kill_the_next_build_starts_over(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    code = (
        "import os, signal, sys; from hornbook.corpus.pipeline import build_corpus\n"
        "def die(done, total, note=''):\n"
        "    if total and done == 150: os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_corpus(sys.argv[1], sys.argv[2], progress=die)"
    )
    root = str(Path(pipeline.__file__).parents[2])
    command = [sys.executable, "-c", code, str(texts), str(out)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": root})
    assert killed.returncode == -signal.SIGKILL
    assert (out / folder.BUILDING).is_dir()
    with pytest.raises(RunFolderError, match="is no finished corpus"):
        read_corpus(out)
    build_corpus(texts, out)
    build_corpus(texts, tmp_path / "fresh")
    assert files(out) == files(tmp_path / "fresh")


def test_what_is_wrong_with_a_corpus_folder_is_told(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(RunFolderError, match="is no finished corpus"):
        read_corpus(out)
    build_corpus(texts, out)
    with pytest.raises(ConfigError, match="no part 'trian', did you mean 'train'"):
        read_corpus(out, "trian")  # type: ignore[arg-type]
    (out / "train" / "documents-00000.jsonl.zst").unlink()
    with pytest.raises(RunFolderError, match=r"documents-00000\.jsonl\.zst is missing"):
        list(read_corpus(out))
    (out / "ledger.json").write_text('{"format": 99}')
    with pytest.raises(RunFolderError, match="has format 99, not 1"):
        read_ledger(out)


def test_a_share_that_cannot_be_is_told_before_any_work(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"at most 0\.25, not 0\.9"):
        build_corpus(texts, tmp_path / "corpus", held_out_share=0.9)
    assert not (tmp_path / "corpus").exists()


def test_real_books_make_a_corpus(real_data: Path, tmp_path: Path) -> None:
    ledger = build_corpus(f"{real_data}/gutenberg/**/*.txt", tmp_path / "corpus")
    assert ledger.out.bytes > 10_000_000
    assert 0.02 <= ledger.parts["held_out"].count.bytes / ledger.out.bytes <= 0.06


def test_a_web_crawl_is_no_plain_text_and_all_of_it_is_booked(real_data: Path, tmp_path: Path) -> None:
    crawl = real_data / "web_crawl"
    ledger = build_corpus(crawl, tmp_path / "corpus")
    on_disk = sum(path.stat().st_size for path in crawl.rglob("*") if path.is_file())
    assert ledger.steps[0].entered.bytes == on_disk
    assert ledger.steps[0].dropped
