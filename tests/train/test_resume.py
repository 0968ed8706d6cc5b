"""A run that is stopped by force, through the command line as a person would: it ends as if it never was.

One run is left alone. Others are killed with SIGKILL at moments of chance, or stopped with Ctrl-C or
SIGTERM, and continued by the same command until they end. All must leave the same bits.
"""

from __future__ import annotations

import os
import random
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from recipes.tiny_runs import hornbook
from train.small_runs import sums
from train.whole_state import assert_same_run, logged_steps

from hornbook.base.files import read_json
from hornbook.checkpoint.folder import RunFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="sends signals to other processes"),
]

ROOT = Path(__file__).parents[2]
STEPS = 60
PATIENCE = 120
"""Seconds after which a run that shows no life is given up."""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small text files."""
    folder = tmp_path_factory.mktemp("text")
    for i in range(40):
        (folder / f"{i}.txt").write_text("".join(sums(i + 30)[i:]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def straight(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    with running(command(text, out)) as process:
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    return out


def command(text: Path, out: Path) -> list[str]:
    """The command that begins a run or goes on with it."""
    overrides = [
        "size=2",
        f"data.path={text}",
        "tokenizer.vocab_size=300",
        "data.seq_len=32",
        "data.batch_size=4",
        f"train.steps={STEPS}",
        "train.save_every=7",
        "train.log_every=1",
        "train.validate_every=20",
        "train.sample_every=30",
        "train.precision=float32",
        "train.device=cpu",
    ]
    return ["train", "quickstart", *overrides, "--out", str(out), "--resume"]


@contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """`hornbook` with these arguments, on one thread; killed at the end, if it is not gone by itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hornbook", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait for a sign of life; False when the process ended before it came."""
    for _ in range(PATIENCE * 100):
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError("the run shows no life")


def has_trained(out: Path) -> Callable[[], bool]:
    """Whether this sitting has measured something: metrics.jsonl is another one than now."""

    def size() -> int:
        path = RunFolder(out).metrics_path
        return path.stat().st_size if path.exists() else 0

    before = size()
    return lambda: size() != before


def kill_once(arguments: list[str], is_time: Callable[[], bool], wait: float) -> bool:
    """Start a run, wait for a sign and then some seconds, and kill it; False when it had ended before."""
    with running(arguments) as process:
        if wait_until(is_time, process):
            time.sleep(wait)
        return process.poll() is None


def test_killed_at_any_moment_ends_in_the_same_bits(text: Path, straight: Path, tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    chance = random.Random(seed)
    out = tmp_path / "run"
    took = read_json(straight / "run.json")["seconds"]["training"]
    # Once while the text is being prepared, then in training.
    killed = [kill_once(command(text, out), (out / "run.json").exists, chance.uniform(0, 1))]
    for _ in range(2):
        wait = chance.uniform(0, took / 2)
        killed.append(kill_once(command(text, out), has_trained(out), wait))
    print(f"seed {seed}, killed before the end: {killed}, steps on file: {logged_steps(out)}")
    said = hornbook(*command(text, out))
    assert (said.code, said.err) == (0, "")
    assert_same_run(out, straight)
    assert logged_steps(out) == list(range(1, STEPS + 1))
    assert (out / "results.json").read_bytes() == (straight / "results.json").read_bytes()
    assert RunFolder(out).is_finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_politely_says_how_to_go_on(
    text: Path, straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Exit code 1, one sentence, and the command in it leads to the same bits."""
    out = tmp_path / "a run"
    with running(command(text, out)) as process:
        assert wait_until(lambda: len(logged_steps(out)) > 0, process)
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("hornbook: stopped") and "To go on, type: " in errors
    assert errors.count("\n") == 1
    assert read_json(out / "run.json")["status"] == "interrupted"
    assert 0 < logged_steps(out)[-1] < STEPS
    typed = shlex.split(errors.partition("type: ")[2])
    said = hornbook(*typed[typed.index("train") :])
    assert (said.code, said.err) == (0, "")
    assert_same_run(out, straight)
    assert logged_steps(out) == list(range(1, STEPS + 1))


def test_harmed_weights_are_mended_by_a_resume(straight: Path, tmp_path: Path) -> None:
    """What the message about a damaged model.safetensors advises must work on a run that was finished."""
    out = tmp_path / "run"
    shutil.copytree(straight, out)
    path = RunFolder(out).weights_path
    path.write_bytes(path.read_bytes()[:-1])
    said = hornbook("generate", out, "one")
    assert said.code == 2
    assert said.err.endswith("; continue the run with --resume to write it again\n")
    said = hornbook("train", out, "--resume")
    assert (said.code, said.err) == (0, "")
    assert_same_run(out, straight)
