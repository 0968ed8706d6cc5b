"""Tokenizing in parallel: the same bytes whoever works and however often it is broken off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hornbook.base.errors import ConfigError, HornbookError, Interrupted, RunFolderError, TextError
from hornbook.base.files import read_json, sha256
from hornbook.corpus import portions
from hornbook.corpus.pipeline import build_corpus, read_corpus
from hornbook.data import tokenize as module
from hornbook.data.processes import work_on
from hornbook.data.shards import TokenShards
from hornbook.data.tokenize import tokenize
from hornbook.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["one and two is three, row by row"] * 3, vocab_size=270)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """60 rows and 5 files, cut into some ten portions by the tests."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [json.dumps({"text": f"row {i} and row {i * i}"}) + "\n" for i in range(60)]
    (folder / "a.jsonl").write_text("".join(rows))
    for i in range(5):
        (folder / f"{i}.txt").write_text(f"file {i} is one of five " * 20)
    return folder


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MIN_BYTES", 300)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def decoded(folder: Path, tokenizer: Tokenizer) -> list[str]:
    return [tokenizer.decode(ids[1:].tolist()) for ids in TokenShards(folder).documents()]


def run(text: Path, tokenizer: Tokenizer, out: Path, **options: Any) -> dict[str, Any]:
    return tokenize(text, tokenizer, out, **{"held_out_share": 0.2} | options)


def test_every_document_is_in_one_of_the_parts(text: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    facts = run(text, tokenizer, tmp_path / "out")
    wanted = [f"row {i} and row {i * i}" for i in range(60)] + [
        f"file {i} is one of five " * 20 for i in range(5)
    ]
    found = {part: decoded(tmp_path / "out" / part, tokenizer) for part in ("train", "held_out")}
    assert sorted(found["train"] + found["held_out"]) == sorted(wanted)
    assert facts == read_json(tmp_path / "out/tokens.json")
    assert {part: counts["documents"] for part, counts in facts["parts"].items()} == {
        part: len(texts) for part, texts in found.items()
    }
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "tokens.json", "tokenizer.json", "tokenizer_config.json", "train", "held_out",
    }  # fmt: skip
    fingerprint = sha256((tmp_path / "out/tokenizer.json").read_bytes())
    assert TokenShards(tmp_path / "out/train", fingerprint=fingerprint).counts.documents > 40


