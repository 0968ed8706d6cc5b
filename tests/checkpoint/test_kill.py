"""Kill -9 while a state is being saved, again and again: there is always a whole one to load."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hornbook.checkpoint.tensors import load_tensors

KILLS = 4
LONGEST_WAIT = 0.4
"""Seconds of saving before a kill; a save takes a small part of it."""

SAVER = """
import itertools, sys, torch
from pathlib import Path
from hornbook.checkpoint.tensors import save_tensors
for step in itertools.count(int(sys.argv[2])):
    number = torch.full((500_000,), float(step))
    save_tensors(Path(sys.argv[1]), {"model/w": number, "optimizer/w": number + 0}, {"step": str(step)})
    print(step, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills with SIGKILL")
def test_a_killed_save_leaves_the_one_before(tmp_path: Path) -> None:
    """Weights, optimizer and facts are always of one step, and of none before the last that was reported."""
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    path, start = tmp_path / "state.safetensors", 0
    for _ in range(KILLS):
        command = [sys.executable, "-c", SAVER, str(path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
            try:
                assert saver.stdout is not None
                reported = [saver.stdout.readline()]
                assert reported[0], "the saver does not work"
                time.sleep(chance.uniform(0, LONGEST_WAIT))
            finally:
                saver.kill()
            reported += saver.stdout.readlines()
        tensors, facts = load_tensors(path, "")
        step = int(facts["step"])
        assert step in (int(reported[-1]), int(reported[-1]) + 1)
        assert all(torch.equal(t, torch.full_like(t, float(step))) for t in tensors.values())
        start = step + 1
