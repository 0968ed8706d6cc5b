"""The recipes of decoders: a published shape to the last weight, and letters as bytes from text to report."""

from __future__ import annotations

from pathlib import Path

import pytest
from train.small_runs import sums

import hornbook as hb
from hornbook.base.files import read_json
from hornbook.model.config import ModelConfig
from hornbook.model.count import count_parameters, on_meta
from hornbook.recipes.shapes import resolve


def test_gpt2_124m_has_the_published_shape_and_reads_ten_billion_tokens() -> None:
    config = resolve("gpt2-124m")
    assert count_parameters(on_meta(config.model)) == 124_439_808
    read = config.train.steps * config.data.batch_size * config.data.seq_len
    assert 10e9 <= read < 10.001e9


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_dial_of_shakespeare_char_sets_depth_and_width(size: int) -> None:
    config = resolve("shakespeare-char", [f"size={size}"])
    assert isinstance(config.model, ModelConfig)
    assert (config.model.n_layers, config.model.d_model) == (size, 64 * size)
    assert config.model.width_of_heads(config.model.pattern[0].attention) == 32
    assert config.model.vocab_size == config.tokenizer.vocab_size == 257


def test_shakespeare_char_reads_bytes_and_holds_the_last_tenth_out(tmp_path: Path) -> None:
    text = "".join(sums(300))
    (tmp_path / "play.txt").write_text(text, encoding="utf-8")
    run = hb.train(
        "shakespeare-char",
        f"data.path={tmp_path / 'play.txt'}",
        "size=1",
        "train.steps=2",
        out=tmp_path / "run",
    )
    assert run.tokenizer.encode("ROMEO:") != [] and run.tokenizer.merges == []
    held_out = read_json(tmp_path / "run" / "results.json")["held_out"]["bytes"]
    assert 0.1 * len(text) <= held_out < 0.15 * len(text)
