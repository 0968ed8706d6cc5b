"""Laws from run folders: read, fitted, written, drawn; folders that tell no law are refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from recipes.pages import Page

from hornbook.base.config import to_dict
from hornbook.base.errors import RunFolderError, TextError
from hornbook.checkpoint.tensors import save_tensors
from hornbook.model.count import matrix_parameters, on_meta
from hornbook.plan.law_file import read_law
from hornbook.plan.scaling import Law
from hornbook.recipes.law_runs import fit_law
from hornbook.recipes.shapes import resolve

LAW = Law(E=2.0, A=60.0, B=900.0, alpha=0.4, beta=0.5)


def finished_run(
    folder: Path,
    size: int,
    tokens: int,
    *,
    vocabulary: str = "one",
    n_bytes: int = 1000,
    text: str | None = None,
    path: str = "texts/books",
) -> Path:
    """A folder as a finished run leaves it, with the loss that the law gives."""
    folder.mkdir(parents=True)
    config = resolve("llama-style", [f"size={size}", f"data.path={path}"])
    loss = LAW.loss(matrix_parameters(on_meta(config.model)), tokens)
    held_out: dict[str, object] = {"loss": loss, "bits_per_byte": loss / (3 * math.log(2)), "bytes": n_bytes}
    held_out |= {} if text is None else {"text": text}
    files = {
        "config.json": to_dict(config),
        "run.json": {"status": "finished"},
        "results.json": {"held_out": held_out},
        "tokenizer.json": {"name": vocabulary},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), "utf-8")
    (folder / "metrics.jsonl").write_text(json.dumps({"kind": "train", "step": 1, "tokens": tokens}) + "\n")
    save_tensors(folder / "model.safetensors", {"x": torch.zeros(1)}, {})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("ladder")
    return [
        finished_run(root / f"{size}-{tokens}", size, tokens)
        for size in (200_000, 1_000_000, 4_000_000)
        for tokens in (500_000, 2_000_000, 8_000_000)
    ]


def test_a_law_is_fitted_written_and_read_again(runs: list[Path], tmp_path: Path) -> None:
    fitted = fit_law(runs, tmp_path / "law.json")
    assert fitted.law.loss(10**6, 4 * 10**6) == pytest.approx(LAW.loss(10**6, 4 * 10**6), rel=1e-3)
    read = read_law(tmp_path / "law.json")
    assert read.file == fitted.file and read.file is not None
    assert (read.bytes_per_token, read.file.text, len(read.file.runs)) == (3.0, "books", 9)
    assert read.span.tokens == (500_000, 8_000_000)
    assert fit_law(runs, tmp_path / "law.json").law == fitted.law


def test_the_page_loads_nothing_and_shows_every_run(runs: list[Path], tmp_path: Path) -> None:
    fit_law(runs, tmp_path / "law.json")
    html = (tmp_path / "law.html").read_text("utf-8")
    assert html.count('class="line dots') == 3 and html.count('class="line law') == 3
    assert all(run.name in html for run in runs)
    page = Page(html)
    assert page.chapters == ["curves", "split", "runs"]
    assert not any(name in ("src", "href") and "//" in value for name, value in page.attributes)


def test_what_tells_no_law_is_refused(runs: list[Path], tmp_path: Path) -> None:
    law = tmp_path / "law.json"
    with pytest.raises(RunFolderError, match="is no run folder; a law is fitted to finished runs"):
        fit_law([tmp_path], law)
    with pytest.raises(TextError, match="wants 6 runs or more; 2 are given"):
        fit_law(runs[:2], law)
    other = finished_run(tmp_path / "other", 200_000, 10**6, vocabulary="another")
    with pytest.raises(
        TextError, match="and other have different vocabularies, so their losses do not compare"
    ):
        fit_law([*runs, other], law)
    shorter = finished_run(tmp_path / "shorter", 200_000, 10**6, n_bytes=999)
    with pytest.raises(TextError, match="and shorter have different held-out texts"):
        fit_law([*runs, shorter], law)
    first, second = (finished_run(tmp_path / name, 200_000, 10**6, text=name) for name in ("one", "two"))
    with pytest.raises(TextError, match="one and two have different held-out texts"):
        fit_law([*runs, first, second], law)
    elsewhere = finished_run(tmp_path / "elsewhere", 200_000, 10**6, path="texts/code")
    with pytest.raises(TextError, match="and elsewhere have different texts to learn from"):
        fit_law([*runs, elsewhere], law)
    (tmp_path / "encoder").mkdir()
    encoder = finished_run(tmp_path / "encoder" / "run", 200_000, 10**6)
    (encoder / "config.json").write_text(json.dumps(to_dict(resolve("bert-small"))), "utf-8")
    with pytest.raises(TextError, match="run does not predict the next token"):
        fit_law([encoder], law)
    assert not law.exists()


def test_what_is_no_law_is_neither_read_nor_replaced(runs: list[Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text("{}")
    with pytest.raises(RunFolderError, match=r"mine\.json is no law; hornbook plan fit RUN"):
        read_law(mine)
    with pytest.raises(RunFolderError, match=r"mine\.json exists and is no law; it stays as it is"):
        fit_law(runs, mine)
    with pytest.raises(RunFolderError, match=r"runs is to be a law, a file such as .*runs\.json"):
        fit_law(runs, tmp_path / "runs")
    assert mine.read_text() == "{}"
