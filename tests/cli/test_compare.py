"""The verbs report and compare."""

from __future__ import annotations

from pathlib import Path

from recipes.some_runs import some_run
from recipes.tiny_runs import hornbook, inside


def test_a_report_is_written_anew_or_elsewhere(tmp_path: Path) -> None:
    some_run(tmp_path / "a", finished=False)
    with inside(tmp_path):
        assert hornbook("report", "a") == (0, "  The page is a/report.html; open it in a browser.\n", "")
        assert "interrupted at step 50" in Path("a/report.html").read_text(encoding="utf-8")
        assert hornbook("report", "a", "--out", "pages/a.html").code == 0
        assert Path("pages/a.html").read_bytes() == Path("a/report.html").read_bytes()


def test_a_report_of_several_lays_them_over_each_other(tmp_path: Path) -> None:
    some_run(tmp_path / "a")
    some_run(tmp_path / "b", "train.steps=200")
    with inside(tmp_path):
        said = hornbook("report", "a", "b")
        assert said == (0, "  The page is compared.html; open it in a browser.\n", "")
        assert "comparison of runs" in Path("compared.html").read_text(encoding="utf-8")
        assert not Path("a/report.html").exists()


def test_a_comparison_in_the_terminal(tmp_path: Path) -> None:
    for seed in (0, 1):
        some_run(tmp_path / f"[b]muon-{seed}", f"seed={seed}", bits=1.5 + seed / 100)
        some_run(tmp_path / f"adamw-{seed}", "train.optimizer=adamw", f"seed={seed}", bits=1.6 + seed / 100)
    with inside(tmp_path):
        said = hornbook("compare", "[b]muon-0", "adamw-0", "[b]muon-1", "adamw-1", "--out", "page.html")
        assert said.code == 0 and Path("page.html").exists()
    lines = [line.strip() for line in said.out.splitlines()]
    assert "A  [b]muon-0     0         1.5000          3.0000  409,600  12 s  1.23 million" in lines
    assert ["train.optimizer", "muon", "adamw"] in [line.split() for line in lines]
    words = " ".join(said.out.split())
    assert "B needs 0.1000 bits per byte more than A on average, more than chance explains (95%" in words
    assert words.endswith("The curves are in page.html; open it in a browser.")


def test_mistakes_are_told_in_a_sentence(tmp_path: Path) -> None:
    some_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with inside(tmp_path):
        for words, sentence in (
            (["compare", "a"], "beside what? give another run to compare a with; report shows one alone"),
            (["compare", "a", "a"], "a and a are one run; give each run once"),
            (
                ["report", "b"],
                "b/config.json is missing: it is empty or not a run folder; `hornbook quickstart` makes one",
            ),
            (["report", "a", "--out", "b"], "b is a folder; give a file for the page, such as b/report.html"),
        ):
            assert hornbook(*words) == (2, "", f"hornbook: {sentence}\n")
