"""One sitting of a run: what it writes, how it is left, and that it goes on bit for bit."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from train.conftest import Material
from train.whole_state import assert_same_run, logged_steps, measurements, read_state

from hornbook.base.errors import ConfigError, TextError
from hornbook.checkpoint.folder import RunFolder
from hornbook.train.fit import Fit
from hornbook.train.run import load


@pytest.fixture(scope="session")
def straight(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    assert material.fit(folder).run()
    return folder


class Killed(BaseException):
    """Stands for a kill at a certain moment: nothing in the program catches it."""


def killer(after: int) -> Any:
    """A listener that kills the run when it has heard so many lines."""
    heard = 0

    def listen(line: dict[str, Any]) -> None:
        nonlocal heard
        heard += 1
        if heard == after:
            raise Killed

    return listen


def test_a_run_writes_its_metrics_in_order(straight: Path) -> None:
    lines = [(line["kind"], line["step"]) for line in measurements(straight) if line["kind"] != "event"]
    wanted: list[tuple[str, int]] = []
    for step in range(1, 11):
        wanted += [("train", step)]
        wanted += [("validation", step), ("sample", step)] if step % 5 == 0 else []
    assert lines == wanted


def test_a_line_says_all_that_the_report_draws(straight: Path) -> None:
    lines = {line["kind"]: line for line in RunFolder(straight).read_metrics()}
    assert list(lines["train"]) == [
        "kind", "step", "tokens", "seconds", "loss", "bits_per_byte", "learning_rate", "grad_norm",
        "tokens_per_second", "mfu",
    ]  # fmt: skip
    assert list(lines["validation"]) == ["kind", "step", "loss", "bits_per_byte", "n_tokens", "n_bytes"]
    assert list(lines["sample"]) == ["kind", "step", "prompt", "text"]


def test_the_listener_hears_what_is_written(material: Material, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    material.fit(tmp_path / "run", listen=heard.append).run()
    assert heard == RunFolder(tmp_path / "run").read_metrics()


def test_the_saved_model_is_the_trained_one(material: Material, tmp_path: Path) -> None:
    fit = material.fit(tmp_path / "run")
    fit.run()
    run = load(tmp_path / "run", device="cpu")
    weights = dict(fit.state.model.named_parameters())
    assert all(torch.equal(weights[name], weight) for name, weight in run.model.named_parameters())
    assert not run.model.training
    assert run.config == fit.config


def test_the_same_seed_gives_the_same_bits(material: Material, straight: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    material.fit(tmp_path / "again").run()
    assert_same_run(tmp_path / "again", straight)


def test_another_seed_gives_another_model(material: Material, straight: Path, tmp_path: Path) -> None:
    material.fit(tmp_path / "other", material.config(seed=1)).run()
    ours, _ = read_state(tmp_path / "other")
    theirs, _ = read_state(straight)
    matrices = [name for name in theirs if name.startswith("model/") and theirs[name].ndim == 2]
    assert matrices and not any(torch.equal(ours[name], theirs[name]) for name in matrices)


@pytest.mark.slow
@settings(max_examples=8)
@given(kills=st.lists(st.integers(1, 13), max_size=4))
def test_killed_and_resumed_is_never_killed(material: Material, straight: Path, kills: list[int]) -> None:
    """Killed after any line of any sitting, with or without a save before: the same run in the end."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        for after in kills:
            fit = material.fit(folder, listen=killer(after))
            fit.resume()
            try:
                fit.run()
            except Killed:
                continue
        fit = material.fit(folder)
        fit.resume()
        assert fit.run()
        assert_same_run(folder, straight)
        assert logged_steps(folder) == list(range(1, 11))


