"""Encoder-decoders of Hugging Face: the core computes what transformers computes, in and out.

`test_hugging_face.py` does the same for decoders, `test_encoders.py` for encoders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoint.published import pairs
from checkpoint.published_seq2seq import FIRST_WORD, SEQ2SEQ_CASES, SIZES, published
from checkpoint.test_encoders import with_tensors
from checkpoint.test_hugging_face import assert_same, edited

from hornbook.base.errors import ConfigError, HornbookError
from hornbook.checkpoint.hugging_face import read_model, write_model
from hornbook.model.families.family import (
    MODULES,
    as_computed,
    holders,
    load_families,
    load_family,
    read_config,
)
from hornbook.model.mask import Mask
from hornbook.model.position import relative_bucket
from hornbook.model.seq2seq import Seq2SeqLM
from hornbook.model.seq2seq_config import Seq2SeqConfig

transformers = pytest.importorskip("transformers")

every_case = pytest.mark.parametrize("case", SEQ2SEQ_CASES)
Texts = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of a case, and ours read from its folder; each is made once."""
    return pairs(published, tmp_path_factory)


def some_pairs(config: Seq2SeqConfig, n_source: int, n_target: int, seed: int = 1) -> Texts:
    """Two sources and what is written of them, of words alone."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(FIRST_WORD, config.encoder.vocab_size, (2, n_source), generator=generator),
        torch.randint(FIRST_WORD, config.decoder.vocab_size, (2, n_target), generator=generator),
    )


def computed(theirs: Any, source: torch.Tensor, target: torch.Tensor, **masks: torch.Tensor) -> torch.Tensor:
    """Their logits."""
    logits: torch.Tensor = theirs(input_ids=source, decoder_input_ids=target, use_cache=False, **masks).logits
    return logits


def tables(model: Any) -> list[Any]:
    """The tables of tokens of a model, ours or theirs: the encoder's and the decoder's, or the only one."""
    if isinstance(model, Seq2SeqLM):
        return [model.encoder.embedding.tokens, model.decoder.embedding.tokens]
    if isinstance(model, torch.nn.Module) and hasattr(model, "embedding"):
        return [model.embedding.tokens]
    if model.config.is_encoder_decoder:
        return [model.get_encoder().embed_tokens, model.get_decoder().embed_tokens]
    return [model.get_input_embeddings()]


@every_case
def test_logits_and_gradients_are_those_of_transformers(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    assert type(ours) is Seq2SeqLM
    start = theirs.config.decoder_start_token_id
    assert config.start_token == ours.start_token == start
    source, target = some_pairs(config, config.max_seq_len, config.max_seq_len - 3)
    target[:, 0] = start
    logits, wanted = ours(source, target), computed(theirs, source, target)
    assert_same(logits, wanted)
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    for model, out in ((ours, logits), (theirs, wanted)):
        model.zero_grad()
        (out * direction / target.numel()).sum().backward()
    padding = theirs.config.pad_token_id
    for mine, yours in zip(tables(ours), tables(theirs), strict=True):
        learned = mine.weight.grad.clone()
        if start == padding == yours.padding_idx:
            # A family's own vector of padding does not learn where it is read, only where it is written.
            learned[padding], yours.weight.grad[padding] = 0, 0
        assert_same(learned, yours.weight.grad)


@every_case
def test_padding_at_the_right_changes_nothing(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    source, target = some_pairs(config, 12, 9)
    real_source, real_target = (torch.ones_like(each, dtype=torch.bool) for each in (source, target))
    real_source[1, 7:], real_target[1, 5:] = False, False
    masks = Mask(causal=False, padding=real_source), Mask(padding=real_target)
    with torch.no_grad():
        logits = ours(source, target, *masks)
        wanted = computed(
            theirs,
            source,
            target,
            attention_mask=real_source.long(),
            decoder_attention_mask=real_target.long(),
        )
        other = ours(torch.where(real_source, source, source - 1), target, *masks)
        assert_same(logits[real_target], wanted[real_target])
        assert_same(ours(source[1:, :7], target[1:, :5])[0], logits[1, :5])
        assert torch.equal(logits, other)
        assert not torch.allclose(ours(source, target)[1, :5], logits[1, :5], atol=1e-3), (
            "unmasked it should differ"
        )


@every_case
def test_packed_documents_are_what_each_is_alone(case: str, pair: Any) -> None:
    theirs, config, ours, _ = pair(case)
    source, target = some_pairs(config, 10, 8)
    documents = [torch.tensor([[0] * n_first + [1] * n_second] * 2) for n_first, n_second in ((4, 6), (5, 3))]
    places = [torch.cat((torch.arange(n), torch.arange(m))).expand(2, -1) for n, m in ((4, 6), (5, 3))]
    with torch.no_grad():
        packed = ours(
            source,
            target,
            Mask(causal=False, documents=documents[0]),
            Mask(documents=documents[1]),
            places[0],
            places[1],
        )
        assert_same(packed[:, :5], computed(theirs, source[:, :4], target[:, :5]))
        assert_same(packed[:, 5:], computed(theirs, source[:, 4:], target[:, 5:]))


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
    # A table that nothing is computed with, beside those that are.
    spare = {"model.shared.weight"} if case == "bart untied" else set()
    assert found["missing_keys"] == spare and not found["unexpected_keys"]
    assert loaded.config.decoder_start_token_id == config.start_token
    texts = some_pairs(config, config.max_seq_len, config.max_seq_len, seed=3)
    with torch.no_grad():
        out, wanted = computed(loaded.eval(), *texts), computed(theirs, *texts)
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


@every_case
def test_a_token_at_a_time_gives_the_same(case: str, pair: Any) -> None:
    _, config, ours, _ = pair(case)
    source, target = some_pairs(config, 14, 16)
    cache = ours.make_cache(2)
    with torch.no_grad():
        memory = ours.encode(source)
        pieces = [ours.decode(piece, memory, cache=cache) for piece in target.split([5, 1, 1, 7, 1, 1], 1)]
        assert_same(torch.cat(pieces, dim=1), ours(source, target))


@every_case
def test_it_is_the_same_in_bfloat16_within_its_bound(case: str, pair: Any) -> None:
    """Bfloat16 keeps eight bits, and a few layers of rounding at that lose some more."""
    _, config, ours, _ = pair(case)
    source, target = some_pairs(config, 12, 12)
    with torch.no_grad():
        whole = ours(source, target)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = ours(source, target).float()
    assert (rounded - whole).square().mean() < (0.06 * whole.std()) ** 2


def test_every_encoder_decoder_family_has_a_case() -> None:
    families = {name for name in MODULES if load_families(name)[0].shape is Seq2SeqConfig}
    assert {make().model_type for make in SEQ2SEQ_CASES.values()} == families


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("n_buckets", "max_distance"), [(32, 128), (8, 20), (10, 13), (6, 1000)])
def test_distances_fall_into_the_buckets_of_transformers(
    n_buckets: int, max_distance: int, both_ways: bool
) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-1500, 1501)
    wanted = T5Attention._relative_position_bucket(-distance, both_ways, n_buckets, max_distance)
    assert torch.equal(relative_bucket(distance, n_buckets, max_distance, both_ways), wanted)


# Old files, and files of other versions


def assert_computes_alike(folder: Path, config: Seq2SeqConfig, ours: Seq2SeqLM) -> None:
    """A folder holds the same model."""
    again_config, again = read_model(folder)
    assert as_computed(again_config) == as_computed(config)
    texts = some_pairs(config, 9, 7)
    assert torch.equal(again.eval()(*texts), ours(*texts))


TABLES = {
    "t5": ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "shared.weight", "lm_head.weight"),
    "bart": (
        "model.encoder.embed_tokens.weight",
        "model.decoder.embed_tokens.weight",
        "model.shared.weight",
        "lm_head.weight",
    ),
}
TABLES["marian"] = TABLES["bart"]


@pytest.mark.parametrize("case", TABLES)
def test_one_table_may_be_in_a_file_under_all_its_names_or_any(case: str, pair: Any, tmp_path: Path) -> None:
    _, config, ours, folder = pair(case)
    names = TABLES[case]

    def kept_as(*wanted: str) -> Any:
        def change(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            table = next(tensors.pop(name) for name in names if name in tensors)
            return tensors | {name: table.clone() for name in wanted}

        return change

    for number, wanted in enumerate([names, *((name,) for name in names)]):
        made = with_tensors(folder, tmp_path / str(number), kept_as(*wanted))
        assert_computes_alike(made, config, ours)
    other = safetensors.torch.load_file(tmp_path / "0" / "model.safetensors")
    other[names[1]][0, 0] += 1
    safetensors.torch.save_file(other, tmp_path / "0" / "model.safetensors")
    with pytest.raises(ConfigError, match=r"decoder\.embed_tokens\.weight is another matrix than .*shared"):
        read_model(tmp_path / "0")


def test_old_files_have_tensors_that_nothing_reads(pair: Any, tmp_path: Path) -> None:
    _, config, ours, folder = pair("t5")
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    made = with_tensors(folder, tmp_path / "t5", lambda tensors: tensors | {unused: torch.ones(32, 4)})
    assert_computes_alike(made, config, ours)
    _, config, ours, folder = pair("bart")
    versions = {f"model.{side}.version": torch.tensor([3.0]) for side in ("encoder", "decoder")}
    made = with_tensors(folder, tmp_path / "bart", lambda tensors: tensors | versions)
    assert_computes_alike(made, config, ours)


def test_version_5_makes_one_matrix_of_all_where_it_should_not(pair: Any, tmp_path: Path) -> None:
    """A T5 of version 1.1 that it made itself has no output matrix in its file: the one table is it, too.

    It is the same for mT5, whose logits version 4 would scale then; there it is refused.
    """
    theirs = transformers.T5ForConditionalGeneration(SEQ2SEQ_CASES["t5 1.1"]()).eval()
    theirs.save_pretrained(tmp_path / "t5")
    assert "lm_head.weight" not in safetensors.torch.load_file(tmp_path / "t5" / "model.safetensors")
    config, ours = read_model(tmp_path / "t5")
    assert isinstance(config, Seq2SeqConfig)
    assert not config.decoder.head.tied
    texts = some_pairs(config, 9, 7)
    with torch.no_grad():
        assert_same(ours.eval()(*texts), computed(theirs, *texts))
    transformers.MT5ForConditionalGeneration(SEQ2SEQ_CASES["mt5"]()).save_pretrained(tmp_path / "mt5")
    with pytest.raises(ConfigError, match=r"lacks tensors: lm_head\.weight"):
        read_model(tmp_path / "mt5")


@pytest.mark.parametrize("case", ["bart", "marian"])
def test_a_model_without_its_head_lacks_nothing_where_all_is_one(
    case: str, pair: Any, tmp_path: Path
) -> None:
    """The first BART is published so. What is added to its logits is zero then."""
    theirs, config, ours, _ = pair(case)
    theirs.model.save_pretrained(tmp_path / "inside")
    attributes = json.loads((tmp_path / "inside" / "config.json").read_text())
    assert attributes["architectures"] == [{"bart": "BartModel", "marian": "MarianModel"}[case]]
    _, again = read_model(tmp_path / "inside")
    texts = some_pairs(config, 9, 7)
    with torch.no_grad():
        assert_same(again.eval()(*texts), ours(*texts) - ours.decoder.head.bias)
    untied = edited(tmp_path / "inside", tmp_path / "untied", tie_word_embeddings=False)
    with pytest.raises(ConfigError, match=r"lacks tensors: lm_head\.weight"):
        read_model(untied)


def test_version_4_has_one_table_for_both_sides_of_an_untied_model(pair: Any, tmp_path: Path) -> None:
    """Version 5 has three then, one of them for nothing."""
    _, _, ours, folder = pair("bart untied")
    names = TABLES["bart"][:3]

    def only_one(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        first, *others = (tensors.pop(name) for name in names)
        assert not any(torch.equal(first, other) for other in others)
        return tensors | {"model.shared.weight": first}

    _, again = read_model(with_tensors(folder, tmp_path / "old", only_one))
    assert isinstance(again, Seq2SeqLM)
    encoder, decoder = (table.weight for table in tables(again))
    assert torch.equal(encoder, decoder)
    assert torch.equal(encoder, tables(ours)[0].weight)
    assert not torch.equal(again.decoder.head.weight, encoder)


def test_sines_in_old_files_are_passed_over_and_other_positions_refused(pair: Any, tmp_path: Path) -> None:
    theirs, config, ours, folder = pair("marian")
    sines = theirs.get_encoder().embed_positions.weight.detach()
    positions = {f"model.{side}.embed_positions.weight": sines.clone() for side in ("encoder", "decoder")}
    made = with_tensors(folder, tmp_path / "old", lambda tensors: tensors | positions)
    assert_computes_alike(made, config, ours)
    half = {name: table.bfloat16() for name, table in positions.items()}
    made = with_tensors(folder, tmp_path / "rounded", lambda tensors: tensors | half)
    assert_computes_alike(made, config, ours)
    positions["model.decoder.embed_positions.weight"][7, 3] += 0.1
    made = with_tensors(folder, tmp_path / "other", lambda tensors: tensors | positions)
    with pytest.raises(
        ConfigError, match=r"model\.decoder\.embed_positions\.weight holds other numbers than the sines"
    ):
        read_model(made)


NUMBERED = {
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
}
IN_OLD_FILES: dict[str, Any] = SIZES | NUMBERED | {
    "_num_labels": 3, "activation_dropout": 0.1, "add_bias_logits": False, "add_final_layer_norm": False,
    "attention_dropout": 0.1, "bos_token_id": 0, "classif_dropout": 0.1, "classifier_dropout": 0.0,
    "decoder_layerdrop": 0.0, "dropout": 0.1, "early_stopping": True, "encoder_layerdrop": 0.0,
    "eos_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "gradient_checkpointing": False,
    "init_std": 0.02, "is_encoder_decoder": True, "max_length": 20, "normalize_before": False,
    "no_repeat_ngram_size": 3, "num_beams": 4, "num_hidden_layers": 3, "output_past": False,
    "transformers_version": "4.12.0.dev0", "use_cache": True,
}  # fmt: skip
T5_SIZES = {"vocab_size": 37, "d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 3, "num_heads": 4}
T5_OLD: dict[str, Any] = T5_SIZES | {
    "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "initializer_factor": 1.0,
    "is_encoder_decoder": True, "layer_norm_epsilon": 1e-6, "n_positions": 512, "output_past": True,
    "pad_token_id": 0, "relative_attention_num_buckets": 32,
    "task_specific_params": {"summarization": {"early_stopping": True, "prefix": "summarize: "}},
}  # fmt: skip
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}

SPELLINGS: list[tuple[str, dict[str, Any]]] = [
    ("t5", T5_SIZES),
    ("t5", T5_OLD),
    ("t5", T5_OLD | GATED | {"num_decoder_layers": 2, "use_cache": True, "tokenizer_class": "ByT5Tokenizer"}),
    ("t5", T5_OLD | GATED | {"dense_act_fn": "gelu_new", "is_gated_act": True, "classifier_dropout": 0.0}),
    ("t5", T5_SIZES | {"feed_forward_proj": "gelu", "scale_decoder_outputs": True}),
    ("t5", T5_SIZES | {"scale_decoder_outputs": False, "tie_word_embeddings": True}),
    ("mt5", T5_SIZES | {"tie_word_embeddings": False}),
    ("mt5", T5_OLD | GATED | {"num_decoder_layers": 3, "tokenizer_class": "T5Tokenizer"}),
    ("bart", SIZES),
    ("bart", IN_OLD_FILES | {"normalize_embedding": True, "scale_embedding": False, "pad_token_id": 1}),
    ("bart", IN_OLD_FILES | {"extra_pos_embeddings": 2, "static_position_embeddings": False, "prefix": " "}),
    ("bart", SIZES | {"force_bos_token_to_be_generated": True, "do_blenderbot_90_layernorm": False}),
    ("marian", SIZES | {"decoder_start_token_id": 36, "pad_token_id": 36}),
    (
        "marian",
        IN_OLD_FILES
        | {
            "activation_function": "swish", "bad_words_ids": [[36]], "decoder_start_token_id": 36,
            "decoder_vocab_size": 37, "normalize_embedding": False, "pad_token_id": 36,
            "scale_embedding": True, "share_encoder_decoder_embeddings": True,
            "static_position_embeddings": True,
        },
    ),
    ("marian", SIZES | {"decoder_start_token_id": 3, "extra_pos_embeddings": 9}),
    ("marian", SIZES | {"decoder_start_token_id": 3, "tie_word_embeddings": False}),
]  # fmt: skip


def read(family: str, attributes: dict[str, Any]) -> Seq2SeqConfig:
    config: Seq2SeqConfig = read_config(load_family(family, Seq2SeqConfig), attributes, "config.json")
    return config


@pytest.mark.parametrize(("family", "attributes"), SPELLINGS)
def test_configurations_of_all_ages_tell_us_what_they_tell_transformers(
    family: str, attributes: dict[str, Any]
) -> None:
    """What it makes of them is seen in the configuration that it writes, with everything said."""
    theirs = json.loads(transformers.AutoConfig.for_model(family, **attributes).to_json_string())
    assert as_computed(read(family, attributes)) == as_computed(read(family, theirs))


def test_dropout_is_read_as_it_is_said() -> None:
    """It matters in training alone, and no comparison of logits sees it."""
    said = {"dropout": 0.1, "attention_dropout": 0.2, "activation_dropout": 0.3}
    stacks = [read("bart", SIZES | said), read("t5", T5_SIZES | {"dropout_rate": 0.4})]
    found = []
    for stack in (side for config in stacks for side in (config.encoder, config.decoder)):
        block = stack.pattern[0]
        assert block.cross_attention is None or block.cross_attention.dropout == block.attention.dropout
        found.append(
            (stack.embedding.dropout, block.dropout, block.attention.dropout, block.feed_forward.dropout)
        )
    assert found == [(0.1, 0.1, 0.2, 0.3)] * 2 + [(0.4,) * 4] * 2


# What is refused


REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("t5", {"architectures": ["T5EncoderModel"]}, ["T5EncoderModel", "T5ForConditionalGeneration is"]),
    ("t5", {"architectures": ["T5Model"]}, ["T5Model", "T5ForConditionalGeneration is"]),
    ("t5", {"is_encoder_decoder": False}, ["is_encoder_decoder = False"]),
    ("t5", {"feed_forward_proj": "gated-snake"}, ["feed_forward_proj = 'gated-snake'", "'gated-gelu'"]),
    ("t5", {"dense_act_fn": "snake"}, ["dense_act_fn = 'snake'"]),
    ("t5", {"tie_word_embeddings": False}, ["scale_decoder_outputs = True", "untied"]),
    ("t5", {"relative_attention_num_buckets": 9}, ["no possible model", "multiple of 2"]),
    ("t5", {"relative_attention_max_distance": 8}, ["max_distance must be more"]),
    ("t5", {"num_decoder_layers": 4}, ["lacks tensors", "decoder.block.3."]),
    ("t5", {"num_decoder_layers": 2}, ["does not", "decoder.block.2."]),
    ("t5", {"d_kv": 7}, ["shape (24, 24) instead of (28, 24)"]),
    ("t5", {"made_up": 3}, ["made_up = 3", "not understood"]),
    ("t5", {"decoder_start_token_id": 37}, ["start_token 37", "37 tokens"]),
    ("bart", {"architectures": ["BartForSequenceClassification"]}, ["BartForConditionalGeneration is"]),
    ("bart", {"normalize_embedding": False}, ["normalize_embedding = False"]),
    ("bart", {"normalize_before": True}, ["normalize_before = True"]),
    ("bart", {"add_final_layer_norm": True}, ["add_final_layer_norm = True"]),
    ("bart", {"static_position_embeddings": True}, ["static_position_embeddings = True"]),
    ("bart", {"extra_pos_embeddings": 1}, ["extra_pos_embeddings = 1"]),
    ("bart", {"encoder_layerdrop": 0.1}, ["encoder_layerdrop = 0.1"]),
    ("bart", {"num_hidden_layers": 4}, ["num_hidden_layers = 4", "encoder_layers says otherwise"]),
    ("bart", {"max_position_embeddings": 22}, ["shape (22, 24) instead of (24, 24)"]),
    ("bart", {"encoder_attention_heads": 5}, ["n_heads 5 does not divide d_model 24"]),
    ("bart", {"tie_word_embeddings": False}, ["lacks tensors: lm_head.weight"]),
    ("marian", {"normalize_embedding": True}, ["normalize_embedding = True"]),
    ("marian", {"static_position_embeddings": False}, ["static_position_embeddings = False"]),
    ("marian", {"decoder_vocab_size": 31}, ["one table of tokens has one size"]),
    ("marian", {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 31}, ["shape (37, 24)"]),
    ("marian", {"activation_function": "snake"}, ["activation_function = 'snake'", "'swish'"]),
    ("marian", {"decoder_layerdrop": 0.1}, ["decoder_layerdrop = 0.1"]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "attributes", "words"), REFUSED)
def test_what_is_not_understood_is_refused_by_name(
    case: str, attributes: dict[str, Any], words: list[str], pair: Any, tmp_path: Path
) -> None:
    folder = edited(pair(case)[3], tmp_path / "edited", **attributes)
    with pytest.raises(HornbookError) as caught:
        read_model(folder)
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_first_family_that_can_hold_an_encoder_decoder_is_taken(pair: Any, tmp_path: Path) -> None:
    for case, able in (("mt5", ["t5", "mt5"]), ("t5", ["t5"]), ("marian", ["marian"]), ("bart", ["bart"])):
        _, config, ours, _ = pair(case)
        assert [family.model_type for family, reason in holders(config) if reason is None] == able
        assert write_model(ours, config, tmp_path / case) == able[0]


@pytest.mark.parametrize(
    ("case", "family", "changes", "words"),
    [
        ("t5", "mt5", {}, "its output matrix is its own"),
        ("t5", "bart", {}, r"it cannot say encoder\.pattern\.0\.attention\.position"),
        ("bart", "t5", {}, "it has learned biases by distance"),
        ("bart", "marian", {}, "it cannot say encoder.embedding.position"),
        ("bart", "bart", {"shared_embedding": False}, "it cannot say shared_embedding = False"),
        ("t5", "llama", {}, "it has LlamaForCausalLM"),
    ],
)
def test_a_family_that_cannot_hold_an_encoder_decoder_says_why(
    case: str, family: str, changes: dict[str, Any], words: str, pair: Any, tmp_path: Path
) -> None:
    config = pair(case)[1].model_copy(update=changes)
    with pytest.raises(ConfigError, match=f"{family} cannot hold this model: {words}"):
        write_model(Seq2SeqLM(config, 0), config, tmp_path / "out", family)
    assert list(tmp_path.iterdir()) == []
