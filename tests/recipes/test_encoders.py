"""The recipes with an encoder: their shapes, and whole runs that learn, go on, report and go out."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipes.tiny_runs import hornbook, inside, write_texts

import hornbook as hb
from hornbook.base.config import to_dict
from hornbook.base.files import read_json
from hornbook.checkpoint.hugging_face import write_model
from hornbook.model.count import count_parameters, on_meta
from hornbook.model.encoder_config import MaskedLMConfig
from hornbook.model.families.family import holders
from hornbook.model.seq2seq_config import Seq2SeqConfig
from hornbook.recipes.report_objective import WORDS, is_decoder, objective_of, verdict, writes
from hornbook.recipes.shapes import resolve
from hornbook.train.tasks import SHAPES, check_objective

SMALL = [
    "size=1", "data.path=texts", "tokenizer.vocab_size=300", "data.seq_len=32", "data.batch_size=4",
    "train.steps=4", "train.log_every=1", "train.save_every=2", "train.validate_every=2",
    "train.precision=float32", "train.device=cpu",
]  # fmt: skip
NAMES = ("bert-small", "t5-small")


def test_the_small_one_of_the_published_grid() -> None:
    """4 layers, 512 wide, 8 heads, a feed-forward of 2048 (Turc et al. 2019)."""
    config = resolve("bert-small")
    model = config.model
    assert isinstance(model, MaskedLMConfig)
    block = model.pattern[0]
    assert (model.n_layers, model.d_model, block.attention.n_heads) == (4, 512, 8)
    assert block.feed_forward == block.feed_forward.model_copy(update={"d_ff": 2048})
    in_blocks = sum(p.numel() for name, p in on_meta(model).named_parameters() if "blocks" in name)
    assert in_blocks == 4 * (4 * 512 * 512 + 2 * 512 * 2048 + 13 * 512)
    assert (config.train.objective.kind, config.train.objective.share) == ("masked_pairs", 0.15)


def test_the_dial_of_the_encoder_decoder() -> None:
    config = resolve("t5-small")
    assert isinstance(config.model, Seq2SeqConfig)
    sides = config.model.encoder, config.model.decoder
    assert [(s.n_layers, s.d_model, s.pattern[0].attention.n_heads) for s in sides] == [(6, 512, 8)] * 2
    small, large = (count_parameters(on_meta(resolve("t5-small", [f"size={n}"]).model)) for n in (2, 4))
    assert small < large < count_parameters(on_meta(config.model))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_fits_and_a_published_family_can_hold_it(name: str) -> None:
    config = resolve(name)
    check_objective(config)
    assert any(reason is None for _, reason in holders(config.model))


def test_the_start_of_a_target_follows_the_vocabulary() -> None:
    """The last id is the end of text, which begins every target, unless another one is given."""
    assert resolve("t5-small", ["tokenizer.vocab_size=300"]).model.start_token == 299
    assert resolve("t5-small", ["tokenizer.vocab_size=300", "model.start_token=7"]).model.start_token == 7


def test_words_for_every_objective() -> None:
    assert WORDS.keys() == {*SHAPES, "weighted"}
    for name in NAMES:
        config = to_dict(resolve(name))
        assert not is_decoder(config) and not writes(config)
        assert WORDS[objective_of(config)].asked_for in verdict(config, 1.5)
    assert is_decoder({}) and writes({}) and objective_of({}) == "next_token", "runs of before say nothing"


@pytest.mark.parametrize(
    ("shape", "part", "goes_on"),
    [("causal_lm", "next_token", True), ("seq2seq", "prefix", True), ("seq2seq", "next_token", False)],
)
def test_an_encoder_decoder_that_learns_next_tokens_goes_on_with_no_prompt(
    shape: str, part: str, goes_on: bool
) -> None:
    objective = {"kind": "weighted", "parts": [{"objective": {"kind": part}}]}
    assert writes({"model": {"kind": shape}, "train": {"objective": objective}}) == goes_on


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_from_text_to_report_and_out(name: str, tmp_path: Path) -> None:
    write_texts(tmp_path / "texts")
    with inside(tmp_path):
        said = hornbook("train", name, *SMALL, "--out", "run")
        assert said.code == 0, said.err
        told = " ".join(said.out.split())
        assert "It learned to write no text of its own, so there are no samples." in told
        assert "compare this with models of the same objective" in told
        held_out = read_json(Path("run/results.json"))["held_out"]
        assert held_out["yardsticks"] == {} and held_out["perplexity"] > 1
        assert ("pairs_right" in held_out) == (name == "bert-small")
        page = Path("run/report.html").read_text(encoding="utf-8")
        config = read_json(Path("run/config.json"))
        assert WORDS[objective_of(config)].guesses in page and "chat" not in page.split("What to do next")[-1]
        run = hb.load("run", device="cpu")
        assert list(run.tokenizer.special_tokens)[-1] == "<|endoftext|>"
        assert hornbook("show", "run").code == 0
        assert write_model(run.model, run.config.model, "out", tokenizer=run.tokenizer) in ("bert", "t5")
        said = hornbook("train", "run", "train.steps=4", "--out", "again")
        assert said.code == 0, said.err
        assert Path("again/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()
