"""Encoders of Hugging Face: the core computes what transformers computes, in and out.

`test_hugging_face.py` does the same for decoders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoint.published import drawn, pairs
from checkpoint.published_encoders import ENCODER_CASES
from checkpoint.test_hugging_face import assert_same, edited

from hornbook.base.errors import ConfigError, HornbookError, RunFolderError
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.model.config import EmbeddingConfig, ModelConfig
from hornbook.model.encoder_config import ClassifierConfig, MaskedLMConfig
from hornbook.model.encoders import Classifier, MaskedLM
from hornbook.model.families.family import MODULES, as_computed, holders, load_families, load_family
from hornbook.model.mask import Mask
from hornbook.model.shape_config import AnyConfig
from hornbook.train.exchange import export, import_hf

transformers = pytest.importorskip("transformers")

every_case = pytest.mark.parametrize("case", ENCODER_CASES)


def published(case: str) -> Any:
    """A model of transformers with every parameter drawn, gains and biases too, in evaluation mode."""
    name, config = ENCODER_CASES[case]
    model = getattr(transformers, name)._from_config(config(), attn_implementation="eager")
    return drawn(model)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a case, and ours read from its folder; each is made once."""
    return pairs(published, tmp_path_factory)


def some_inputs(config: AnyConfig, seq_len: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and their segments; the first ids are left out, since one of them is theirs of padding.

    RoBERTa in transformers gives such a token no position of its own, wherever it stands, and both leave
    its vector without a gradient.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, config.vocab_size, (2, seq_len), generator=generator)
    assert config.embedding.n_segments is not None
    return tokens, torch.randint(config.embedding.n_segments, (2, seq_len), generator=generator)