def test_what_is_held_out_depends_on_the_text_alone(text: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """Fewer files or more, another order: a document stays on its side, and a larger share only adds."""
    run(text, tokenizer, tmp_path / "all")
    (tmp_path / "some").mkdir()
    lines = (text / "a.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "some/z.jsonl").write_text("".join(reversed(lines[:30])))
    run(tmp_path / "some", tokenizer, tmp_path / "less")
    run(text, tokenizer, tmp_path / "more", held_out_share=0.5)
    every, fewer, larger = (
        set(decoded(tmp_path / name / "held_out", tokenizer)) for name in ("all", "less", "more")
    )
    assert fewer == every & {json.loads(line)["text"] for line in lines[:30]}
    assert every < larger


def test_two_processes_write_the_same_bytes(
    text: Path, tokenizer: Tokenizer, tmp_path: Path, small_portions: None
) -> None:
    told: list[tuple[int, int | None]] = []
    run(text, tokenizer, tmp_path / "one")
    run(
        text, tokenizer, tmp_path / "two", n_processes=2,
        progress=lambda done, total, note="": told.append((done, total)),
    )  # fmt: skip
    alone = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == alone
    assert len([name for name in alone if name.startswith("train/") and name.endswith(".tokens")]) > 5
    size = sum(path.stat().st_size for path in text.iterdir())
    assert told[0] == (0, size) and told[-1] == (size, size) and told == sorted(told)


def test_what_is_done_is_not_done_again(
    text: Path, tokenizer: Tokenizer, tmp_path: Path, small_portions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(text, tokenizer, tmp_path / "straight")
    read, n_read = portions.read_portion, 0

    def break_off(*arguments: Any) -> Any:
        nonlocal n_read
        n_read += 1
        if n_read in (4, 6):
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(module, "read_portion", break_off)
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped; type the same again to go on"):
            run(text, tokenizer, tmp_path / "broken")
        with pytest.raises(RunFolderError, match=r"header\.json is missing"):
            TokenShards(tmp_path / "broken/train")
    run(text, tokenizer, tmp_path / "broken")
    n_portions = len(
        {name.split("-")[0] for name in contents(tmp_path / "straight") if name.endswith(".tokens")}
    )
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")
    # Each portion once, and the two that were broken off once more.
    assert n_read <= len(portions.find_portions(text, module.Step("find"))) + 2 and n_portions > 5
    before, n_read = contents(tmp_path / "broken"), 100
    assert run(text, tokenizer, tmp_path / "broken") == read_json(tmp_path / "straight/tokens.json")
    assert n_read == 100 and contents(tmp_path / "broken") == before


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(text: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """And the workers of a process that is killed leave too."""
    with open(text / "b.jsonl", "w") as file:
        for i in range(10_000):
            file.write(json.dumps({"text": f"line {i} of many, one and two is three " * 6}) + "\n")
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\n"
        "from hornbook.corpus import portions\n"
        "from hornbook.data.tokenize import tokenize\n"
        "from hornbook.tokenizer import Tokenizer\n"
        "if __name__ == '__main__':\n"
        "    portions.MIN_BYTES = 100_000\n"
        "    tokenize(sys.argv[1], Tokenizer.load(sys.argv[2]), sys.argv[3], n_processes=2)\n"
    )
    tokenizer.save(tmp_path / "vocabulary")
    words = [sys.executable, str(script), str(text), str(tmp_path / "vocabulary")]
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    records = tmp_path / "killed" / module.UNFINISHED
    for enough in (1, 6):
        process = subprocess.Popen(
            [*words, str(tmp_path / "killed")], env=environment, start_new_session=True
        )
        while len(list(records.glob("0*.json"))) < enough:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        process.kill()
        process.wait()
        while group_is_alive(process.pid):
            time.sleep(0.05)
    subprocess.run([*words, str(tmp_path / "killed")], check=True, env=environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "MIN_BYTES", 100_000)
        tokenize(text, Tokenizer.load(tmp_path / "vocabulary"), tmp_path / "straight")
    killed, straight = contents(tmp_path / "killed"), contents(tmp_path / "straight")
    assert killed == straight and len(straight) > 60


def group_is_alive(leader: int) -> bool:
    """Whether a process, or one that it started, still runs."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_corpus_keeps_its_division(tokenizer: Tokenizer, text: Path, tmp_path: Path) -> None:
    build_corpus([text / "*.txt"], tmp_path / "corpus", held_out_share=0.2)
    tokenize(tmp_path / "corpus", tokenizer, tmp_path / "out")
    for part in ("train", "held_out"):
        wanted = [document.text for document in read_corpus(tmp_path / "corpus", part)]
        assert decoded(tmp_path / "out" / part, tokenizer) == wanted
    with pytest.raises(ConfigError, match="a corpus is divided already; leave --held-out away"):
        tokenize(tmp_path / "corpus", tokenizer, tmp_path / "other", held_out_share=0.1)


def test_another_job_is_not_mixed_in(text: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(text, tokenizer, out)
    before = contents(out)
    with pytest.raises(RunFolderError) as caught:
        run(text, tokenizer, out, held_out_share=0.3)
    assert str(caught.value) == (
        f"{out} holds the tokens of another job (other held out share); choose another --out, or delete it"
    )
    with pytest.raises(RunFolderError, match=r"another job \(other tokenizer\)"):
        run(text, Tokenizer.train(["other"] * 3, vocab_size=258), out)
    (text / "0.txt").write_text("changed")
    with pytest.raises(RunFolderError, match=r"another job \(other files\)"):
        run(text, tokenizer, out)
    assert contents(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("Dear diary,")
    with pytest.raises(RunFolderError, match="mine holds other files; choose another --out"):
        run(text, tokenizer, tmp_path / "mine")


def test_too_few_documents_are_told_and_leave_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a single text")
    with pytest.raises(
        TextError, match=r"either none or all of 1 documents are held out at a share of 0\.01"
    ):
        tokenize(tmp_path / "a.txt", tokenizer, tmp_path / "out")
    (tmp_path / "b.txt").write_text(" ")
    with pytest.raises(TextError, match=r"there is no text in .*b\.txt: nothing was written"):
        tokenize(tmp_path / "b.txt", tokenizer, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="must be above 0 and below 1, not 1"):
        tokenize(tmp_path / "a.txt", tokenizer, tmp_path / "out", held_out_share=1.0)


@pytest.mark.slow
def test_a_mistake_in_a_worker_is_told(tokenizer: Tokenizer, tmp_path: Path, small_portions: None) -> None:
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / f"in/{i}.jsonl").write_text('{"text": "fine"}\n{"text": broken}\n')
    with pytest.raises(TextError, match=r"\d\.jsonl, the line at byte 17 is not JSON"):
        tokenize(tmp_path / "in", tokenizer, tmp_path / "out", n_processes=2)


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(HornbookError, match="a worker process was killed"):
        list(work_on(os._exit, [1, 1], 2))


def test_left_out_documents_are_counted(text: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    (text / "b.jsonl").write_text('{"text": ""}\n{"text": null}\n')
    (text / "c.txt").write_bytes(b"\xff\xfe")
    assert run(text, tokenizer, tmp_path / "out")["left_out"] == {"empty": 2, "not UTF-8": 1}
