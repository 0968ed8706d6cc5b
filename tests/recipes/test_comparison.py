"""Runs beside each other: what parts them, what differs, what can be said, and what cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from recipes.pages import Page
from recipes.some_runs import some_run

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.recipes.comparison import differing, grouped, read_runs, verdicts
from hornbook.recipes.comparison_page import render, write_comparison
from hornbook.recipes.comparison_story import conclusions

ADAMW = "train.optimizer=adamw"


def four(place: Path, *more: str) -> list[Path]:
    """Two seeds of Muon, and two of AdamW that do worse."""
    return [
        some_run(place / "muon-0", *more, bits=1.50),
        some_run(place / "muon-1", "seed=1", *more, bits=1.51),
        some_run(place / "adamw-0", ADAMW, *more, bits=1.60),
        some_run(place / "adamw-1", ADAMW, "seed=1", *more, bits=1.62),
    ]


def said(folders: list[Path]) -> str:
    runs = read_runs(folders)
    return "\n".join(conclusions(grouped(runs), runs))


def test_seeds_and_what_only_watches_part_no_runs(tmp_path: Path) -> None:
    runs = read_runs(
        [
            some_run(tmp_path / "a"),
            some_run(tmp_path / "b", "seed=3", "train.tensorboard=true", "train.save_every=7"),
            some_run(tmp_path / "c", "train.steps=120", "train.profile={}"),
            some_run(tmp_path / "d", "train.compile=always"),
        ]
    )
    groups = grouped(runs)
    assert [[run.files.folder.name for run in group.runs] for group in groups] == [["a", "b", "d"], ["c"]]
    assert [group.letter for group in groups] == ["A", "B"]


def test_rounding_parts_runs_where_nothing_else_does(tmp_path: Path) -> None:
    runs = read_runs([some_run(tmp_path / "a"), some_run(tmp_path / "b", "train.compile=always")])
    groups = grouped(runs)
    assert len(groups) == 2 and differing(groups) == {"train.compile": ["auto", "always"]}


def test_code_and_machine_part_runs_where_no_setting_does(tmp_path: Path) -> None:
    """A change of code is tried with the same configuration and the same seed."""
    groups = grouped(
        read_runs([some_run(tmp_path / "a"), some_run(tmp_path / "b", git_commit="beefbee", bits=1.4)])
    )
    assert differing(groups) == {"run.json: git_commit": ["4f1c2e9", "beefbee"]}


def test_settings_differ_by_the_names_that_overrides_have(tmp_path: Path) -> None:
    runs = read_runs(
        [
            some_run(tmp_path / "a", "train.max_grad_norm=1.0"),
            some_run(tmp_path / "b", ADAMW, "train.optimizer.learning_rate=0.003"),
            some_run(tmp_path / "c", 'train.average={"decay": 0.9}', "seed=5"),
        ]
    )
    table = differing(grouped(runs))
    assert table["train.optimizer"] == ["muon", "adamw", "muon"]
    assert table["train.optimizer.learning_rate"] == ["0.02", "0.003", "0.02"]
    assert table["train.max_grad_norm"] == ["1.0", "null", "null"]
    assert table["train.average.decay"] == ["—", "—", "0.9"]
    # Neither what only one kind has, nor the empty place of a part, nor the seed.
    assert set(table) - {"train.optimizer.weight_decay"} == {
        "train.optimizer", "train.optimizer.learning_rate", "train.max_grad_norm", "train.average.decay",
    }  # fmt: skip


def test_two_seeds_each_can_be_told_from_chance(tmp_path: Path) -> None:
    sentence = said(four(tmp_path))
    assert sentence.startswith(
        "B needs 0.1050 bits per byte more than A on average, more than chance explains"
    )
    interval = re.search(
        r"difference ([+-][0-9.]+) to ([+-][0-9.]+); Welch's t-test, p ([0-9.]+), 2 and 2 seeds", sentence
    )
    assert interval and 0 < float(interval[1]) < 0.105 < float(interval[2]) and float(interval[3]) < 0.05


def test_what_scatters_much_is_left_to_chance(tmp_path: Path) -> None:
    folders = [
        some_run(tmp_path / "a", bits=1.40),
        some_run(tmp_path / "b", "seed=1", bits=1.60),
        some_run(tmp_path / "c", ADAMW, bits=1.45),
        some_run(tmp_path / "d", ADAMW, "seed=1", bits=1.62),
    ]
    assert "on average, no more than chance explains (95%" in said(folders)


def test_one_pair_cannot_tell_a_cause_from_chance(tmp_path: Path) -> None:
    a, b = some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, bits=1.4)
    sentence = said([a, b])
    assert sentence.startswith("B needs 0.1000 bits per byte less than A. Whether that is more than chance")
    assert "One pair cannot tell a cause from chance" in sentence and "seed=1" in sentence
    assert "Welch" not in sentence


def test_the_same_draw_again_is_no_second_seed(tmp_path: Path) -> None:
    folders = [*four(tmp_path), some_run(tmp_path / "again", bits=1.5)]
    assert "2 runs of A have the seed 0: they are the same draw again" in said(folders)


def test_many_pairs_have_a_warning(tmp_path: Path) -> None:
    more = [some_run(tmp_path / f"c{i}", "train.steps=200", f"seed={i}", bits=1.4 + i / 100) for i in (0, 1)]
    assert said([*four(tmp_path), *more]).count("Welch's t-test") == 2
    assert "Each p is for its own pair" in said([*four(tmp_path / "x"), *more])
    assert "Each p is for its own pair" not in said(four(tmp_path / "y"))


def test_other_tokenizers_are_compared_in_bits_per_byte(tmp_path: Path) -> None:
    folders = [
        some_run(tmp_path / "a"),
        some_run(tmp_path / "b", "tokenizer.vocab_size=512", tokenizer='{"other": 1}', bits=1.4),
    ]
    sentence = said(folders)
    assert sentence.startswith("Where tokenizers differ, runs are compared in bits per byte, which no")
    assert "B needs 0.1000 bits per byte less" in sentence
    assert "nats per token are not of one measure" in render(read_runs(folders))


def only_losses(folder: Path) -> Path:
    """The run as one that has no bits per byte, neither in its curves nor in the end."""
    for name in ("metrics.jsonl", "results.json"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace('"bits_per_byte"', '"else"'), encoding="utf-8")
    return folder


def test_each_difference_is_in_the_unit_of_its_pair(tmp_path: Path) -> None:
    third = only_losses(some_run(tmp_path / "c", "train.steps=200", bits=1.3))
    sentences = said([some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, bits=1.4), third])
    assert "B needs 0.1000 bits per byte less than A" in sentences
    assert "C needs 0.4000 nats per token less than A" in sentences


def test_other_tokenizers_without_bits_per_byte_are_not_compared(tmp_path: Path) -> None:
    other = some_run(tmp_path / "b", "tokenizer.vocab_size=512", tokenizer='{"other": 1}')
    sentence = said([some_run(tmp_path / "a"), only_losses(other)])
    assert sentence.startswith("A and B cannot be compared: ")
    assert sentence.endswith("b have different tokenizers, and not all have bits per byte.")


def test_a_run_without_an_end_in_the_unit_of_its_curves_is_not_compared(tmp_path: Path) -> None:
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, held_out={"bits_per_byte": None})]
    assert said(folders).endswith(f"{folders[1]} was not measured in bits per byte at its end.")


@pytest.mark.parametrize(
    ("known", "same"),
    [
        ({"text": "ffff"}, False),
        ({"text": None}, True),
        ({"text": None, "documents": 8}, False),
        ({"text": None, "yardsticks": {"gzip": 2.2, "xz": 1.8}}, False),
        ({"text": None, "documents": None, "yardsticks": {}}, False),
    ],
)
def test_other_held_out_text_is_never_compared(known: dict[str, Any], same: bool, tmp_path: Path) -> None:
    """Runs of an older version know no checksum of the text: then its size and its compressors tell."""
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, bits=1.4, held_out=known)]
    (verdict,) = verdicts(grouped(read_runs(folders)))
    assert (verdict.difference is not None) == same
    assert same or "were measured on different held-out text" in said(folders)


def test_other_parts_of_one_text_are_other_text(tmp_path: Path) -> None:
    known = {"text": "ffff", "documents": 5, "of_documents": 9}
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, held_out=known)]
    assert said(folders).endswith("held-out text (train.evaluation_tokens=null measures on all there is).")


def test_models_that_are_asked_for_other_things_are_not_compared(tmp_path: Path) -> None:
    a, b, c = (some_run(tmp_path / name) for name in "abc")
    for folder, objective in ((b, {"kind": "masked"}), (c, {"kind": "masked", "share": 0.4})):
        config = json.loads((folder / "config.json").read_text())
        config["model"]["kind"], config["train"]["objective"] = "masked_lm", objective
        (folder / "config.json").write_text(json.dumps(config))
    assert "were asked for different things" in said([a, b])
    assert "were asked for different things" in said([b, c])


def test_a_run_that_has_not_ended_is_drawn_and_not_judged(tmp_path: Path) -> None:
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, finished=False)]
    assert said(folders).endswith(
        f"A and B cannot be compared: {folders[1]} was not measured at its end: it is interrupted at step 50 "
        "of 100."
    )
    page = Page(render(read_runs(folders)))
    assert page.chapters == ["curves", "runs", "settings", "verdict"]
    assert "interrupted at step 50 of 100" in page.words


def test_a_finished_run_that_goes_on_has_no_end_yet(tmp_path: Path) -> None:
    """Its results are there, and they are those of fewer steps."""
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", ADAMW, status="running")]
    assert "was not measured at its end: it is running, or killed, at step 100 of 100" in said(folders)


def test_one_configuration_is_nothing_to_compare(tmp_path: Path) -> None:
    folders = [some_run(tmp_path / "a"), some_run(tmp_path / "b", "seed=1", bits=1.6)]
    assert said(folders) == "All runs are of one configuration: what differs between them is chance."
    assert Page(render(read_runs(folders))).chapters == ["curves", "runs", "verdict"]


def test_a_config_of_another_version_is_compared_as_it_stands(tmp_path: Path) -> None:
    a, b = some_run(tmp_path / "a"), some_run(tmp_path / "b")
    config = json.loads((b / "config.json").read_text())
    config["train"]["forgotten"] = 3
    (b / "config.json").write_text(json.dumps(config))
    assert differing(grouped(read_runs([a, b]))) == {"train.forgotten": ["—", "3"]}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    run, bare = some_run(tmp_path / "run"), some_run(tmp_path / "bare")
    (bare / "metrics.jsonl").unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        RunFolderError, match=r"empty/config\.json is missing: it is empty or not a run folder"
    ):
        read_runs([run, tmp_path / "empty"])
    with pytest.raises(RunFolderError, match=r"nowhere/config\.json is missing: there is no such folder"):
        read_runs([run, tmp_path / "nowhere"])
    with pytest.raises(RunFolderError, match=r"bare has no measurements in metrics\.jsonl; nothing can be"):
        read_runs([run, bare])
    with pytest.raises(ConfigError, match=r"run and .*run are one run; give each run once"):
        read_runs([run, tmp_path / "bare" / ".." / "run"])


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    runs = read_runs(four(tmp_path))
    text = render(runs)
    page = Page(text)
    assert page.chapters == ["curves", "runs", "settings", "verdict"]
    assert not [
        value for name, value in page.attributes if name in ("src", "href") and not value.startswith("#")
    ]
    assert text.count('class="line run colour0"') == text.count('class="line run colour1"') == 6
    assert text.count('class="line dots run colour1"') == 6
    for words in (
        "muon-0",
        "adamw-1",
        "train.optimizer",
        "Welch",
        "1.5000",
        "409,600",
        "12 s",
        "1.23 million",
    ):
        assert words in page.words, words
    assert render(runs) == text


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    folders = [some_run(tmp_path / "<b>bold"), some_run(tmp_path / "other", ADAMW)]
    assert "<b>bold" in Page(render(read_runs(folders))).words


def test_the_page_replaces_only_its_like(tmp_path: Path) -> None:
    runs = read_runs(four(tmp_path / "runs"))
    out = tmp_path / "pages" / "compared.html"
    write_comparison(runs, out)
    write_comparison(runs, out)
    (tmp_path / "letter.html").write_text("dear")
    with pytest.raises(RunFolderError, match="is no comparison of runs; it stays as it is"):
        write_comparison(runs, tmp_path / "letter.html")
    with pytest.raises(RunFolderError, match="is a folder; give a file"):
        write_comparison(runs, tmp_path)