@every_case
def test_logits_and_gradients_are_those_of_transformers(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    assert type(ours) is (Classifier if "class" in case or "number" in case else MaskedLM)
    tokens, segments = some_inputs(config, config.max_seq_len)
    logits = ours(tokens, segments=segments)
    wanted = theirs(tokens, token_type_ids=segments).logits
    assert_same(logits, wanted)
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for model, out in ((ours, logits), (theirs, wanted)):
        model.zero_grad()
        (out * direction).sum().backward()
    assert_same(ours.embedding.tokens.weight.grad, theirs.get_input_embeddings().weight.grad)
    assert_same(ours(tokens), theirs(tokens).logits)


@every_case
def test_padding_at_the_right_changes_nothing(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    tokens, segments = some_inputs(config, 9)
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[1, 5:] = False
    mask = Mask(causal=False, padding=real)
    padded = torch.where(real, tokens, theirs.config.pad_token_id or 0)
    with torch.no_grad():
        logits = ours(tokens, mask, segments=segments)
        wanted = theirs(padded, attention_mask=real.long(), token_type_ids=segments).logits
        alone = ours(tokens[1:, :5], segments=segments[1:, :5])
        other = ours(torch.where(real, tokens, tokens - 3), mask, segments=segments)
    if isinstance(ours, MaskedLM):
        assert_same(alone[0], logits[1, :5])
        logits, wanted, other = logits[real], wanted[real], other[real]
    else:
        assert_same(alone[0], logits[1])
    assert_same(logits, wanted)
    assert torch.equal(logits, other)


@every_case
def test_it_goes_out_as_it_came_in(case: str, pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, folder = pair(case)
    family = json.loads((folder / "config.json").read_text())["model_type"]
    assert write_model(ours, config, tmp_path / "out", family) == family
    again_config, again = read_model(tmp_path / "out")
    assert as_computed(again_config) == as_computed(config)
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name
    loaded = (
        type(theirs)
        .from_pretrained(tmp_path / "out", attn_implementation="eager", dtype=torch.float32)
        .eval()
    )
    assert loaded.config.id2label == theirs.config.id2label
    tokens, segments = some_inputs(config, config.max_seq_len, seed=3)
    with torch.no_grad():
        out, wanted = (model(tokens, token_type_ids=segments).logits for model in (loaded, theirs))
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


@every_case
def test_tokens_of_another_document_never_move_logits(case: str, pair: Any) -> None:
    _, config, ours, _ = pair(case)
    tokens, segments = some_inputs(config, 10)
    positions = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4, 5]).expand(2, 10)
    mask = Mask(causal=False, documents=torch.tensor([[0] * 4 + [1] * 6] * 2))
    changed = tokens.clone()
    changed[:, :4] -= 1
    with torch.no_grad():
        # A row of a classifier has one document: what is pooled is looked at.
        run = ours if isinstance(ours, MaskedLM) else ours.features
        before, after = run(tokens, mask, positions, segments), run(changed, mask, positions, segments)
        assert torch.equal(before[:, 4:], after[:, 4:])
        assert not torch.allclose(before[:, :4], after[:, :4], atol=1e-3)
        assert_same(before[:, 4:], run(tokens[:, 4:], segments=segments[:, 4:]))


@every_case
def test_it_is_the_same_in_bfloat16_within_its_bound(case: str, pair: Any) -> None:
    """Bfloat16 keeps eight bits, and a few layers of rounding at that lose some more."""
    _, config, ours, _ = pair(case)
    tokens, segments = some_inputs(config, 12)
    with torch.no_grad():
        whole = ours(tokens, segments=segments)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(tokens, segments=segments).float()
    spread = whole.std() if isinstance(ours, MaskedLM) else whole.abs().max()
    assert (rounded - whole).square().mean() < (0.06 * spread) ** 2


def test_every_encoder_family_has_a_case_in_every_shape() -> None:
    computed = {(name, config().model_type) for name, config in ENCODER_CASES.values()}
    names = [name for name in MODULES if load_families(name)[0].shape is MaskedLMConfig]
    families = [family for name in names for family in load_families(name)]
    # Both of its answers are compared by a test of its own.
    answers_twice = {("BertForPreTraining", "bert")}
    assert computed | answers_twice == {(family.architecture, family.model_type) for family in families}


# Old files


def with_tensors(folder: Path, out: Path, change: Any) -> Path:
    """A copy of a folder with other tensors."""
    edited(folder, out)
    tensors = safetensors.torch.load_file(out / "model.safetensors")
    safetensors.torch.save_file(change(tensors), out / "model.safetensors", {"format": "pt"})
    return out


def test_norms_of_old_files_have_a_gamma_and_a_beta(pair: Any, tmp_path: Path) -> None:
    _, config, ours, folder = pair("bert")

    def aged(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        old = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
            for name, t in tensors.items()
        }
        assert old.keys() != tensors.keys()
        pooler = {"bert.pooler.dense.weight": torch.ones(24, 24), "cls.seq_relationship.bias": torch.ones(2)}
        return old | pooler | {"bert.embeddings.position_ids": torch.arange(20)[None]}

    _, again = read_model(with_tensors(folder, tmp_path / "old", aged))
    tokens, _ = some_inputs(config, 9)
    assert torch.equal(again.eval()(tokens), ours(tokens))


def test_a_model_with_both_heads_of_its_pretraining_is_read_and_written(tmp_path: Path) -> None:
    """The other one judges whether two texts belong together; most files of the first BERT have it."""
    _, config = ENCODER_CASES["bert"]
    theirs = drawn(transformers.BertForPreTraining._from_config(config(), attn_implementation="eager"))
    theirs.save_pretrained(tmp_path / "in")
    config, ours = read_model(tmp_path / "in")
    assert type(ours) is MaskedLM and ours.pairs is not None
    tokens, segments = some_inputs(config, 9)
    with torch.no_grad():
        wanted = theirs(tokens, token_type_ids=segments)
        assert_same(ours.eval()(tokens, segments=segments), wanted.prediction_logits)
        assert_same(ours.pairs(ours.features(tokens, segments=segments)), wanted.seq_relationship_logits)
    assert write_model(ours, config, tmp_path / "out") == "bert"
    again = transformers.BertForPreTraining.from_pretrained(tmp_path / "out", attn_implementation="eager")
    for name, weight in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


@pytest.mark.parametrize("case", ["bert untied, odd", "roberta untied, odd"])
def test_version_4_of_transformers_keeps_one_bias_beside_an_untied_matrix(
    case: str, pair: Any, tmp_path: Path
) -> None:
    """In version 5 the bias that stands alone is not computed with, once the matrix is untied."""
    _, config, ours, folder = pair(case)
    place = "cls.predictions" if "roberta" not in case else "lm_head"
    names = {f"{place}.bias", f"{place}.decoder.bias"}
    saved = safetensors.torch.load_file(folder / "model.safetensors")
    assert names < saved.keys()
    assert torch.equal(saved[f"{place}.decoder.bias"], ours.head.bias)

    def only_alone(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        bias = tensors.pop(f"{place}.decoder.bias")
        return tensors | {f"{place}.bias": bias}

    _, again = read_model(with_tensors(folder, tmp_path / "old", only_alone))
    tokens, _ = some_inputs(config, 9)
    assert torch.equal(again.eval()(tokens), ours(tokens))


# What is refused


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"architectures": ["BertForTokenClassification"]}, ["TokenClassification", "BertForMaskedLM or"]),
        ({"architectures": ["BertModel"]}, ["BertModel", "BertForMaskedLM or"]),
        ({"architectures": None}, ["architectures = None", "BertForSequenceClassification is computed"]),
        ({"is_decoder": True}, ["is_decoder = True", "False"]),
        ({"position_embedding_type": "relative_key"}, ["relative_key", "absolute"]),
        ({"hidden_act": "snake"}, ["hidden_act = 'snake'"]),
        ({"made_up": 3}, ["made_up = 3", "not understood"]),
        ({"num_attention_heads": 5}, ["n_heads 5 does not divide d_model 24"]),
        ({"num_hidden_layers": 4}, ["lacks tensors", "bert.encoder.layer.3."]),
        ({"architectures": ["BertForSequenceClassification"]}, ["lacks tensors", "classifier.weight"]),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    attributes: dict[str, Any], words: list[str], pair: Any, tmp_path: Path
) -> None:
    folder = edited(pair("bert")[3], tmp_path / "edited", **attributes)
    with pytest.raises(HornbookError) as caught:
        read_model(folder)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_folder_that_is_no_run_or_has_no_tokenizer_is_refused(pair: Any, tmp_path: Path) -> None:
    folder = pair("bert")[3]
    with pytest.raises(RunFolderError, match=r"has no tokenizer, neither tokenizer\.json, vocab\.bpe"):
        import_hf(folder, tmp_path / "run")
    with pytest.raises(RunFolderError, match="a folder of Hugging Face and no run"):
        export(folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_first_family_that_can_hold_an_encoder_is_taken(pair: Any, tmp_path: Path) -> None:
    _, config, ours, _ = pair("roberta classes")
    able = [family.model_type for family, reason in holders(config) if reason is None]
    assert able == ["bert", "roberta"]
    assert write_model(ours, config, tmp_path / "out") == "bert"
    _, again = read_model(tmp_path / "out")
    tokens, _ = some_inputs(config, 9)
    assert torch.equal(again.eval()(tokens), ours(tokens))


def test_a_family_that_cannot_hold_an_encoder_says_why(pair: Any, tmp_path: Path) -> None:
    _, config, ours, _ = pair("bert")
    with pytest.raises(ConfigError, match="llama cannot hold this model: it has LlamaForCausalLM and"):
        write_model(ours, config, tmp_path / "out", "llama")
    with pytest.raises(ConfigError, match="bert cannot hold this model: it has BertForMaskedLM and"):
        load_family("bert", ModelConfig)
    plain = config.model_copy(update={"embedding": EmbeddingConfig()})
    assert isinstance(plain, MaskedLMConfig)
    with pytest.raises(ConfigError, match="it cannot say embedding"):
        write_model(MaskedLM(plain, 0), plain, tmp_path / "out", "bert")
    block = config.pattern[0]
    attention = block.attention.model_copy(update={"window": 4})
    narrow = config.model_copy(update={"pattern": (block.model_copy(update={"attention": attention}),)})
    assert isinstance(narrow, MaskedLMConfig)
    with pytest.raises(ConfigError, match=r"it cannot say pattern\.0\.attention\.window = 4"):
        write_model(MaskedLM(narrow, 0), narrow, tmp_path / "out", "bert")
    _, config, _, _ = pair("bert classes")
    pooled = config.model_copy(update={"pooling": "mean"})
    assert isinstance(pooled, ClassifierConfig)
    with pytest.raises(ConfigError, match="it cannot say pooling = 'mean'"):
        write_model(Classifier(pooled, 0), pooled, tmp_path / "out", "bert")
    assert list(tmp_path.iterdir()) == []
