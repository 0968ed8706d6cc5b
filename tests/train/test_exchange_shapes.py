"""Runs of every shape that come from Hugging Face and go there: text, tokenizer and logits stay the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from checkpoint.published import drawn
from checkpoint.published_classifiers import CLASSIFIER_CASES
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.published_permutation import PERMUTATION_CASES
from checkpoint.published_seq2seq import SEQ2SEQ_CASES
from checkpoint.test_hugging_face import assert_same
from train.small_vocabularies import TEXTS, write_unigram, write_word_piece

from hornbook.base.errors import ConfigError, RunFolderError
from hornbook.checkpoint.folder import RunFolder
from hornbook.cli.exchange import AUTO_CLASSES
from hornbook.train.exchange import export, import_hf
from hornbook.train.run import Run, load

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")


class Case(NamedTuple):
    """A published model, its kind here, and the tokenizer beside it."""

    kind: str
    config: Callable[[], Any]
    write_tokenizer: Callable[[Path], None] = write_word_piece


ends = partial(write_unigram, special=("<pad>", "</s>", "<unk>"), around="$A </s>")
begins_and_ends = partial(write_unigram, special=("<s>", "<pad>", "</s>", "<unk>"), around="<s> $A </s>")

CASES = {
    "bert": Case("masked_lm", ENCODER_CASES["bert"][1]),
    "bert classes": Case("classifier", ENCODER_CASES["bert classes"][1]),
    "gpt2, classes": Case("classifier", CLASSIFIER_CASES["gpt2, classes"]),
    "xlnet": Case("permutation_lm", PERMUTATION_CASES["xlnet"]),
    "t5": Case("seq2seq", SEQ2SEQ_CASES["t5"], ends),
    "t5 1.1": Case("seq2seq", SEQ2SEQ_CASES["t5 1.1"], ends),
    "bart untied": Case("seq2seq", SEQ2SEQ_CASES["bart untied"], begins_and_ends),
}
every_case = pytest.mark.parametrize("case", CASES)


def reader(case: str) -> Any:
    """The class of transformers that an export names."""
    return getattr(transformers, AUTO_CLASSES[CASES[case].kind])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """A model of transformers and the folder it was saved in, with a tokenizer; each is made once."""
    made: dict[str, tuple[Any, Path]] = {}

    def publish(case: str) -> tuple[Any, Path]:
        if case not in made:
            folder = tmp_path_factory.mktemp("published") / "theirs"
            model = drawn(reader(case).from_config(CASES[case].config(), attn_implementation="eager"))
            model.save_pretrained(folder)
            CASES[case].write_tokenizer(folder)
            made[case] = model, folder
        return made[case]

    return publish


def ids(run: Run) -> torch.Tensor:
    return torch.tensor([run.tokenizer.encode(TEXTS[0])])


@torch.no_grad()
def logits(run: Run) -> torch.Tensor:
    tokens = ids(run)
    return run.model(tokens, tokens) if run.config.model.kind == "seq2seq" else run.model(tokens)


@torch.no_grad()
def their_logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    more = {"decoder_input_ids": tokens} if model.config.is_encoder_decoder else {}
    found: torch.Tensor = model(tokens, **more).logits
    return found


@every_case
def test_a_run_of_any_shape_comes_in_and_goes_out(
    case: str, published: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    theirs, folder = published(case)
    run = import_hf(folder, tmp_path / "run")
    assert run.config.model.kind == CASES[case].kind
    assert RunFolder(run.path).is_finished
    assert_same(logits(run), their_logits(theirs, ids(run)))
    assert torch.equal(logits(load(run.path, device="cpu")), logits(import_hf(folder)))
    assert export(run.path, tmp_path / "out", family=theirs.config.model_type) == theirs.config.model_type
    loaded = reader(case).from_pretrained(tmp_path / "out", attn_implementation="eager", dtype=torch.float32)
    assert_same(their_logits(loaded.eval(), ids(run)), logits(run))


@every_case
def test_the_tokenizer_goes_along(
    case: str, published: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    """Its roles too, and what it puts around a text for those who ask it to."""
    _, folder = published(case)
    run = import_hf(folder, tmp_path / "run")
    export(run, tmp_path / "out")
    before, after = (
        transformers.AutoTokenizer.from_pretrained(place) for place in (folder, tmp_path / "out")
    )
    assert before(TEXTS[0])["input_ids"] == after(TEXTS[0])["input_ids"]
    assert before.special_tokens_map == after.special_tokens_map
    assert after(TEXTS[0], add_special_tokens=False)["input_ids"] == ids(run)[0].tolist()


@pytest.mark.parametrize("case", ["t5 1.1", "bart untied"])
def test_an_answer_is_that_of_transformers(case: str, published: Callable[[str], tuple[Any, Path]]) -> None:
    """A model whose output matrix is its embedding, both drawn, would say one token again and again."""
    theirs, folder = published(case)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    run = import_hf(folder)
    answers = set()
    for text in ("a small text", "one more", "text, text"):
        source = tokenizer(text, return_tensors="pt")["input_ids"]
        made = theirs.generate(
            source, max_new_tokens=9, do_sample=False, num_beams=1, forced_eos_token_id=None
        )[0]
        beginning, *answer = made.tolist()
        assert beginning == theirs.config.decoder_start_token_id
        shown = [token for token in answer if token not in (tokenizer.eos_token_id, tokenizer.bos_token_id)]
        answers.add(run.generate(text, max_new_tokens=9, temperature=0.0))
        assert run.generate(text, max_new_tokens=9, temperature=0.0) == tokenizer.decode(shown)
    assert len(answers) > 1


def test_a_tokenizer_that_is_too_large_or_missing_is_refused(
    published: Callable[[str], tuple[Any, Path]], tmp_path: Path
) -> None:
    _, folder = published("t5")
    small = tmp_path / "small"
    small.mkdir()
    for name in ("config.json", "model.safetensors"):
        (small / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(
        RunFolderError, match=r"no tokenizer, neither tokenizer.json, vocab.bpe, .* nor spiece"
    ):
        import_hf(small, tmp_path / "run")
    words = json.loads((folder / "tokenizer.json").read_text())
    words["model"]["vocab"] += [[f"word{i}", -9.0] for i in range(37)]
    (small / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ConfigError, match="ids, and the model knows 37; they do not belong together"):
        import_hf(small, tmp_path / "run")
    assert not (tmp_path / "run").exists()