def test_a_resume_stands_where_the_last_save_was_made(material: Material, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        material.fit(tmp_path / "run", listen=killer(9)).run()
    fit = material.fit(tmp_path / "run")
    assert fit.resume() == 6
    assert logged_steps(tmp_path / "run") == [1, 2, 3, 4, 5, 6]
    assert fit.state.tokens == 6 * 64


def test_a_resume_without_a_save_starts_from_the_beginning(material: Material, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        material.fit(tmp_path / "run", listen=killer(2)).run()
    assert material.fit(tmp_path / "run").resume() == 0
    assert logged_steps(tmp_path / "run") == []


def test_a_finished_run_resumes_to_itself(material: Material, straight: Path, tmp_path: Path) -> None:
    material.fit(tmp_path / "run").run()
    fit = material.fit(tmp_path / "run")
    assert fit.resume() == 10
    assert fit.run()
    assert_same_run(tmp_path / "run", straight)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_after_the_step(
    material: Material, straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """At step 4, where no save is due; the event is written, and the run goes on to the same bits."""

    def listen(line: dict[str, Any]) -> None:
        if line["kind"] == "train" and line["step"] == 4:
            signal.raise_signal(number)

    assert not material.fit(tmp_path / "run", listen=listen).run()
    facts = read_state(tmp_path / "run")[1]
    assert (facts["step"], facts["tokens"]) == (4, 256)
    event = RunFolder(tmp_path / "run").read_metrics()[-1]
    assert event == {"kind": "event", "step": 4, "text": "interrupted; everything is saved"}
    assert not RunFolder(tmp_path / "run").weights_path.exists(), "the model is not finished"
    fit = material.fit(tmp_path / "run")
    assert fit.resume() == 4
    assert fit.run()
    assert_same_run(tmp_path / "run", straight)


def test_a_signal_at_the_last_step_finishes_the_run(
    material: Material, straight: Path, tmp_path: Path
) -> None:
    def listen(line: dict[str, Any]) -> None:
        if line["kind"] == "train" and line["step"] == 10:
            signal.raise_signal(signal.SIGINT)

    assert material.fit(tmp_path / "run", listen=listen).run()
    assert_same_run(tmp_path / "run", straight)


def test_micro_batches_give_the_same_curve(material: Material, tmp_path: Path) -> None:
    """Through all of the run; without dropout, whose draws depend on how a batch is cut."""
    curves = []
    for size in (None, 2, 1):
        config = material.config(micro_batch_size=size)
        pattern = tuple(kind.model_copy(update={"dropout": 0.0}) for kind in config.model.pattern)
        config = config.model_copy(update={"model": config.model.model_copy(update={"pattern": pattern})})
        folder = tmp_path / str(size)
        material.fit(folder, config).run()
        curves.append([line["loss"] for line in measurements(folder) if line["kind"] == "train"])
    assert curves[1] == pytest.approx(curves[0], rel=1e-4)
    assert curves[2] == pytest.approx(curves[0], rel=1e-4)


def test_fewer_steps_than_are_done_are_refused(material: Material, tmp_path: Path) -> None:
    material.fit(tmp_path / "run").run()
    with pytest.raises(ConfigError) as caught:
        material.fit(tmp_path / "run", material.config(steps=9)).resume()
    assert str(caught.value) == "the run stands at step 10, past train.steps 9; raise it"


def test_a_held_out_text_of_less_than_a_sequence_is_refused(material: Material, tmp_path: Path) -> None:
    config = material.config()
    longer = config.model_copy(
        update={
            "model": config.model.model_copy(update={"max_seq_len": 1024}),
            "data": config.data.model_copy(update={"seq_len": 1024, "batch_size": 1}),
        }
    )
    with pytest.raises(TextError) as caught:
        Fit(longer, RunFolder(tmp_path), material.tokenizer, material.train, material.held_out)
    assert f"the held-out text has {len(material.held_out):,} tokens" in str(caught.value)
    assert "one sequence needs 1,025" in str(caught.value)
    assert "data.held_out_share" in str(caught.value)


def test_validation_reads_windows_from_end_to_end(material: Material, tmp_path: Path) -> None:
    """2 batches of 4, the same for every sitting, the first at the beginning and the last at the end."""
    batches = material.fit(tmp_path / "run").validation
    again = material.fit(tmp_path / "run").validation
    assert [len(batch.tokens) for batch in batches] == [4, 4]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(batches, again, strict=True))
    stream = torch.from_numpy(material.held_out.read(0, len(material.held_out)))
    assert torch.equal(batches[0].tokens[0], stream[:16])
    assert torch.equal(batches[-1].targets[-1], stream[-16:])
