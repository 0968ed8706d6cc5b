"""Classifiers of decoders: each family's stack under a head for classes, in and out.

`test_hugging_face.py` does the same for the decoders themselves, `test_encoders.py` for the classifiers of
encoders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint.published import drawn, pairs
from checkpoint.published_classifiers import CLASSIFIER_CASES, NAMES, PADDING
from checkpoint.test_hugging_face import assert_same, edited

from hornbook.base.errors import ConfigError, HornbookError
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.model.config import ModelConfig
from hornbook.model.encoder_config import ClassifierConfig, PoolerConfig
from hornbook.model.encoders import Classifier
from hornbook.model.families.family import MODULES, as_computed, load_families, load_family
from hornbook.model.mask import Mask

transformers = pytest.importorskip("transformers")

every_case = pytest.mark.parametrize("case", CLASSIFIER_CASES)


def published(case: str) -> Any:
    """A model of transformers with every parameter drawn, in evaluation mode."""
    return drawn(
        transformers.AutoModelForSequenceClassification.from_config(
            CLASSIFIER_CASES[case](), attn_implementation="eager"
        )
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a case, and ours read from its folder; each is made once."""
    return pairs(published, tmp_path_factory)


def some_texts(config: ClassifierConfig, n_rows: int, seq_len: int, seed: int = 1) -> torch.Tensor:
    """Tokens among which the id of padding is not."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(PADDING + 1, config.vocab_size, (n_rows, seq_len), generator=generator)


@every_case
def test_logits_and_gradients_are_those_of_transformers(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    assert type(ours) is Classifier
    assert (config.causal, config.pooling, ours.head.bias) == (True, "last", None)
    tokens = some_texts(config, 2, config.max_seq_len)
    logits, wanted = ours(tokens), theirs(tokens).logits
    assert_same(logits, wanted)
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for model, out in ((ours, logits), (theirs, wanted)):
        model.zero_grad()
        (out * direction).sum().backward()
    assert_same(ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad)


@every_case
def test_the_last_real_token_stands_for_its_row(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    tokens = some_texts(config, 3, 9)
    real = torch.arange(9) < torch.tensor([[9], [5], [1]])
    padded = torch.where(real, tokens, PADDING)
    with torch.no_grad():
        logits = ours(padded, Mask(padding=real))
        assert_same(logits, theirs(padded, attention_mask=real.long()).logits)
        assert_same(logits[1:2], ours(tokens[1:2, :5]))
        assert_same(logits, ours(tokens, Mask(padding=real)))
        assert not torch.allclose(logits[1:], ours(tokens)[1:], atol=1e-3), "without a mask it should differ"


def test_transformers_takes_no_token_of_the_padding_id_for_the_last(pair: Any) -> None:
    """Whatever its attention mask says: to it, a text that ends with such a token ends before it."""
    theirs, config, ours, _ = pair("llama 3.1, classes")
    tokens = some_texts(config, 2, 9)
    tokens[:, -1] = PADDING
    with torch.no_grad():
        wanted = theirs(tokens, attention_mask=torch.ones_like(tokens)).logits
        assert_same(ours(tokens, Mask(padding=tokens != PADDING)), wanted)
        assert not torch.allclose(ours(tokens), wanted, atol=1e-3)


@every_case
def test_it_goes_out_as_it_came_in(case: str, pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, folder = pair(case)
    family = json.loads((folder / "config.json").read_text())["model_type"]
    assert write_model(ours, config, tmp_path / "out", family) == family
    again_config, again = read_model(tmp_path / "out")
    assert as_computed(again_config) == as_computed(config)
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name
    loaded, found = type(theirs).from_pretrained(
        tmp_path / "out", attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert loaded.config.id2label == theirs.config.id2label
    # Which id is padding is the tokenizer's to say; without one, theirs takes rows one by one.
    loaded.eval().config.pad_token_id = PADDING
    tokens = some_texts(config, 3, 9, seed=3)
    tokens[1, 5:] = PADDING
    real = (tokens != PADDING).long()
    with torch.no_grad():
        out, wanted = (model(tokens, attention_mask=real).logits for model in (loaded, theirs))
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


@every_case
def test_it_is_the_same_in_bfloat16_within_its_bound(case: str, pair: Any) -> None:
    """Bfloat16 keeps eight bits, and a few layers of rounding at that lose some more."""
    _, config, ours, _ = pair(case)
    tokens = some_texts(config, 4, 12)
    with torch.no_grad():
        whole = ours(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(tokens).float()
    assert (rounded - whole).square().mean() < (0.06 * whole.abs().max()) ** 2


def test_every_decoder_family_has_a_classifier_with_a_case() -> None:
    decoders = {name for name in MODULES if load_families(name)[0].shape is ModelConfig}
    assert {config().model_type for config in CLASSIFIER_CASES.values()} == decoders
    for case, config in CLASSIFIER_CASES.items():
        family = load_family(config().model_type, ClassifierConfig)
        assert family.architecture == type(published(case)).__name__


# Names


def test_names_of_classes_come_in_and_go_out(pair: Any, tmp_path: Path) -> None:
    _, config, ours, folder = pair("gpt2, classes")
    assert config.class_names == NAMES
    write_model(ours, config, tmp_path / "out", "gpt2")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert written["id2label"] == {"0": "no", "1": "yes", "2": "who knows"}
    assert written["label2id"] == {"no": 0, "yes": 1, "who knows": 2}
    # The order of the file says nothing, the numbers do.
    turned = dict(reversed(list(written["id2label"].items())))
    assert read_model(edited(folder, tmp_path / "turned", id2label=turned))[0] == config


def test_classes_that_are_only_numbered_have_no_names(pair: Any) -> None:
    assert pair("mistral window, classes")[1].class_names is None


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, "numbered from 0 to 2"),
        ({"num_labels": 4}, "numbered from 0 to 3"),
        ({"id2label": {"one": "a"}}, "wrong kind.*'one'"),
        ({"id2label": None, "num_labels": 0}, "greater than 0"),
        ({"id2label": None}, r"shape \(3, 24\) instead of \(2, 24\)"),
    ],
)
def test_classes_that_do_not_add_up_are_refused(
    attributes: dict[str, Any], words: str, pair: Any, tmp_path: Path
) -> None:
    folder = edited(pair("gpt2, classes")[3], tmp_path / "edited", **attributes)
    with pytest.raises(HornbookError, match=words):
        read_model(folder)


# What is refused


def test_other_tasks_are_refused(pair: Any, tmp_path: Path) -> None:
    folder = pair("llama 3.1, classes")[3]
    other = edited(folder, tmp_path / "tokens", architectures=["LlamaForTokenClassification"])
    with pytest.raises(ConfigError, match="only LlamaForCausalLM or LlamaForSequenceClassification"):
        read_model(other)
    silent = edited(folder, tmp_path / "silent", architectures=None)
    with pytest.raises(ConfigError, match=r"lacks tensors: lm_head\.weight"):
        read_model(silent)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pooling": "mean"}, "it cannot say pooling = 'mean'"),
        ({"bias": True}, "it cannot say bias = True"),
        ({"pooler": PoolerConfig()}, "it cannot say pooler"),
        ({"causal": False}, "it cannot say causal = False"),
    ],
)
def test_another_head_or_direction_cannot_be_held(
    changes: dict[str, Any], words: str, pair: Any, tmp_path: Path
) -> None:
    config = pair("llama 3.1, classes")[1].model_copy(update=changes)
    with pytest.raises(ConfigError, match=words):
        write_model(Classifier(config, 0), config, tmp_path / "out", "llama")
    with pytest.raises(ConfigError, match="no published family can hold this model; gpt2: "):
        write_model(Classifier(config, 0), config, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
